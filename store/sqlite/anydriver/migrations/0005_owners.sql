-- additive
-- Who sends to which endpoints: an endpoint belongs to the slot of its ref modulo the number
-- of slots, and a slot to an owner, which is one store in one process.
CREATE TABLE alotwebhook_owners (
	id    INTEGER PRIMARY KEY AUTOINCREMENT,
	until INTEGER NOT NULL, -- then its slots are free, unless it has put this off
	asked INTEGER NOT NULL, -- when it last missed slots
	file  TEXT NOT NULL     -- what it holds the lock of, behind the database's name; '' for none
) STRICT;
CREATE TABLE alotwebhook_slots (
	slot  INTEGER PRIMARY KEY,
	owner INTEGER NOT NULL, -- 0 for none
	freed INTEGER NOT NULL  -- when it lost its last owner
) STRICT;
WITH RECURSIVE n(slot) AS (SELECT 0 UNION ALL SELECT slot + 1 FROM n WHERE slot < 31)
INSERT INTO alotwebhook_slots SELECT slot, 0, 0 FROM n;
-- How often owners and slots were changed.
ALTER TABLE alotwebhook_changes ADD COLUMN owners INTEGER NOT NULL DEFAULT 0;
-- From here on, the column claims counts those that were lost, without the newest.
UPDATE alotwebhook_queue SET claims = claims - 1 WHERE lease <> 0;
-- The releases before this one know nothing of owners, so that they must not claim any more.
-- They write positive tokens, later ones negative ones. They may go on with everything else.
CREATE TRIGGER alotwebhook_old_claims BEFORE UPDATE OF lease ON alotwebhook_queue WHEN NEW.lease > 0
BEGIN
	SELECT RAISE(ABORT, 'alotwebhook: a newer release sends from this file: update this process, or let it emit only');
END;
