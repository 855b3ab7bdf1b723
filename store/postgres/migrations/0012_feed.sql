-- additive
-- The transaction that stored an event, 0 if that was before this column. It is what makes the
-- order of an organization's feed: all events of transactions that are older than every open one are
-- there, and no other comes among them. Releases before this one get it by the default.
ALTER TABLE {s}.events ADD COLUMN IF NOT EXISTS stored_by xid8 NOT NULL DEFAULT '0';
ALTER TABLE {s}.events ALTER COLUMN stored_by SET DEFAULT pg_current_xact_id();
-- Purging payloads finds what it has left to look at here as well, so that an emit pays for no more
-- indexes than before.
CREATE INDEX IF NOT EXISTS events_feed ON {s}.events (organization_id, stored_by, id) WHERE payload IS NOT NULL;
DROP INDEX IF EXISTS {s}.events_payload;
