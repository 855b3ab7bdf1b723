-- additive
ALTER TABLE {s}.endpoints ADD COLUMN ordered boolean NOT NULL DEFAULT false;
CREATE INDEX endpoints_ordered ON {s}.endpoints (key) WHERE ordered;
-- Which delivery of an ordered endpoint comes before all others, although it is due later than
-- they are. It holds them up if its row is due by the time until, or leased. until is NULL
-- before its first failed attempt. A row whose delivery has left the queue says nothing.
CREATE TABLE {s}.firsts (
	endpoint bigint PRIMARY KEY,
	delivery uuid NOT NULL,
	until    timestamptz
) WITH (fillfactor = 50);
