-- additive
-- The W3C traceparent of the span that emitted the event, NULL for none.
ALTER TABLE alotwebhook_events ADD COLUMN trace_parent TEXT;
-- What counts the endpoints that are failing.
CREATE INDEX alotwebhook_endpoints_failing ON alotwebhook_endpoints (ref) WHERE active = 1 AND failing_since IS NOT NULL;
