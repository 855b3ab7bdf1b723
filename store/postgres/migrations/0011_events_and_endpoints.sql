-- additive
-- docs/operating.md says how to make what has IF NOT EXISTS beforehand in a large table, while emits
-- go on. Nothing else here reads or rewrites a table.

-- Whom an event is about, NULL for nobody. The index has nothing of events without a subject.
ALTER TABLE {s}.events ADD COLUMN IF NOT EXISTS subject text COLLATE "C";
CREATE INDEX IF NOT EXISTS events_subject ON {s}.events (subject, id) WHERE subject IS NOT NULL;

-- The transaction that stored an event, 0 if that was before this column: a constant, so that no row
-- is written again. Releases before this one get it by the default. It makes the order of an
-- organization's feed: all events of transactions that are older than every open one are there, and no
-- other comes among them.
ALTER TABLE {s}.events ADD COLUMN IF NOT EXISTS stored_by xid8 NOT NULL DEFAULT '0';
ALTER TABLE {s}.events ALTER COLUMN stored_by SET DEFAULT pg_current_xact_id();
-- Purging payloads finds what it has left to look at here as well, so that an emit pays for no more
-- indexes than before.
CREATE INDEX IF NOT EXISTS events_feed ON {s}.events (organization_id, stored_by, id) WHERE payload IS NOT NULL;
DROP INDEX IF EXISTS {s}.events_payload;

-- True for a test, otherwise NULL. The deliveries of tests have the negative of the key of their
-- endpoint in the column endpoint of queue and deliveries: so nothing else meets them, releases before
-- this one included.
ALTER TABLE {s}.events ADD COLUMN test boolean;

-- The URLs that an endpoint had before, until it is deleted. An attempt names the one that it went
-- to by its number, unless that is 0.
ALTER TABLE {s}.endpoints ADD COLUMN urls integer NOT NULL DEFAULT 0;
CREATE TABLE {s}.urls (
	endpoint bigint NOT NULL,
	number   integer NOT NULL,
	url      text NOT NULL,
	PRIMARY KEY (endpoint, number)
);
ALTER TABLE {s}.deliveries ADD COLUMN url integer;
ALTER TABLE {s}.attempts ADD COLUMN url integer;

-- The version of payloads that an endpoint gets, '' for one that is older than all.
ALTER TABLE {s}.endpoints ADD COLUMN payload_version text NOT NULL DEFAULT '';

-- The headers and the client certificate of an endpoint, sealed, '' for none.
ALTER TABLE {s}.endpoints ADD COLUMN credentials text NOT NULL DEFAULT '';

-- Whose data a recovery erases, '' for nobody's and once that is done.
ALTER TABLE {s}.recoveries ADD COLUMN subject text NOT NULL DEFAULT '';

-- Statistics would keep samples of these in plain, and nothing is planned by them.
ALTER TABLE {s}.events ALTER COLUMN subject SET STATISTICS 0;
ALTER TABLE {s}.endpoints ALTER COLUMN credentials SET STATISTICS 0;
ALTER TABLE {s}.recoveries ALTER COLUMN subject SET STATISTICS 0;
