-- Attempts have no primary key. Where a publication covers all tables, PostgreSQL
-- deletes only what has a replica identity. The partitions of the days get theirs from
-- the processes that make them.
ALTER TABLE {s}.attempts_default REPLICA IDENTITY FULL;
