-- additive
-- When an endpoint was disabled, which decides when its parked deliveries expire. A
-- process of a release before this one does not keep it, but the next purge then does.
ALTER TABLE {s}.endpoints ADD COLUMN disabled_at timestamptz;
UPDATE {s}.endpoints SET disabled_at = clock_timestamp() WHERE disabled AND deleted_at IS NULL;
CREATE INDEX endpoints_disabled ON {s}.endpoints (disabled_at)
	WHERE (disabled OR disabled_at IS NOT NULL) AND deleted_at IS NULL;
