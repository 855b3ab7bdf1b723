-- additive
-- The version in a row is the least version of the code that works with the schema. latest is
-- the version that the schema has come to by migrations that only added something, NULL for
-- none.
ALTER TABLE alotwebhook_migrations ADD COLUMN latest INTEGER;
