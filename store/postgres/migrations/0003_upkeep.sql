-- additive
-- The version in a row is the least version of the code that works with the schema. latest is
-- the version that the schema has come to by migrations that only added something, NULL for
-- none.
ALTER TABLE {s}.migrations ADD COLUMN latest integer;

-- Attempts have no primary key. Where a publication covers all tables, PostgreSQL
-- deletes only what has a replica identity. The partitions of the days get theirs from
-- the processes that make them.
ALTER TABLE {s}.attempts_default REPLICA IDENTITY FULL;
