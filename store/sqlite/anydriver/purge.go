package anydriver

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/alot/alotwebhook"
)

// defaultPurge is how many rows of each kind a purge removes at most when its request
// sets no limit.
const defaultPurge = 1000

// Purge implements [alotwebhook.History].
func (s *Store) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (r alotwebhook.PurgeResult, err error) {
	limit := cmp.Or(max(p.Limit, 0), defaultPurge)
	var expirable []int64
	if p.Parked > 0 {
		if expirable, err = s.expirable(ctx, p.Parked, limit); err != nil {
			return r, err
		}
	}
	var erasedTo int64
	err = s.submit(&job{
		ctx:   ctx,
		doing: "purge",
		run: func(t *txn) (err error) {
			r, erasedTo = alotwebhook.PurgeResult{}, s.erasedTo
			if p.Parked > 0 {
				if r.Expired, err = t.expire(expirable, t.now-p.Parked.Microseconds(), limit); err != nil {
					return err
				}
			}
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

// purgeHistory deletes deliveries that were finished at until (µs since 1970) or
// before, and then the events, recoveries, operations and deleted endpoints that are as old and
// to which nothing refers any more.
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
	if err := t.purgeOperations(until, limit, r); err != nil {
		return err
	}
	return t.exec(`DELETE FROM alotwebhook_endpoints WHERE ref IN (
		SELECT ref FROM alotwebhook_endpoints p WHERE deleted_at <= ?
		AND NOT EXISTS (SELECT 1 FROM alotwebhook_queue WHERE endpoint IN (p.ref, -p.ref))
		AND NOT EXISTS (SELECT 1 FROM alotwebhook_deliveries WHERE endpoint IN (p.ref, -p.ref)) LIMIT ?)`, until, limit)
}

// purgeDeliveries deletes deliveries that were finished at until or before. No index
// knows when a delivery was finished, since each delivery would pay for it. But one
// that was finished by then has an event whose id was made by then: so it is among
// the least keys. The keys of the future are searched as well. They come from wrong
// clocks, or from hosts that make up ids.
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

// ofEvent is a condition that the deliveries of an event e meet. Their keys all begin
// with the event's millisecond, which lets the primary key find them.
const ofEvent = `id >= substr(e.id, 1, 6) AND id < CAST(substr(e.id, 1, 6) || x'ff' AS BLOB) AND event = e.ref`

// oldEvents and oldPayloads are the queries for old. They go through the events behind
// a ref, in the order in which they were stored. Each row holds the event's ref, when
// it was stored, and whether it may be purged: true, false for not yet, or NULL if
// nothing is left to purge.
const (
	oldEvents = `SELECT ref, stored_at, NOT EXISTS (SELECT 1 FROM alotwebhook_queue WHERE ` + ofEvent + `)
			AND NOT EXISTS (SELECT 1 FROM alotwebhook_deliveries WHERE ` + ofEvent + `)
		FROM alotwebhook_events e WHERE ref > ? AND type <> 0 ORDER BY ref`
	oldPayloads = `SELECT ref, stored_at, CASE WHEN payload IS NULL THEN NULL
			ELSE NOT EXISTS (SELECT 1 FROM alotwebhook_queue WHERE ` + ofEvent + `)
			AND NOT EXISTS (SELECT 1 FROM alotwebhook_deliveries WHERE ` + ofEvent + ` AND finished_at > ?2) END
		FROM alotwebhook_events e WHERE ref > ?1 ORDER BY ref`
)

// purgeEvents deletes events that were stored at until or before and have no delivery.
func (t *txn) purgeEvents(until int64, limit int, r *alotwebhook.PurgeResult) error {
	refs, _, err := t.old(oldEvents, []any{int64(0)}, until, limit)
	if err != nil || len(refs) == 0 {
		return err
	}
	r.Events = len(refs)
	return t.keepLast(func() error { return t.exec("DELETE FROM alotwebhook_events WHERE ref "+amongRefs, numberList(refs)) })
}

// purgePayloads erases the payloads of events that were stored, and whose deliveries
// were all finished, at until or before. Up to the event erasedTo, all payloads are
// erased: it begins behind that one, and returns how far they are erased now.
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

// old returns the refs of the events that were stored at until or before and that the
// query says may be purged, up to limit. args are the query's, the first of which is
// the ref behind which it begins. settled is the event up to which nothing more can
// become due for purging, once these are purged: the next purge may begin behind it.
func (t *txn) old(query string, args []any, until int64, limit int) (refs []int64, settled int64, err error) {
	settled = args[0].(int64)
	kept := false // an event was met that has to be kept for now
	err = t.each(query, args, func(scan func(...any) error) error {
		var ref, stored int64
		var purgeable sql.NullBool
		if err := scan(&ref, &stored, &purgeable); err != nil {
			return err
		}
		if stored > until || len(refs) == limit {
			return errEnough
		}
		if purgeable.Bool {
			refs = append(refs, ref)
		}
		kept = kept || purgeable.Valid && !purgeable.Bool
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

// errEnough ends a query early.
var errEnough = errors.New("enough")
