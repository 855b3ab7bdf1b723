package postgres_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// everyWay calls test with a function for each way to enqueue: by the store itself, and in a
// host's transaction of each kind, which it commits.
func everyWay(t *testing.T, test func(t *testing.T, store *postgres.Store, enqueue func(...alotwebhook.Event))) {
	pgxTx := func(options pgx.TxOptions) func(*testing.T, *postgres.Store, *pgxpool.Pool, []alotwebhook.Event) {
		return func(t *testing.T, store *postgres.Store, pool *pgxpool.Pool, events []alotwebhook.Event) {
			require.NoError(t, pgx.BeginTxFunc(t.Context(), pool, options, func(tx pgx.Tx) error { return store.Tx(tx).Enqueue(t.Context(), events) }))
		}
	}
	for name, way := range map[string]func(*testing.T, *postgres.Store, *pgxpool.Pool, []alotwebhook.Event){
		"Enqueue": func(t *testing.T, store *postgres.Store, _ *pgxpool.Pool, events []alotwebhook.Event) {
			require.NoError(t, store.Enqueue(t.Context(), events))
		},
		"Tx":               pgxTx(pgx.TxOptions{}),
		"Tx, serializable": pgxTx(pgx.TxOptions{IsoLevel: pgx.Serializable}),
		"SQLTx": func(t *testing.T, store *postgres.Store, _ *pgxpool.Pool, events []alotwebhook.Event) {
			db, err := sql.Open("postgres", postgrestest.DSN(t))
			require.NoError(t, err)
			defer db.Close()
			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			require.NoError(t, store.SQLTx(tx).Enqueue(t.Context(), events))
			require.NoError(t, tx.Commit())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, pool := openAt(t, postgrestest.DSN(t))
			test(t, store, func(events ...alotwebhook.Event) { way(t, store, pool, events) })
		})
	}
}

// endpointOf returns a new endpoint of an organization.
func endpointOf(organization, id string) alotwebhook.Endpoint {
	return alotwebhook.Endpoint{
		ID: "wh_" + id + strings.Repeat("0", 26-len(id)), OrganizationID: organization, URL: "https://example.com/hook",
		EventTypes: []string{"candidate.completed"}, Secret: "secret",
	}
}

// requireDue claims and requires the deliveries of the event to the endpoints.
func requireDue(t *testing.T, store alotwebhook.Store, event alotwebhook.Event, endpoints ...alotwebhook.Endpoint) {
	t.Helper()
	var want, got []string
	for _, e := range endpoints {
		want = append(want, alotwebhook.DeliveryID(event.ID, e.ID))
	}
	for _, c := range claim(t, store) {
		got = append(got, c.DeliveryID)
	}
	require.ElementsMatch(t, want, got)
}

// A process remembers who got the last event of an organization. Other processes register,
// change and delete endpoints meanwhile.
func TestEndpointsChangeElsewhere(t *testing.T) {
	t.Parallel()
	everyWay(t, func(t *testing.T, store *postgres.Store, enqueue func(...alotwebhook.Event)) {
		elsewhere, err := postgres.New(t.Context(), postgrestest.Pool(t), &postgres.Options{Schema: store.Schema()})
		require.NoError(t, err)
		emit := func(want ...alotwebhook.Endpoint) {
			t.Helper()
			for range 2 { // the second time, the process knows them
				e := newEvent(t, "org_a")
				enqueue(e)
				requireDue(t, store, e, want...)
				enqueue(e)
				requireDue(t, store, e)
			}
			events := []alotwebhook.Event{newEvent(t, "org_other"), newEvent(t, "org_a")}
			enqueue(events...)
			requireDue(t, store, events[1], want...)
		}
		put := func(e *alotwebhook.Endpoint) {
			t.Helper()
			require.NoError(t, elsewhere.PutEndpoint(t.Context(), *e))
			e.Version++
		}
		emit()
		a, b, other := endpointOf("org_a", "a"), endpointOf("org_a", "b"), endpointOf("org_b", "c")
		put(&a)
		put(&other)
		emit(a)
		put(&b)
		emit(a, b)
		a.EventTypes = []string{"candidate.invited"}
		put(&a)
		emit(b)
		a.EventTypes = []string{"candidate.completed"}
		put(&a)
		emit(a, b)
		require.NoError(t, elsewhere.DeleteEndpoint(t.Context(), b.ID))
		emit(a)
		b.Version = 0 // the same id again is another endpoint
		put(&b)
		emit(a, b)
		other.OrganizationID = "org_a"
		put(&other)
		emit(a, b, other)
		other.Disabled, other.DisabledReason = true, alotwebhook.DisabledByUser
		put(&other)
		emit(a, b)
		require.EqualValues(t, 6, stats(t, store).Parked, "three that were claimed before, and three more")
	})
}

func stats(t *testing.T, store alotwebhook.Store) alotwebhook.Stats {
	t.Helper()
	st, err := store.Stats(t.Context())
	require.NoError(t, err)
	return st
}

// A batch may contain events that are stored already, and some twice.
func TestBatchesThatOverlap(t *testing.T) {
	t.Parallel()
	everyWay(t, func(t *testing.T, store *postgres.Store, enqueue func(...alotwebhook.Event)) {
		endpoints := putEndpoints(t, store, 3)
		var events []alotwebhook.Event
		for i := range 12 {
			events = append(events, newEvent(t, endpoints[i%3].OrganizationID))
		}
		enqueue(events[4:6]...)
		require.Len(t, claim(t, store), 2)
		enqueue(append(slices.Clone(events[:8]), events[7])...)
		got := claim(t, store)
		require.Len(t, got, 6)
		for _, c := range got {
			require.Equal(t, alotwebhook.DeliveryID(c.EventID, c.Endpoint.ID), c.DeliveryID)
			require.NotContains(t, []string{events[4].ID, events[5].ID}, c.EventID)
		}
		enqueue(events[:8]...)
		require.Empty(t, claim(t, store))
		enqueue(events...)
		require.Len(t, claim(t, store), 4)
		require.EqualValues(t, 12, stats(t, store).Pending)

		many := make([]alotwebhook.Event, 300)
		for i := range many {
			many[i] = newEvent(t, endpoints[i%3].OrganizationID)
		}
		for _, c := range []struct{ from, to, pending int }{{100, 200, 112}, {0, 250, 262}, {0, 300, 312}, {0, 300, 312}} {
			enqueue(append(slices.Clone(many[c.from:c.to]), many[c.from])...)
			require.EqualValues(t, c.pending, stats(t, store).Pending)
		}
		for i, e := range many {
			_, err := store.Delivery(t.Context(), alotwebhook.DeliveryID(e.ID, endpoints[i%3].ID))
			require.NoError(t, err)
		}
	})
}

// More deliveries than one statement takes, and more endpoints than a process remembers.
func TestManyEndpointsOfAnOrganization(t *testing.T) {
	t.Parallel()
	everyWay(t, func(t *testing.T, store *postgres.Store, enqueue func(...alotwebhook.Event)) {
		const n = 250
		for i := range n {
			require.NoError(t, store.PutEndpoint(t.Context(), endpointOf("org_a", fmt.Sprintf("x%03dx", i))))
		}
		for range 2 {
			enqueue(newEvent(t, "org_a"))
		}
		require.EqualValues(t, 2*n, stats(t, store).Pending)
		events := make([]alotwebhook.Event, 170)
		for i := range events {
			events[i] = newEvent(t, "org_a")
		}
		enqueue(events...)
		require.EqualValues(t, (2+len(events))*n, stats(t, store).Pending)
		require.NotEmpty(t, claim(t, store))
	})
}

// Planning costs more than all the rest, so a connection has to keep its plans.
func TestEnqueuePlansOnce(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t), func(c *pgxpool.Config) { c.MaxConns = 1 })
	endpoints := putEndpoints(t, store, 300)
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			_, err := pool.Exec(t.Context(), "ANALYZE "+store.Schema()+".endpoints")
			require.NoError(t, err)
			pool.Reset()
		}
		for i := range 12 {
			// The first event of an organization, the second, two at once, and many.
			for _, n := range []int{1, 1, 2, 120} {
				events := make([]alotwebhook.Event, n)
				for j := range events {
					events[j] = newEvent(t, endpoints[i].OrganizationID)
				}
				if n <= 2 {
					require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return store.Tx(tx).Enqueue(t.Context(), events) }))
					continue
				}
				require.NoError(t, store.Enqueue(t.Context(), events))
			}
		}
		rows, err := pool.Query(t.Context(), `SELECT statement, generic_plans, custom_plans FROM pg_prepared_statements
			WHERE statement ~ '^.(WITH|SELECT w|INSERT)' AND generic_plans + custom_plans >= 12`)
		require.NoError(t, err)
		var statement string
		var generic, custom int
		seen := 0
		_, err = pgx.ForEachRow(rows, []any{&statement, &generic, &custom}, func() error {
			seen++
			require.LessOrEqual(t, custom, 5, statement)
			require.Positive(t, generic, statement)
			return nil
		})
		require.NoError(t, err)
		// The first round sees one more, since the process does not know the endpoints yet.
		require.GreaterOrEqual(t, seen, 5, "enqueueKnown, findSubscribers, insertEvents, insertNewEvents, insertDeliveries")
	}
}
