-- Claims no longer write. A process owns slots: an endpoint belongs to the slot that is
-- its key modulo the number of slots. While a process is alive, it alone sends what is due in
-- its slots.
--
-- A token other than 0 is a lease that stands in the row: next_at is then when it runs
-- out. The column has another name than before, so that processes of an older release, which
-- do not know of the slots, still emit, but neither claim nor finish.
ALTER TABLE {s}.queue RENAME COLUMN lease TO token;

-- Processes that claim. until is the end of the process's lease, seen when it last looked
-- after its slots, told how often another has changed something in its slots.
CREATE TABLE {s}.owners (
	id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	until timestamptz NOT NULL,
	seen  timestamptz NOT NULL,
	told  bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- owner is 0 where nobody claims. asked is set by who wants to know what of the slot is
-- under way: the owner then writes these leases into their rows, and clears it.
CREATE TABLE {s}.slots (
	slot  integer PRIMARY KEY,
	owner bigint NOT NULL DEFAULT 0,
	asked boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);
INSERT INTO {s}.slots (slot) SELECT generate_series(0, 255);
