-- additive
-- When an endpoint was disabled, which decides when its parked deliveries expire. A
-- process of a release before this one does not keep it, but the next purge then does.
ALTER TABLE alotwebhook_endpoints ADD COLUMN disabled_at INTEGER;
UPDATE alotwebhook_endpoints SET disabled_at = CAST(strftime('%s', 'now') AS INTEGER) * 1000000 WHERE disabled AND deleted_at IS NULL;
CREATE INDEX alotwebhook_endpoints_disabled ON alotwebhook_endpoints (disabled_at) WHERE active = 0 AND deleted_at IS NULL;
