-- additive
ALTER TABLE alotwebhook_endpoints ADD COLUMN ordered INTEGER NOT NULL DEFAULT 0;
-- Which delivery of an ordered endpoint comes before all others, although it is due later than
-- they are. It holds them up if its row is due by the time until, in µs since 1970, or leased;
-- until is 0 before its first failed attempt. A row whose delivery has left the queue says nothing.
CREATE TABLE alotwebhook_firsts (
	endpoint INTEGER PRIMARY KEY,
	delivery BLOB NOT NULL,
	until    INTEGER NOT NULL
) STRICT;
