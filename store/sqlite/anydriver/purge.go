package anydriver

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/alot/alotwebhook"
)

const defaultPurge = 1000

// Purge implements [alotwebhook.History].
func (s *Store) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (r alotwebhook.PurgeResult, err error) {
	limit := cmp.Or(p.Limit, defaultPurge)
	var erasedTo int64
	err = s.submit(&job{
		ctx:   ctx,
		doing: "purge",
		run: func(t *txn) (err error) {
			r, erasedTo = alotwebhook.PurgeResult{}, s.erasedTo
			if p.History > 0 {
				if err := t.purgeHistory(t.now-p.History.Microseconds(), limit, &r); err != nil {
					return err
				}
			}
			if p.Tallies > 0 {
				if r.Tallies, err = t.purgeTallies(t.now-p.Tallies.Microseconds(), limit); err != nil {
					return err
				}
			}
			if p.Payloads > 0 {
				erasedTo, err = t.purgePayloads(erasedTo, t.now-p.Payloads.Microseconds(), limit, &r)
			}
			return err
		},
		committed: func() { s.erasedTo = erasedTo },
		done:      make(chan struct{}),
	})
	if err != nil {
		return alotwebhook.PurgeResult{}, err
	}
	return r, nil
}

// purgeHistory deletes deliveries finished until then, then events and deleted
// endpoints that nothing refers to any more.
func (t *txn) purgeHistory(until int64, limit int, r *alotwebhook.PurgeResult) error {
	if err := t.purgeDeliveries(until, limit, r); err != nil {
		return err
	}
	if err := t.purgeEvents(until, limit, r); err != nil {
		return err
	}
	if err := t.purgeRecoveries(until, limit); err != nil {
		return err
	}
	return t.exec(`DELETE FROM alotwebhook_endpoints WHERE ref IN (
		SELECT ref FROM alotwebhook_endpoints p WHERE deleted_at <= ?
		AND NOT EXISTS (SELECT 1 FROM alotwebhook_queue WHERE endpoint = p.ref)
		AND NOT EXISTS (SELECT 1 FROM alotwebhook_deliveries WHERE endpoint = p.ref) LIMIT ?)`, until, limit)
}

// purgeDeliveries finds them without an index on the time they were finished,
// which every delivery would pay for. One that was finished until then is of
// an event whose id was made by then: it is among the oldest keys. Ids from
// the future, of clocks that are wrong or of hosts that make them up, are
// looked through as well.
func (t *txn) purgeDeliveries(until int64, limit int, r *alotwebhook.PurgeResult) error {
	made := firstKey(instant(until).Add(time.Millisecond))
	future := firstKey(instant(t.now).Add(time.Millisecond))
	for _, part := range [][2]key{{{}, made}, {future, {0: 0xff}}} {
		n, err := t.affected(`DELETE FROM alotwebhook_deliveries WHERE id IN (
			SELECT id FROM alotwebhook_deliveries WHERE id >= ? AND id < ? AND finished_at <= ? ORDER BY id LIMIT ?)`,
			part[0][:], part[1][:], until, limit-r.Deliveries)
		if err != nil {
			return err
		}
		r.Deliveries += int(n)
	}
	return nil
}

// An event's deliveries are among the keys that begin with its own millisecond.
const ofEvent = `id >= substr(e.id, 1, 6) AND id < CAST(substr(e.id, 1, 6) || x'ff' AS BLOB) AND event = e.ref`

// Events are numbered in the order that they were stored in: the oldest first.
const (
	oldEvents = `SELECT ref, stored_at, NOT EXISTS (SELECT 1 FROM alotwebhook_queue WHERE ` + ofEvent + `)
			AND NOT EXISTS (SELECT 1 FROM alotwebhook_deliveries WHERE ` + ofEvent + `)
		FROM alotwebhook_events e WHERE ref > ? ORDER BY ref`
	oldPayloads = `SELECT ref, stored_at, CASE WHEN payload IS NULL THEN NULL
			ELSE NOT EXISTS (SELECT 1 FROM alotwebhook_queue WHERE ` + ofEvent + `)
			AND NOT EXISTS (SELECT 1 FROM alotwebhook_deliveries WHERE ` + ofEvent + ` AND finished_at > ?2) END
		FROM alotwebhook_events e WHERE ref > ?1 ORDER BY ref`
)

func (t *txn) purgeEvents(until int64, limit int, r *alotwebhook.PurgeResult) error {
	refs, _, err := t.old(oldEvents, []any{int64(0)}, until, limit)
	for _, ref := range refs {
		if err == nil {
			err = t.exec("DELETE FROM alotwebhook_events WHERE ref = ?", ref)
		}
	}
	r.Events = len(refs)
	return err
}

// purgePayloads goes on behind the event up to which all are erased, and
// returns how far that is now.
func (t *txn) purgePayloads(erasedTo, until int64, limit int, r *alotwebhook.PurgeResult) (int64, error) {
	refs, erasedTo, err := t.old(oldPayloads, []any{erasedTo, until}, until, limit)
	for _, ref := range refs {
		if err == nil {
			err = t.exec("UPDATE alotwebhook_events SET payload = NULL WHERE ref = ?", ref)
		}
	}
	r.Payloads = len(refs)
	return erasedTo, err
}

// old returns the events stored until then whose time has come, by a query
// that says so of each: true, false, or NULL for one that has nothing to
// purge. Up to settled, none is left that has.
func (t *txn) old(query string, args []any, until int64, limit int) (refs []int64, settled int64, err error) {
	settled = args[0].(int64)
	kept := false
	err = t.each(query, args, func(scan func(...any) error) error {
		var ref, stored int64
		var over sql.NullBool
		if err := scan(&ref, &stored, &over); err != nil {
			return err
		}
		if stored > until || len(refs) == limit {
			return errEnough
		}
		if over.Bool {
			refs = append(refs, ref)
		}
		kept = kept || over.Valid && !over.Bool
		if !kept {
			settled = ref
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return refs, settled, err
}

var errEnough = errors.New("enough")
