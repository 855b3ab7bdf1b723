package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// eraser is what a transaction of the host's is, besides an Enqueuer.
type eraser interface {
	Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (int, string, error)
}

// withJane returns a store with one event about Jane that is due, of which two attempts tell of her: one stands
// with those that an unfinished delivery had, and the other is the last one if state is delivered.
func withJane(t *testing.T, state alotwebhook.DeliveryState) (jane person, store *postgres.Store, pool *pgxpool.Pool, c alotwebhook.Claimed) {
	t.Helper()
	jane = newPerson("jane")
	store, pool = openAt(t, postgrestest.DSN(t))
	e := putEndpoints(t, store, 1)[0]
	require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{jane.event(t, e.OrganizationID, 100)}))
	for _, state := range []alotwebhook.DeliveryState{alotwebhook.StatePending, state} {
		c = awaitClaims(t, store, 1, 1, time.Hour)[0]
		o := jane.telling(outcomesOf([]alotwebhook.Claimed{c})[0])
		o.State = state
		lost, err := store.Finish(t.Context(), []alotwebhook.Outcome{o})
		require.NoError(t, err)
		require.Empty(t, lost)
	}
	return jane, store, pool, c
}

// beside begins a transaction, does what the statements say, and returns how to commit it.
func beside(t *testing.T, pool *pgxpool.Pool, statements ...string) (commit func()) {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	for _, sql := range statements {
		_, err := tx.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	return func() { require.NoError(t, tx.Commit(t.Context())) }
}

// waiting starts do, and returns once so many sessions wait for locks. The result is that of do.
func waiting(t *testing.T, pool *pgxpool.Pool, schema string, n int, do func() error) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- do() }()
	require.Eventually(t, func() bool {
		var waits int
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND strpos(query, $1) > 0`, schema+`"`).Scan(&waits))
		return waits >= n
	}, patience, 5*time.Millisecond)
	return ended
}

func eraseOf(t *testing.T, store alotwebhook.Store, p person) func() error {
	return func() error {
		_, _, err := store.Erase(t.Context(), alotwebhook.Recovery{Subject: p.subject}, 10)
		return err
	}
}

// An outcome that is being stored while somebody erases is erased, too.
func TestEraseBesideFinish(t *testing.T) {
	t.Parallel()
	jane, store, pool, c := withJane(t, alotwebhook.StatePending)
	commit := beside(t, pool, withSchema(`DELETE FROM {s}.queue`, store.Schema()), withSchema(fmt.Sprintf(`
		INSERT INTO {s}.deliveries (id, endpoint, event_id, finished_at, attempts, number, delivered, event_type, detail, response_body)
		SELECT d.delivery_id, 1, e.id, now(), 3, 3, true, e.type, '%s', '%s' FROM {s}.events e, (SELECT DISTINCT delivery_id FROM {s}.attempts) AS d`,
		jane.detail, jane.response), store.Schema()))
	ended := waiting(t, pool, store.Schema(), 1, eraseOf(t, store, jane))
	commit()
	require.NoError(t, <-ended)
	require.Empty(t, rowsWith(t, pool, store.Schema(), jane))
	requireStates(t, store, map[alotwebhook.DeliveryState]int{alotwebhook.StateDelivered: 1})
	require.Equal(t, []string{c.DeliveryID}, finishAll(t, store, []alotwebhook.Claimed{c}))
}

// So is an attempt that is being stored with a retry.
func TestEraseBesideRetry(t *testing.T) {
	t.Parallel()
	jane, store, pool, _ := withJane(t, alotwebhook.StatePending)
	commit := beside(t, pool, withSchema(`UPDATE {s}.queue SET attempts = 3`, store.Schema()), withSchema(fmt.Sprintf(`
		INSERT INTO {s}.attempts (delivery_id, started_at, duration_ns, number, status_code, reason, detail, response_body)
		SELECT id, now(), 1, 3, 500, 'status', '%s', '%s' FROM {s}.queue`, jane.detail, jane.response), store.Schema()))
	ended := waiting(t, pool, store.Schema(), 1, eraseOf(t, store, jane))
	commit()
	require.NoError(t, <-ended)
	require.Empty(t, rowsWith(t, pool, store.Schema(), jane))
	requireStates(t, store, map[alotwebhook.DeliveryState]int{alotwebhook.StateFailed: 1})
}

// A redelivery that is under way puts the last attempt elsewhere, and the delivery back into the queue.
func TestEraseBesideRedeliver(t *testing.T) {
	t.Parallel()
	jane, store, pool, c := withJane(t, alotwebhook.StateDelivered)
	release := beside(t, pool, withSchema(`SELECT FROM {s}.deliveries FOR UPDATE`, store.Schema()))
	redelivered := waiting(t, pool, store.Schema(), 1, func() error {
		n, err := store.Redeliver(t.Context(), []string{c.DeliveryID})
		if err == nil && n != 1 {
			err = fmt.Errorf("%d were redelivered", n)
		}
		return err
	})
	erased := waiting(t, pool, store.Schema(), 2, eraseOf(t, store, jane))
	release()
	require.NoError(t, <-redelivered)
	require.NoError(t, <-erased)
	require.Empty(t, rowsWith(t, pool, store.Schema(), jane))
	requireStates(t, store, map[alotwebhook.DeliveryState]int{alotwebhook.StateFailed: 1})
	require.Empty(t, claim(t, store))
}

// A redelivery that waits for an erasure finds nothing to send.
func TestRedeliverBesideErase(t *testing.T) {
	t.Parallel()
	jane, store, pool, c := withJane(t, alotwebhook.StateDelivered)
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	n, next, err := store.Tx(tx).(eraser).Erase(t.Context(), alotwebhook.Recovery{Subject: jane.subject}, 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Empty(t, next)
	ended := waiting(t, pool, store.Schema(), 1, func() error {
		n, err := store.Redeliver(t.Context(), []string{c.DeliveryID})
		if err == nil && n != 0 {
			err = fmt.Errorf("%d were redelivered", n)
		}
		return err
	})
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, <-ended)
	require.Empty(t, rowsWith(t, pool, store.Schema(), jane))
	require.Empty(t, claim(t, store))
}

// openErasure erases in a transaction of the host's that stays open.
func openErasure(t *testing.T, store *postgres.Store, pool *pgxpool.Pool, subject string) pgx.Tx {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	n, _, err := store.Tx(tx).(eraser).Erase(t.Context(), alotwebhook.Recovery{Subject: subject}, 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	return tx
}

// While a host's transaction is open that erases what is under way, nobody waits who gives slots away,
// takes over those of a dead process, or claims again what was claimed before.
func TestOpenErasureHoldsUpNoClaim(t *testing.T) {
	t.Parallel()
	for _, ordered := range []bool{false, true} {
		t.Run(fmt.Sprintf("ordered=%v", ordered), func(t *testing.T) {
			t.Parallel()
			stores, pool := processes(t, 3)
			a, b, c := stores[0], stores[1], stores[2]
			jane := newPerson("jane")
			e := endpointOf("org_0", "a")
			e.Ordered = ordered
			require.NoError(t, a.PutEndpoint(t.Context(), e))
			require.NoError(t, a.Enqueue(t.Context(), []alotwebhook.Event{jane.event(t, "org_0", 100)}))
			first := awaitClaims(t, a, 1, 9, time.Hour)
			tx := openErasure(t, a, pool, jane.subject)
			stopClaiming(t, a) // it has to write its leases
			other := endpointOf("org_1", "b")
			require.NoError(t, a.PutEndpoint(t.Context(), other))
			enqueueAll(t, a, []alotwebhook.Endpoint{other}, 1)
			awaitClaimOf(t, b, other, 50*time.Millisecond)
			for range 2 { // once its lease has run out, it is claimed again, by the same process and by its heir
				time.Sleep(60 * time.Millisecond)
				awaitClaimOf(t, b, other, 50*time.Millisecond)
			}
			awaitClaimOf(t, c, other, 50*time.Millisecond) // b claims no more, as if it were killed
			require.NoError(t, tx.Commit(t.Context()))
			require.Equal(t, idsOf(first), finishAll(t, a, first))
			require.Empty(t, rowsWith(t, pool, a.Schema(), jane))
		})
	}
}

// awaitClaimOf claims until it has a delivery of the endpoint. It takes others as well.
func awaitClaimOf(t *testing.T, store alotwebhook.Store, e alotwebhook.Endpoint, lease time.Duration) {
	t.Helper()
	for began := time.Now(); time.Since(began) < patience; time.Sleep(5 * time.Millisecond) {
		for _, c := range claimSome(t, store, 9, 9, lease) {
			if c.Endpoint.ID == e.ID {
				return
			}
		}
	}
	require.FailNow(t, "nothing of the endpoint was claimed")
}

// What a process has claimed before and somebody is erasing, it does not wait for: it claims the rest.
func TestOpenErasureOfWhatWasClaimedBefore(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t))
	e := putEndpoints(t, store, 1)[0]
	jane := newPerson("jane")
	require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{jane.event(t, e.OrganizationID, 100)}))
	awaitClaims(t, store, 1, 9, 20*time.Millisecond)
	openErasure(t, store, pool, jane.subject)
	enqueueAll(t, store, []alotwebhook.Endpoint{e}, 1)
	time.Sleep(30 * time.Millisecond)
	for {
		if claimed := claimSome(t, store, 9, 9, time.Hour); len(claimed) > 0 {
			require.Equal(t, []int{1, 1}, []int{len(claimed), claimed[0].Claims})
			break
		}
	}
}

// Of an organization alone, a call looks at so many events and no more, and says where to go on.
func TestEraseGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t))
	fillEvents(t, pool, store.Schema(), "org_many", 45_000)
	jane := newPerson("jane")
	oldest := aged(jane.event(t, "org_0", 100), time.Now().AddDate(0, 0, -1))
	require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{oldest}))
	calls, sum := 0, 0
	for r := (alotwebhook.Recovery{OrganizationID: "org_0"}); ; {
		n, next, err := store.Erase(t.Context(), r, 1000)
		require.NoError(t, err)
		sum += n
		calls++
		if r.Cursor = next; next == "" {
			break
		}
	}
	require.Equal(t, 3, calls)
	require.Equal(t, 1, sum)
	require.Empty(t, rowsWith(t, pool, store.Schema(), jane))
	require.Equal(t, 45_000, count(t, pool, withSchema(`{s}.events WHERE payload IS NOT NULL`, store.Schema())))
}

// fillEvents stores n events of an organization, ten a millisecond up to now.
func fillEvents(t testing.TB, pool *pgxpool.Pool, schema, organization string, n int) {
	t.Helper()
	_, err := pool.Exec(t.Context(), withSchema(`
		INSERT INTO {s}.events (id, type, organization_id, payload, created_at)
		SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - ($1 - i) / 10), 12, '0')
			|| '7' || substr(md5(i::text), 1, 3) || '8' || substr(md5(i::text), 4, 15))::uuid, 'candidate.completed', $2, repeat('x', 300), now()
		FROM generate_series(1, $1::bigint) AS i`, schema), n, organization)
	require.NoError(t, err)
}

// Who stores outcomes locks the same rows in another order. He must not be the one whose transaction
// fails: his outcomes would be stored late.
func TestOutcomesGoFirst(t *testing.T) {
	t.Parallel()
	cluster := postgrestest.New(t, "deadlock_timeout = 1min")
	for name, do := range map[string]func(context.Context, *postgres.Store, []alotwebhook.Event, []string) error{
		"cancel": func(ctx context.Context, s *postgres.Store, _ []alotwebhook.Event, ids []string) error {
			_, err := s.Cancel(ctx, ids)
			return err
		},
		"erase": func(ctx context.Context, s *postgres.Store, events []alotwebhook.Event, _ []string) error {
			_, _, err := s.Erase(ctx, alotwebhook.Recovery{OrganizationID: events[0].OrganizationID}, 10)
			return err
		},
		"remove": func(ctx context.Context, s *postgres.Store, events []alotwebhook.Event, _ []string) error {
			_, err := s.Remove(ctx, events[0].OrganizationID, 10)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, pool := openAt(t, cluster.DSN())
			e := putEndpoints(t, store, 1)[0]
			var events []alotwebhook.Event
			var ids []string
			for range 2 {
				events = append(events, newEvent(t, e.OrganizationID))
				ids = append(ids, alotwebhook.DeliveryID(events[len(events)-1].ID, e.ID))
			}
			require.NoError(t, store.Enqueue(t.Context(), events))
			tx, err := pool.Begin(t.Context())
			require.NoError(t, err)
			defer func() { _ = tx.Rollback(context.Background()) }()
			_, err = tx.Exec(t.Context(), withSchema(`SET LOCAL deadlock_timeout = '5s'; SELECT FROM {s}.queue ORDER BY id DESC LIMIT 1 FOR UPDATE`, store.Schema()))
			require.NoError(t, err)
			ended := waiting(t, pool, store.Schema(), 1, func() error { return do(t.Context(), store, events, ids) })
			_, err = tx.Exec(t.Context(), withSchema(`SELECT FROM {s}.queue ORDER BY id FOR UPDATE`, store.Schema()))
			require.NoError(t, err)
			require.NoError(t, tx.Commit(t.Context()))
			require.NoError(t, <-ended)
			require.Zero(t, count(t, pool, store.Schema()+".queue"))
		})
	}
}
