package anydriver

// ended finds the owners whose processes have ended, and notes in the census that their time
// is up.
func (s *Store) ended(found *census) map[int64]bool {
	ended := map[int64]bool{}
	for i := range found.owners {
		if o := &found.owners[i]; o.id != s.owner.id && s.deserted(o.file) {
			ended[o.id] = true
			o.until = 0
		}
	}
	return ended
}

// bury takes its slots from an owner whose time is up.
func (t *txn) bury(id int64, found *census, perEndpoint int) error {
	var slots uint64
	for i, s := range found.slots {
		if s.owner == id {
			slots |= 1 << i
			found.slots[i] = slot{freed: t.now}
		}
	}
	if slots != 0 { // it may have left before
		if err := t.suspect(slots, perEndpoint); err != nil {
			return err
		}
	}
	if err := t.exec(freeSlots, t.now, id); err != nil {
		return err
	}
	return t.exec("DELETE FROM alotwebhook_owners WHERE id = ?", id)
}

const freeSlots = "UPDATE alotwebhook_slots SET owner = 0, freed = ? WHERE slot >= 0 AND owner = ?"

// endpointsDue finds the endpoints of some slots that are active and have deliveries due.
const endpointsDue = `WITH RECURSIVE turn(ref) AS (
	SELECT (SELECT endpoint FROM alotwebhook_queue ORDER BY endpoint LIMIT 1)
	UNION ALL
	SELECT (SELECT endpoint FROM alotwebhook_queue WHERE endpoint > turn.ref ORDER BY endpoint LIMIT 1)
	FROM turn WHERE turn.ref IS NOT NULL
)
SELECT turn.ref, e.ordered AND turn.ref > 0 FROM turn CROSS JOIN alotwebhook_endpoints e ON e.ref = abs(turn.ref)
WHERE (?1 >> (abs(turn.ref) % 32)) & 1 AND ` + sends + `
	AND EXISTS (SELECT 1 FROM alotwebhook_queue WHERE endpoint = turn.ref AND next_at <= ?2)`

// suspect counts a lost claim of each delivery that a process which has ended can have had
// under way: of each endpoint the first ones, as many as it may have had at once. Only one
// for each: from then on its claims are written, and counted by that.
func (t *txn) suspect(slots uint64, perEndpoint int) error {
	var refs, ordered []int64
	err := t.each(endpointsDue, []any{int64(slots), t.now}, func(scan func(...any) error) error {
		var ref int64
		var inOrder bool
		err := scan(&ref, &inOrder)
		if inOrder {
			ordered = append(ordered, ref)
		} else {
			refs = append(refs, ref)
		}
		return err
	})
	if err == nil {
		err = t.suspectFirst(ordered)
	}
	for _, ref := range refs {
		if err == nil {
			err = t.exec(`UPDATE alotwebhook_queue SET claims = 1 WHERE claims = 0 AND lease = 0 AND id IN
				(SELECT id FROM alotwebhook_queue WHERE endpoint = ? AND next_at <= ? ORDER BY next_at, id LIMIT ?)`, ref, t.now, perEndpoint)
		}
	}
	return err
}
