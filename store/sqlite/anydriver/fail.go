package anydriver

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

// chunk is how many deliveries of a deleted endpoint one transaction fails.
const chunk = 1000

// everyKey is behind every key of a delivery.
var everyKey = key{0: 0xff, 6: 0xff}

// fail moves unfinished deliveries of an endpoint from the queue into the history, as
// failed for that reason and without an attempt: those that fell due first, up to limit.
// It leaves those that fall due after until (µs since 1970), and those of the key before or
// a greater one. spare says to leave those, too, that have a lease which has not run out, or
// that this store holds: their attempt may be under way. It returns how many it moved.
func (t *txn) fail(ref int64, limit int, reason alotwebhook.FailureReason, until int64, before key, spare bool) (int64, error) {
	const some = `(SELECT id FROM alotwebhook_queue WHERE endpoint = ? AND next_at <= ? AND id < ?
		AND NOT (? AND (lease <> 0 AND next_at > ? OR hex(id) IN (SELECT value FROM json_each(?)))) ORDER BY next_at, id LIMIT ?)`
	which := []any{ref, until, before[:], spare, t.now, hexList(t.s.held.leased(t.now)[ref]), limit}
	err := t.exec(`INSERT INTO alotwebhook_deliveries (id, endpoint, state, type, event, attempts, created_at, finished_at, status, reason, history)
		SELECT id, endpoint, ?, type, event, attempts, created_at, ?, status, ?, history
		FROM alotwebhook_queue WHERE id IN `+some, append([]any{failed, t.now, string(reason)}, which...)...)
	if err != nil {
		return 0, err
	}
	return t.affected("DELETE FROM alotwebhook_queue WHERE id IN "+some, which...)
}

// hexList returns keys as a JSON array of what SQLite's hex returns for them.
func hexList(keys []key) string {
	b := []byte{'['}
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `"%X"`, k[:])
	}
	return string(append(b, ']'))
}

// failBacklog fails all unfinished deliveries of a deleted endpoint, and its tests.
func (s *Store) failBacklog(ctx context.Context, ref int64) error {
	for _, lane := range []int64{-ref, ref} {
		if err := s.failLane(ctx, lane); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) failLane(ctx context.Context, ref int64) error {
	for moved := int64(chunk); moved == chunk; {
		err := s.write(ctx, "fail the deleted endpoint's deliveries", func(t *txn) (err error) {
			moved, err = t.fail(ref, chunk, alotwebhook.ReasonEndpointDeleted, math.MaxInt64, everyKey, false)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// failOrphans fails the unfinished deliveries of endpoints that an earlier process
// deleted without coming to the end of them.
func (s *Store) failOrphans(ctx context.Context) error {
	var refs []int64
	err := s.read(ctx, "find unfinished deletions", func(t *txn) (err error) {
		refs, err = t.numbers(`SELECT ref FROM alotwebhook_endpoints e WHERE deleted_at IS NOT NULL
			AND EXISTS (SELECT 1 FROM alotwebhook_queue WHERE endpoint IN (e.ref, -e.ref))`)
		return err
	})
	for _, ref := range refs {
		if err == nil {
			err = s.failBacklog(ctx, ref)
		}
	}
	return err
}

// cancelRows and dequeueRows move unfinished deliveries into the history by their keys.
var (
	cancelRows = batchOf(`INSERT INTO alotwebhook_deliveries (id, endpoint, state, type, event, attempts, created_at, finished_at, status, reason, history)
		SELECT id, endpoint, ?, type, event, attempts, created_at, ?, status, ?, history FROM alotwebhook_queue WHERE id IN (%)`, "?")
	dequeueRows = batchOf("DELETE FROM alotwebhook_queue WHERE id IN (%)", "?")
)

// Cancel implements [alotwebhook.Queue]. What is held of an ordered endpoint stays held until the
// outcome of its attempt is lost: so the endpoint gets one request at a time still.
func (s *Store) Cancel(ctx context.Context, deliveryIDs []string) (n int, err error) {
	keys := make([]key, 0, len(deliveryIDs))
	for _, id := range deliveryIDs {
		if k, ok := parseKey(deliveryPrefix, id); ok {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b key) int { return bytes.Compare(a[:], b[:]) })
	keys = slices.Compact(keys) // each is inserted once
	err = s.write(ctx, "cancel", func(t *txn) (err error) {
		n, err = t.cancel(keys, alotwebhook.ReasonCanceled)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// cancel fails unfinished deliveries by their keys, none of which comes twice, for that reason and
// without an attempt. It returns how many there were. What the store holds of them falls due no more.
func (t *txn) cancel(keys []key, reason alotwebhook.FailureReason) (n int, err error) {
	err = cancelRows.keys([]any{failed, t.now, string(reason)}, keys, func(query string, args []any) error {
		return t.exec(query, args...)
	})
	if err != nil {
		return 0, err
	}
	t.canceled = append(t.canceled, keys...)
	err = dequeueRows.keys(nil, keys, func(query string, args []any) error {
		gone, err := t.affected(query, args...)
		n += int(gone)
		return err
	})
	return n, err
}

// Discard implements [alotwebhook.Endpoints].
func (s *Store) Discard(ctx context.Context, endpointID string, before time.Time, limit int) (n int, err error) {
	err = s.write(ctx, "discard what is parked", func(t *txn) error {
		var ref int64
		var active bool
		err := t.one("SELECT ref, active FROM alotwebhook_endpoints WHERE id = ? AND deleted_at IS NULL", endpointID)(&ref, &active)
		if errors.Is(err, sql.ErrNoRows) {
			return notFound("endpoint", endpointID)
		}
		if n = 0; err != nil || active {
			return err
		}
		moved, err := t.fail(ref, max(limit, 0), alotwebhook.ReasonDiscarded, math.MaxInt64, firstKey(before), true)
		n = int(moved)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// expirable returns the refs of up to limit endpoints that were disabled age ago or before
// and have a delivery that fell due by then. It probes the queue once for each endpoint
// that is disabled, and keeps nobody from writing.
func (s *Store) expirable(ctx context.Context, age time.Duration, limit int) (refs []int64, err error) {
	err = s.read(ctx, "find what has been parked for too long", func(t *txn) (err error) {
		refs, err = t.numbers(`SELECT ref FROM alotwebhook_endpoints e
			WHERE active = 0 AND deleted_at IS NULL AND disabled_at <= ?1
				AND EXISTS (SELECT 1 FROM alotwebhook_queue WHERE endpoint = e.ref AND next_at <= ?1)
			LIMIT ?2`, t.now-age.Microseconds(), limit)
		return err
	})
	return refs, err
}

// expire fails deliveries of these endpoints that fell due at until or before, up to limit,
// and returns how many. It passes over an endpoint that was not disabled by then, or is not
// any more. It also notes when endpoints were disabled by a process of an older release,
// which does not.
func (t *txn) expire(refs []int64, until int64, limit int) (n int, err error) {
	err = t.exec("UPDATE alotwebhook_endpoints SET disabled_at = ? WHERE active = 0 AND deleted_at IS NULL AND disabled_at IS NULL", t.now)
	for _, ref := range refs {
		if err != nil || n == limit {
			break
		}
		var disabled bool
		err = t.one(`SELECT active = 0 AND deleted_at IS NULL AND disabled_at <= ? FROM alotwebhook_endpoints WHERE ref = ?`, until, ref)(&disabled)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		if disabled && err == nil {
			var moved int64
			moved, err = t.fail(ref, limit-n, alotwebhook.ReasonExpired, until, everyKey, true)
			n += int(moved)
		}
	}
	return n, err
}
