-- additive
-- What a recovery selects, who began it and why. The key of one over many endpoints is its own id.
ALTER TABLE alotwebhook_recoveries ADD COLUMN event TEXT NOT NULL DEFAULT '';
ALTER TABLE alotwebhook_recoveries ADD COLUMN type TEXT NOT NULL DEFAULT '';
ALTER TABLE alotwebhook_recoveries ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE alotwebhook_recoveries ADD COLUMN failed_since INTEGER;
ALTER TABLE alotwebhook_recoveries ADD COLUMN failed_until INTEGER;
ALTER TABLE alotwebhook_recoveries ADD COLUMN actor TEXT NOT NULL DEFAULT '';
ALTER TABLE alotwebhook_recoveries ADD COLUMN note TEXT NOT NULL DEFAULT '';
-- 1 if it selects by event, type, reason or failure, or over many endpoints; NULL from releases
-- before this one. These would send all that failed, or end it: they must leave it alone.
ALTER TABLE alotwebhook_recoveries ADD COLUMN narrowed INTEGER;
CREATE TRIGGER alotwebhook_old_recoveries BEFORE INSERT ON alotwebhook_recoveries
WHEN NEW.narrowed IS NULL AND EXISTS (SELECT 1 FROM alotwebhook_recoveries WHERE endpoint = NEW.endpoint AND narrowed = 1 AND state = 'running')
BEGIN
	SELECT RAISE(ABORT, 'alotwebhook: this recovery is one of a newer release, which goes on with it: update this process');
END;
-- What is held back: an endpoint, an organization or, where both are empty, all.
CREATE TABLE alotwebhook_pauses (
	organization TEXT NOT NULL,
	endpoint     TEXT NOT NULL,
	actor        TEXT NOT NULL,
	note         TEXT NOT NULL,
	at           INTEGER,
	PRIMARY KEY (organization, endpoint)
) STRICT, WITHOUT ROWID;
-- When an owner last put its time off; NULL from releases before this one.
ALTER TABLE alotwebhook_owners ADD COLUMN seen INTEGER;
-- What lists the endpoints that are failing, or disabled, in the order of their ids.
DROP INDEX alotwebhook_endpoints_failing;
CREATE INDEX alotwebhook_endpoints_failing ON alotwebhook_endpoints (id) WHERE active = 1 AND failing_since IS NOT NULL;
CREATE INDEX alotwebhook_endpoints_off ON alotwebhook_endpoints (id) WHERE active = 0 AND deleted_at IS NULL;
-- What counts the failed deliveries, by when they failed. It has all columns that this takes.
CREATE INDEX alotwebhook_deliveries_failed ON alotwebhook_deliveries (state, finished_at, endpoint, type, reason) WHERE state = 2;
-- The tallies of all endpoints together have no endpoint. Releases before this one do not add to them.
INSERT INTO alotwebhook_tallies (endpoint, hour, reason, attempts, duration, slowest)
SELECT '', hour, reason, sum(attempts), sum(duration), max(slowest) FROM alotwebhook_tallies GROUP BY hour, reason;
