-- additive
-- What lists the events of an organization in the order of their commits, which is that of ref: one
-- transaction writes at a time. The ref of an event that is gone is not given again: the row of type 0
-- keeps the last one, if that is so.
CREATE INDEX alotwebhook_events_feed ON alotwebhook_events (organization, ref) WHERE payload IS NOT NULL;
