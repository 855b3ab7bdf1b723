-- additive
-- The most requests a second that an endpoint gets, 0 where it has no limit of its own.
ALTER TABLE alotwebhook_endpoints ADD COLUMN rate REAL NOT NULL DEFAULT 0;
