-- additive
-- Whom an event is about, NULL for nobody. The index has nothing of events without a subject. Both
-- may be there: docs/operating.md says how to make them before, while emits go on.
ALTER TABLE {s}.events ADD COLUMN IF NOT EXISTS subject text COLLATE "C";
CREATE INDEX IF NOT EXISTS events_subject ON {s}.events (subject, id) WHERE subject IS NOT NULL;

-- True for a test, otherwise NULL. The deliveries of tests have the negative of the key of their
-- endpoint in the column endpoint of queue and deliveries: so nothing else meets them.
ALTER TABLE {s}.events ADD COLUMN IF NOT EXISTS test boolean;

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

-- Whose data a recovery erases, '' for nobody's and once that is done.
ALTER TABLE {s}.recoveries ADD COLUMN subject text NOT NULL DEFAULT '';

-- The headers and the client certificate of an endpoint, sealed, '' for none.
ALTER TABLE {s}.endpoints ADD COLUMN credentials text NOT NULL DEFAULT '';

-- Statistics would keep a sample of these, and nothing is planned by them.
ALTER TABLE {s}.events ALTER COLUMN subject SET STATISTICS 0;
ALTER TABLE {s}.recoveries ALTER COLUMN subject SET STATISTICS 0;

-- The version of payloads that an endpoint gets, '' for one that is older than all.
ALTER TABLE {s}.endpoints ADD COLUMN payload_version text NOT NULL DEFAULT '';
ALTER TABLE {s}.endpoints ALTER COLUMN credentials SET STATISTICS 0;
