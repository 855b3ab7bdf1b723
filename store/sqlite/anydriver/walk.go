package anydriver

import (
	"database/sql"
	"math"
)

// walk is a way round all endpoints that have rows in the queue, in the order of
// their refs. It begins behind the endpoint that had the last turn and ends with it.
type walk struct {
	from, pos int64 // the ref where it begins, and the ref that it has come to
	wrapped   bool  // it has gone on at the least ref
}

// nextEndpoints returns the endpoints that follow ?1 in the queue, up to ?3 of them.
// One step into the index alotwebhook_queue_due finds each, however many rows it has.
// Of an active one that belongs to the slots of ?4, a bit for each, the result says whether it
// has deliveries due at ?2 (µs since 1970), and when the first one falls due that is not due
// then.
const nextEndpoints = `WITH RECURSIVE turn(ref, n) AS (
	SELECT (SELECT endpoint FROM alotwebhook_queue WHERE endpoint > ?1 ORDER BY endpoint LIMIT 1), 1
	UNION ALL
	SELECT (SELECT endpoint FROM alotwebhook_queue WHERE endpoint > turn.ref ORDER BY endpoint LIMIT 1), n + 1
	FROM turn WHERE turn.ref IS NOT NULL AND n < ?3
)
SELECT turn.ref, e.failing_since,
	CASE WHEN ` + sends + ` AND (?4 >> (abs(turn.ref) % 32)) & 1 THEN EXISTS (SELECT 1 FROM alotwebhook_queue WHERE endpoint = turn.ref AND next_at <= ?2) END,
	CASE WHEN ` + sends + ` AND (?4 >> (abs(turn.ref) % 32)) & 1 THEN (SELECT next_at FROM alotwebhook_queue WHERE endpoint = turn.ref AND next_at > ?2 ORDER BY next_at LIMIT 1) END
FROM turn CROSS JOIN alotwebhook_endpoints e ON e.ref = abs(turn.ref)`

// sighting is a row of nextEndpoints.
type sighting struct {
	ref           int64
	failing, next sql.NullInt64
	due           sql.NullBool
}

// nextTakers goes on with the walk until it has maxServed takers or the walk is over.
// more reports whether the walk goes on.
func (c *claim) nextTakers(w *walk) (takers []*taker, more bool, err error) {
	for len(takers) < maxServed && !w.done() {
		var page []sighting
		err := c.each(nextEndpoints, []any{w.pos, c.now, maxServed, int64(c.slots | c.free)}, func(scan func(...any) error) error {
			var v sighting
			err := scan(&v.ref, &v.failing, &v.due, &v.next)
			page = append(page, v)
			return err
		})
		if err != nil {
			return nil, false, err
		}
		for _, v := range page {
			if !w.reach(v.ref) {
				return takers, false, nil
			}
			k, err := c.taker(v)
			if err != nil {
				return nil, false, err
			}
			if k != nil {
				takers = append(takers, k)
			}
		}
		if len(page) < maxServed {
			w.wrap()
		}
	}
	return takers, !w.done(), nil
}

// taker returns the endpoint that was sighted as a taker, or nil if it can take nothing.
func (c *claim) taker(v sighting) (*taker, error) {
	if bit := uint64(1) << slotOf(v.ref); c.slots&bit == 0 {
		c.unowned = c.unowned || c.free&bit != 0 && v.due.Bool
		return nil, nil
	}
	if held := c.held[v.ref]; held.until != 0 && v.due.Valid {
		c.later(sql.NullInt64{Int64: held.until, Valid: true})
	}
	c.later(v.next)
	if !v.due.Bool {
		return nil, nil
	}
	e, err := c.endpoint(endpointOf(v.ref), v.failing)
	if err != nil || e == nil {
		return nil, err
	}
	free := c.Free(e.ID, e.OrganizationID)
	if free == 0 {
		return nil, nil
	}
	k := &taker{ref: v.ref, endpoint: e, free: free, mark: c.s.lanes.marks[v.ref]}
	if isTests(v.ref) {
		k.free = 1
	} else if e.Ordered {
		return c.orderedTaker(k)
	}
	return k, nil
}

// done reports whether the walk has come round.
func (w *walk) done() bool { return w.wrapped && w.pos >= w.from }

// reach moves the walk to ref. It returns false if ref lies behind the end of the
// walk, which is over then.
func (w *walk) reach(ref int64) bool {
	if w.wrapped && ref > w.from {
		w.pos = w.from
		return false
	}
	w.pos = ref
	return true
}

// wrap goes on at the least ref after the walk has come to the greatest. The second
// time, it ends the walk.
func (w *walk) wrap() {
	if w.wrapped {
		w.pos = w.from
		return
	}
	w.wrapped, w.pos = true, math.MinInt64
}

// later notes when a delivery falls due.
func (c *claim) later(at sql.NullInt64) {
	if at.Valid && (c.next == 0 || at.Int64 < c.next) {
		c.next = at.Int64
	}
}
