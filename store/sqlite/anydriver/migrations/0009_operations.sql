-- additive
-- How often the host was told that the endpoint fails, since its last success.
ALTER TABLE alotwebhook_endpoints ADD COLUMN warned INTEGER NOT NULL DEFAULT 0;
-- What happened to endpoints, deliveries and recoveries. When it did is in the id.
CREATE TABLE alotwebhook_operations (
	id           BLOB NOT NULL PRIMARY KEY,
	type         TEXT NOT NULL,
	organization TEXT NOT NULL,
	endpoint     TEXT NOT NULL,
	delivery     TEXT NOT NULL,
	actor        TEXT NOT NULL,
	note         TEXT NOT NULL,
	claims       INTEGER NOT NULL, -- how often it was claimed
	due_at       INTEGER           -- when it may be claimed; NULL once it is handled
) STRICT, WITHOUT ROWID;
CREATE INDEX alotwebhook_operations_organization ON alotwebhook_operations (organization, id);
CREATE INDEX alotwebhook_operations_endpoint ON alotwebhook_operations (endpoint, id);
CREATE INDEX alotwebhook_operations_due ON alotwebhook_operations (due_at, id) WHERE due_at IS NOT NULL;
