-- additive
-- Whom an event is about, NULL for nobody: such an event has no entry in the index.
ALTER TABLE alotwebhook_events ADD COLUMN subject TEXT;
CREATE INDEX alotwebhook_events_subject ON alotwebhook_events (subject, id) WHERE subject IS NOT NULL;
-- 1 for a test, otherwise NULL. The deliveries of tests have the negative of the ref of their
-- endpoint in the column endpoint of queue and deliveries: so nothing else meets them, releases before
-- this one included.
ALTER TABLE alotwebhook_events ADD COLUMN test INTEGER;
-- The URLs that an endpoint had before, until it is deleted. An attempt names the one that it went
-- to by its number, unless that is 0.
ALTER TABLE alotwebhook_endpoints ADD COLUMN urls INTEGER NOT NULL DEFAULT 0;
CREATE TABLE alotwebhook_urls (
	endpoint INTEGER NOT NULL,
	number   INTEGER NOT NULL,
	url      TEXT NOT NULL,
	PRIMARY KEY (endpoint, number)
) STRICT, WITHOUT ROWID;
-- The version of payloads that an endpoint gets, '' for one that is older than all.
ALTER TABLE alotwebhook_endpoints ADD COLUMN payload_version TEXT NOT NULL DEFAULT '';
-- The headers and the client certificate of an endpoint, sealed; '' for none.
ALTER TABLE alotwebhook_endpoints ADD COLUMN credentials TEXT NOT NULL DEFAULT '';
-- Whose data a recovery erases, '' for nobody's and once that is done.
ALTER TABLE alotwebhook_recoveries ADD COLUMN subject TEXT NOT NULL DEFAULT '';
-- What finds the recoveries of an organization that leaves.
CREATE INDEX alotwebhook_recoveries_organization ON alotwebhook_recoveries (organization);
