package anydriver

import "context"

// removals delete rows of an organization: each takes it, and how many rows at most. They find
// deliveries by the endpoints, of which the rows stay until the end.
const (
	removeQueued = `DELETE FROM alotwebhook_queue WHERE id IN (
		SELECT q.id FROM alotwebhook_endpoints e CROSS JOIN alotwebhook_queue q ON q.endpoint IN (e.ref, -e.ref) WHERE e.organization = ? LIMIT ?)`
	removeFinished = `DELETE FROM alotwebhook_deliveries WHERE id IN (
		SELECT d.id FROM alotwebhook_endpoints e CROSS JOIN alotwebhook_deliveries d ON d.endpoint IN (e.ref, -e.ref) WHERE e.organization = ? LIMIT ?)`
	// The rows of an hour go together, and count as one.
	removeTallies = `DELETE FROM alotwebhook_tallies WHERE (endpoint, hour) IN (
		SELECT DISTINCT t.endpoint, t.hour FROM alotwebhook_endpoints e CROSS JOIN alotwebhook_tallies t ON t.endpoint = e.id
		WHERE e.organization = ?1 AND NOT EXISTS (SELECT 1 FROM alotwebhook_endpoints o WHERE o.id = e.id AND o.organization <> ?1) LIMIT ?2)
		RETURNING endpoint, hour, reason, attempts, duration, slowest`
	removeOperations = `DELETE FROM alotwebhook_operations WHERE id IN (
		SELECT id FROM alotwebhook_operations WHERE organization = ? LIMIT ?)`
	removeRecoveries = `DELETE FROM alotwebhook_recoveries WHERE endpoint IN (
		SELECT endpoint FROM alotwebhook_recoveries WHERE organization = ? AND NOT (endpoint >= '` + manyPrefix + `' AND endpoint < '` + afterMany + `') LIMIT ?)`
	removePauses = `DELETE FROM alotwebhook_pauses WHERE (organization, endpoint) IN (
		SELECT organization, endpoint FROM alotwebhook_pauses WHERE organization = ? LIMIT ?)`
	removeEndpoints = `DELETE FROM alotwebhook_endpoints WHERE ref IN (
		SELECT ref FROM alotwebhook_endpoints WHERE organization = ? AND deleted_at IS NOT NULL LIMIT ?)`
)

// stretchesAtOnce is how many stretches of events one call of Remove looks at. That takes some
// seconds, after which other processes still know that this one is at work.
const stretchesAtOnce = 1000

// Remove implements [alotwebhook.History]. Events come after everything that is found by an
// index, and what is left of the endpoints at the very end. Nothing finds the events of one
// organization but to look at all: after five million of others, Remove returns limit, and goes on
// from there the next time.
func (s *Store) Remove(ctx context.Context, organizationID string, limit int) (n int, err error) {
	if organizationID == "" {
		return 0, sayf("remove an organization: its id is empty; name one")
	}
	limit = max(limit, 1)
	for _, step := range []func(context.Context, string, int) (int, error){s.removeFound, s.removeEvents, s.removeLast} {
		some, err := step(ctx, organizationID, limit)
		if err != nil {
			return 0, err
		}
		if n = max(n, some); n >= limit {
			break
		}
	}
	return n, nil
}

// removeFound removes all but events, and leaves endpoints as deleted ones. Like the two after it,
// it takes up to limit rows of each kind, and returns the largest number.
func (s *Store) removeFound(ctx context.Context, organizationID string, limit int) (n int, err error) {
	err = s.write(ctx, "remove an organization", func(t *txn) error {
		return t.overwriting(func() (err error) {
			n, err = t.removeFound(organizationID, limit)
			return err
		})
	})
	return n, err
}

func (t *txn) removeFound(organizationID string, limit int) (n int, err error) {
	refs, err := t.numbers("SELECT ref FROM alotwebhook_endpoints WHERE organization = ? AND deleted_at IS NULL LIMIT ?", organizationID, limit)
	for _, ref := range refs {
		if err == nil {
			err = t.deleteEndpoint(ref)
		}
	}
	n = len(refs)
	remove := func(query string, limit int) int {
		var gone int64
		if err == nil {
			gone, err = t.affected(query, organizationID, limit)
		}
		n = max(n, int(gone))
		return int(gone)
	}
	queued := remove(removeQueued, limit)
	n = max(n, queued+remove(removeFinished, limit-queued))
	for _, query := range []string{removeOperations, removeRecoveries, removePauses} {
		remove(query, limit)
	}
	if err != nil {
		return n, err
	}
	hours, err := t.removeTallies(organizationID, limit)
	return max(n, hours), err
}

// removeEvents removes events, with deliveries that others have of them: of an endpoint that
// was given to another organization. It goes through all events in the order in which they were
// stored, so that those that are stored meanwhile are still to come.
func (s *Store) removeEvents(ctx context.Context, organizationID string, limit int) (n int, err error) {
	for range s.stretches {
		var found int
		var to int64
		var more bool
		err := s.submit(&job{
			ctx:   ctx,
			doing: "remove an organization's events",
			run: func(t *txn) error {
				return t.overwriting(func() (err error) {
					found, to, more, err = t.removeStretch(organizationID, s.removedTo[organizationID], limit-n)
					return err
				})
			},
			committed: func() {
				delete(s.removedTo, organizationID)
				if more {
					put(s.removedTo, organizationID, to)
				}
			},
			done: make(chan struct{}),
		})
		if err != nil {
			return 0, err
		}
		if n += found; !more || n == limit {
			return n, nil
		}
	}
	return limit, nil
}

// removeStretch removes up to limit of an organization's events in a stretch of events, which begins
// behind a ref. It returns how many, up to which ref none is left, and whether others follow.
func (t *txn) removeStretch(organizationID string, behind int64, limit int) (n int, to int64, more bool, err error) {
	var first, last int64
	err = t.one("SELECT coalesce((SELECT min(ref) FROM alotwebhook_events), 0), coalesce((SELECT max(ref) FROM alotwebhook_events), 0)")(&first, &last)
	if err != nil {
		return 0, 0, false, err
	}
	if behind = max(behind, first-1); behind > last {
		behind = first - 1 // the last events have gone as well, and new ones get their refs
	}
	to = min(behind+stretch, last)
	more = to < last
	var list []passed
	err = t.each("SELECT ref, id FROM alotwebhook_events WHERE ref > ? AND ref <= ? AND organization = ? ORDER BY ref LIMIT ?",
		[]any{behind, to, organizationID, limit + 1}, func(scan func(...any) error) error {
			var e passed
			err := scan(&e.ref, &e.key)
			list = append(list, e)
			return err
		})
	if len(list) > limit {
		list, more = list[:limit], true
		to = list[limit-1].ref
	}
	if err == nil && len(list) > 0 {
		err = t.removeEvents(list)
	}
	return len(list), to, more, err
}

// removeEvents deletes events and their deliveries. What holds one of these must look whether it is
// still the same.
func (t *txn) removeEvents(list []passed) error {
	if err := t.outdate(); err != nil {
		return err
	}
	for _, m := range moments(list) {
		for _, table := range []string{"alotwebhook_queue", "alotwebhook_deliveries"} {
			if err := t.exec("DELETE FROM "+table+" WHERE "+ofMoment, m.args()...); err != nil {
				return err
			}
		}
	}
	return t.keepLast(func() error { return t.exec("DELETE FROM alotwebhook_events WHERE ref "+amongRefs, refsOf(list)) })
}

// removeLast deletes what was left of the endpoints, when nothing refers to it any more.
func (s *Store) removeLast(ctx context.Context, organizationID string, limit int) (n int, err error) {
	err = s.write(ctx, "remove an organization", func(t *txn) error {
		return t.overwriting(func() error {
			gone, err := t.affected(removeEndpoints, organizationID, limit)
			n = int(gone)
			return err
		})
	})
	return n, err
}
