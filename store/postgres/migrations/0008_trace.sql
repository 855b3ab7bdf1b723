-- additive
-- The W3C traceparent of the span that emitted the event, NULL for none.
ALTER TABLE {s}.events ADD COLUMN trace_parent text;
