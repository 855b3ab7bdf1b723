-- additive
-- Whom an event is about, NULL for nobody. The index has nothing of events without a subject. Both
-- may be there: docs/operating.md says how to make them before, while emits go on.
ALTER TABLE {s}.events ADD COLUMN IF NOT EXISTS subject text COLLATE "C";
CREATE INDEX IF NOT EXISTS events_subject ON {s}.events (subject, id) WHERE subject IS NOT NULL;

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
