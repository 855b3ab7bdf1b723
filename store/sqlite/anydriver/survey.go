package anydriver

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/alot/alotwebhook"
)

var _ alotwebhook.Surveyor = (*Store)(nil)

// backlogs sums up the queue by organization, those with most first, up to ?3 of them. In the oldest
// next_at it leaves out the endpoints of the list ?2. It reads the index alotwebhook_queue_due alone,
// and looks up each endpoint once.
const backlogs = `SELECT e.organization, coalesce(sum(n) FILTER (WHERE e.active), 0), coalesce(sum(n) FILTER (WHERE NOT e.active), 0),
	coalesce(sum(due) FILTER (WHERE e.active), 0), min(first) FILTER (WHERE e.active AND e.ref NOT IN (SELECT value FROM json_each(?2)))
	FROM (
		SELECT endpoint, count(*) AS n, sum(next_at <= ?1) AS due, min(next_at) AS first
		FROM alotwebhook_queue INDEXED BY alotwebhook_queue_due GROUP BY endpoint
	) AS q CROSS JOIN alotwebhook_endpoints e ON e.ref = q.endpoint
	GROUP BY e.organization ORDER BY sum(n) DESC, e.organization LIMIT ?3`

// notHeld returns an active endpoint's organization, and the least next_at of its deliveries that
// are not on a list.
const notHeld = `SELECT organization, (SELECT next_at FROM alotwebhook_queue
		WHERE endpoint = e.ref AND hex(id) NOT IN (SELECT value FROM json_each(?2)) ORDER BY next_at LIMIT 1)
	FROM alotwebhook_endpoints e WHERE ref = ?1 AND active`

// Backlogs implements [alotwebhook.Surveyor].
func (s *Store) Backlogs(ctx context.Context, limit int) (list []alotwebhook.Backlog, err error) {
	err = s.read(ctx, "count the queue by organization", func(t *txn) error {
		held := s.held.leased(t.now)
		refs := numberList(slices.Collect(maps.Keys(held)))
		err := t.each(backlogs, []any{t.now, refs, max(limit, 0)}, func(scan func(...any) error) error {
			var b alotwebhook.Backlog
			var first sql.NullInt64
			err := scan(&b.OrganizationID, &b.Pending, &b.Parked, &b.Due, &first)
			b.OldestDue = t.since(first)
			list = append(list, b)
			return err
		})
		for ref, keys := range held {
			if err == nil {
				err = t.leaveOut(list, ref, keys)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// standing counts the deliveries on a list that have no lease in their rows.
var standing = batchOf("SELECT count(*) FROM alotwebhook_queue WHERE lease = 0 AND id IN (%)", "?")

// leaveOut leaves what this store holds of an endpoint out of what is due. The rows say nothing of
// these leases. Those that are gone were canceled meanwhile.
func (t *txn) leaveOut(list []alotwebhook.Backlog, ref int64, keys []key) error {
	var organization string
	var first sql.NullInt64
	some, err := found(t.one(notHeld, ref, hexList(keys))(&organization, &first))
	if err != nil || !some {
		return err
	}
	i := slices.IndexFunc(list, func(b alotwebhook.Backlog) bool { return b.OrganizationID == organization })
	if i < 0 {
		return nil
	}
	list[i].OldestDue = max(list[i].OldestDue, t.since(first))
	return standing.keys(nil, keys, func(query string, args []any) error {
		var n int64
		err := t.one(query, args...)(&n)
		list[i].Due -= n
		return err
	})
}

// Totals implements [alotwebhook.Surveyor]. It reads the sums that AddTallies keeps, which
// are purged once the last tally of their hour is.
func (s *Store) Totals(ctx context.Context, since time.Time) ([]alotwebhook.Tally, error) {
	return s.Tallies(ctx, []string{ofAll}, since)
}

// Processes implements [alotwebhook.Surveyor]. A process that has given its slots to others because
// it is full is among them while deliveries of it may be under way.
func (s *Store) Processes(ctx context.Context) (list []alotwebhook.Process, err error) {
	err = s.read(ctx, "list processes", func(t *txn) error {
		return t.each(`SELECT id, until, coalesce(seen, asked), file, (SELECT count(*) FROM alotwebhook_slots WHERE owner = o.id)
			FROM alotwebhook_owners o`, nil, func(scan func(...any) error) error {
			var id, until, seen, slots int64
			var file string
			err := scan(&id, &until, &seen, &file, &slots)
			p := alotwebhook.Process{
				ID: strconv.FormatInt(id, 10), Share: float64(slots) / slotCount,
				Seen: time.Duration(max(t.now-seen, 0)) * time.Microsecond, Left: time.Duration(until-t.now) * time.Microsecond,
			}
			if s.deserted(file) { // others take over at once, however long its lease is
				p.Left = min(p.Left, -time.Microsecond)
			}
			if slots > 0 || p.Left > 0 {
				list = append(list, p)
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b alotwebhook.Process) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}
