package anydriver

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqltx"
)

// Enqueue implements [alotwebhook.Enqueuer].
func (s *Store) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	if len(events) == 0 {
		return nil
	}
	return s.write(ctx, "enqueue", func(t *txn) error { return t.enqueue(events, t.subscribers) })
}

// EnqueueTo implements [alotwebhook.Queue].
func (s *Store) EnqueueTo(ctx context.Context, endpointID string, event alotwebhook.Event) error {
	return s.write(ctx, "enqueue", func(t *txn) error {
		var ref, version int64
		err := t.one(liveEndpoint, endpointID)(&ref, &version)
		if errors.Is(err, sql.ErrNoRows) {
			return notFound("endpoint", endpointID)
		}
		if err != nil {
			return err
		}
		err = t.enqueue([]alotwebhook.Event{event}, func(topic) ([]subscriber, error) {
			return []subscriber{{laneOf(ref, &event), endpointID}}, nil
		})
		if err == nil && event.Test {
			err = t.markTest(event.ID, endpointID, -ref)
		}
		return err
	})
}

// Tx returns an enqueuer that stores events in the host's own transaction:
// they are there if and when it commits. tx is a [*sql.Tx], or what a library
// above database/sql has for one; package sqltx says what that is in GORM, sqlx
// and others. The transaction must be one of the store's database, on whatever
// handle, and must not have ended; one on another database is refused. It costs least on the handle that
// the store was given, where SQLite need not be asked which database it is. What is no transaction, nil among it, is refused by Enqueue, with an
// [*alotwebhook.FieldError].
//
// Enqueue takes the write lock. A transaction that has read before fails with
// SQLITE_BUSY if another one has written since: begin it with
// _txlock=immediate, or enqueue first.
func (s *Store) Tx(tx sqltx.Tx) alotwebhook.Enqueuer { return hostTx{s, tx} }

type hostTx struct {
	s  *Store
	tx sqltx.Tx
}

// Place is that of the store.
func (h hostTx) Place() string { return h.s.Place() }

// Enqueue implements [alotwebhook.Enqueuer].
func (h hostTx) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	t, err := h.begin(ctx)
	if err != nil || len(events) == 0 {
		return err
	}
	return h.whole(t, "enqueue", func() error {
		if len(events) == 1 {
			if stored, err := t.enqueueOne(&events[0], &h.s.audiences); stored || err != nil {
				return err
			}
		}
		if err := t.lockFirst(); err != nil {
			return err
		}
		return t.enqueue(events, func(of topic) ([]subscriber, error) {
			c, err := t.known()
			if err != nil {
				return nil, err
			}
			return t.audience(&h.s.audiences, c.changes, of)
		})
	})
}

// begin returns the host's transaction, or says why it cannot be used.
func (h hostTx) begin(ctx context.Context) (*txn, error) {
	if err := h.s.made(); err != nil {
		return nil, err
	}
	select {
	case <-h.s.quit:
		return nil, errClosed
	default:
	}
	tx, err := sqltx.Of(h.tx)
	if err != nil {
		return nil, err
	}
	return &txn{ctx: ctx, on: tx, now: time.Now().UnixMicro(), prepared: h.s.forHosts}, nil
}

// whole is [txn.whole] on the store's database, with an error that says what was done.
func (h hostTx) whole(t *txn, doing string, f func() error) error {
	doing += " in the host's transaction"
	return explainTx(doing, t.whole(func() error {
		if err := h.s.checkDatabase(t, doing); err != nil {
			return err
		}
		return f()
	}))
}

// whole executes these statements.
const (
	savepoint = "SAVEPOINT alotwebhook"
	release   = "RELEASE alotwebhook"
)

// whole runs f so that all it does is done or nothing is, even if the host goes
// on after an error and commits.
func (t *txn) whole(f func() error) error {
	err := t.exec(savepoint)
	if err != nil {
		return err
	}
	err = f()
	t.ctx, t.caller = context.WithoutCancel(t.ctx), nil
	if err != nil {
		err = errors.Join(err, t.exec("ROLLBACK TO alotwebhook"))
	}
	return errors.Join(err, t.exec(release))
}

// outlive lets the statements of a host's transaction run to their ends, once it has the write
// lock and none of them waits. SQLite rolls a whole transaction back if it interrupts one that
// writes, commits at once what is executed in it afterwards, and the host's *sql.Tx knows
// nothing of it. The caller's context ends the work between two statements.
func (t *txn) outlive() {
	if t.caller == nil {
		t.ctx, t.caller = context.WithoutCancel(t.ctx), t.ctx
	}
}

// stopped returns why the caller's context has ended, if it has since outlive.
func (t *txn) stopped() error {
	if t.caller == nil {
		return nil
	}
	return context.Cause(t.caller)
}

// lockFirst writes nothing, but takes the write lock of a host's transaction before anything is read.
func (t *txn) lockFirst() error {
	if err := t.exec("DELETE FROM alotwebhook_migrations WHERE 0"); err != nil {
		return err
	}
	t.outlive()
	t.now = time.Now().UnixMicro() // not before: who writes first is due first
	return nil
}

// insertEvents inserts events, but none whose id is stored already. insertAbout does so with their
// subjects, for which the others need not pay. insertQueue inserts deliveries.
var (
	insertEvents = batchOf("INSERT INTO alotwebhook_events (ref, id, type, happened_at, stored_at, organization, payload, trace_parent) VALUES % ON CONFLICT (id) DO NOTHING", "(?,?,?,?,?,?,?,?)")
	insertAbout  = batchOf("INSERT INTO alotwebhook_events (ref, id, type, happened_at, stored_at, organization, payload, trace_parent, subject) VALUES % ON CONFLICT (id) DO NOTHING", "(?,?,?,?,?,?,?,?,?)")
	insertQueue  = batchOf("INSERT INTO alotwebhook_queue (id, endpoint, next_at, lease, claims, attempts, tried, event, type, created_at, status, reason, history) VALUES %",
		"(?,?,?,0,0,0,0,?,?,?,0,'','')")
)

// fresh is an event that is about to be stored.
type fresh struct {
	event *alotwebhook.Event
	key   key
	ref   int64 // its number in the table
	kind  int64 // the ref of its type
}

// due is a delivery that is about to be stored.
type due struct {
	key      key
	endpoint int64
	of       *fresh
}

// enqueue stores the events that are new, and a delivery of each to every endpoint
// that subscribers returns for it.
func (t *txn) enqueue(events []alotwebhook.Event, subscribers func(topic) ([]subscriber, error)) error {
	stored, err := t.storeEvents(events)
	if err != nil {
		return err
	}
	var deliveries []due
	for i := range stored {
		f := &stored[i]
		list, err := subscribers(topic{f.event.OrganizationID, f.event.Type})
		if err != nil {
			return err
		}
		for _, s := range list {
			k, _ := parseKey(deliveryPrefix, alotwebhook.DeliveryID(f.event.ID, s.id))
			deliveries = append(deliveries, due{k, s.ref, f})
		}
	}
	return t.queue(deliveries)
}

// queue stores deliveries. Those of an event are due a microsecond before those of the next, so
// that the events of a call keep their order. To store them has taken longer than that: the first
// is due behind what earlier calls have stored.
func (t *txn) queue(deliveries []due) error {
	now := max(time.Now().UnixMicro(), t.now)
	return insertQueue.rows(t, len(deliveries), 6, func(args []any, i int) []any {
		d := &deliveries[i]
		return append(args, d.key[:], d.endpoint, now-(deliveries[len(deliveries)-1].of.ref-d.of.ref), d.of.ref, d.of.kind, t.now)
	})
}

// storeEvents stores the events that are new and returns them.
func (t *txn) storeEvents(events []alotwebhook.Event) ([]fresh, error) {
	list, err := t.number(events)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	var stored int64
	insert, about := &insertEvents, slices.ContainsFunc(events, func(e alotwebhook.Event) bool { return e.Subject != "" })
	if about {
		insert = &insertAbout
	}
	err = insert.split(len(list), func(query string, from, to int) error {
		args := make([]any, 0, 9*(to-from))
		for i := from; i < to; i++ {
			f := &list[i]
			e := f.event
			args = append(args, f.ref, f.key[:], f.kind, e.Timestamp.UnixMicro(), t.now, e.OrganizationID, e.Payload(), nullable(e.TraceParent))
			if about {
				args = append(args, nullable(e.Subject))
			}
		}
		n, err := t.affected(query, args...)
		stored += n
		return err
	})
	if err != nil || stored == int64(len(list)) {
		return list, err
	}
	return t.onlyStored(list)
}

// number gives the events refs, which go on behind those of the table. Of several
// events with one id it keeps the first.
func (t *txn) number(events []alotwebhook.Event) ([]fresh, error) {
	var last int64
	if err := t.one("SELECT coalesce(max(ref), 0) FROM alotwebhook_events")(&last); err != nil {
		return nil, err
	}
	list := make([]fresh, 0, len(events))
	seen := make(map[key]bool, len(events))
	for i := range events {
		k, err := eventKey(events[i].ID)
		if err != nil {
			return nil, err
		}
		if seen[k] {
			continue
		}
		seen[k] = true
		kind, err := t.typeRef(events[i].Type)
		if err != nil {
			return nil, err
		}
		last++
		list = append(list, fresh{&events[i], k, last, kind})
	}
	return list, nil
}

// onlyStored returns the events of the list that were inserted. The others' ids were
// stored before, so the table has no row with their new refs.
func (t *txn) onlyStored(list []fresh) ([]fresh, error) {
	there := make(map[int64]bool, len(list))
	err := t.each("SELECT ref FROM alotwebhook_events WHERE ref >= ?", []any{list[0].ref}, func(scan func(...any) error) error {
		var ref int64
		err := scan(&ref)
		there[ref] = true
		return err
	})
	kept := list[:0]
	for _, f := range list {
		if there[f.ref] {
			kept = append(kept, f)
		}
	}
	return kept, err
}
