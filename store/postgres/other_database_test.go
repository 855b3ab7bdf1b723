package postgres_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// A host that has a database for each customer, or a second one for tests, begins a transaction on the
// wrong one some day. That has the same tables, and would take the events for good.
func TestTxOfAnotherDatabaseThatHasTheTables(t *testing.T) {
	t.Parallel()
	hereDSN, thereDSN := newDatabase(t), newDatabase(t)
	here, poolHere := openDatabase(t, hereDSN)
	there, pool := openDatabase(t, thereDSN)
	events := []alotwebhook.Event{newEvent(t, putEndpoints(t, there, 1)[0].OrganizationID)}
	many := make([]alotwebhook.Event, 200)
	for i := range many {
		many[i] = newEvent(t, events[0].OrganizationID)
	}
	d, err := alotwebhook.NewDispatcher(here, nil)
	require.NoError(t, err)
	db, err := sql.Open("pgx", thereDSN)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	home, other := databaseOf(t, poolHere), databaseOf(t, pool)
	require.NotEqual(t, home, other)

	require.NoError(t, there.Enqueue(t.Context(), events), "an event that is stored there is no answer either")
	for what, emit := range map[string]func(alotwebhook.Enqueuer) error{
		"stored there": func(q alotwebhook.Enqueuer) error { return q.Enqueue(t.Context(), events) },
		"one":          func(q alotwebhook.Enqueuer) error { return q.Enqueue(t.Context(), many[:1]) },
		"many":         func(q alotwebhook.Enqueuer) error { return q.Enqueue(t.Context(), many) },
		"to erase": func(q alotwebhook.Enqueuer) error {
			_, err := d.EraseIn(t.Context(), q, events[0].OrganizationID, "candidate")
			return err
		},
	} {
		tx, err := pool.Begin(t.Context())
		require.NoError(t, err)
		requireOtherDatabase(t, emit(here.Tx(tx)), home, other, what)
		require.NoError(t, tx.Rollback(t.Context()))

		sqlTx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		requireOtherDatabase(t, emit(here.SQLTx(sqlTx)), home, other, what)
		require.NoError(t, sqlTx.Rollback())
	}
	require.Len(t, claim(t, there), 1, "what was refused is not stored")
}

func requireOtherDatabase(t *testing.T, err error, home, other, what string) {
	t.Helper()
	require.ErrorContains(t, err, "the transaction is on another database than the store's pool: begin it on that one", what)
	require.ErrorContains(t, err, "the database "+other+" instead of "+home, what)
}

// openDatabase returns a store in the schema that all have.
func openDatabase(t *testing.T, dsn string) (*postgres.Store, *pgxpool.Pool) {
	t.Helper()
	pool := postgrestest.PoolAt(t, dsn)
	store, err := postgres.New(t.Context(), pool, &postgres.Options{Migrate: true})
	require.NoError(t, err)
	return store, pool
}

func databaseOf(t *testing.T, pool *pgxpool.Pool) (name string) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT current_database()").Scan(&name))
	return name
}

// The name of the database stands in statements, whatever is in it, and whatever the host's transaction
// takes a backslash for.
func TestDatabasesOfAnyName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{`it's "one" \ {s} {home} $1 %s é`, `\`, `'`, strings.Repeat("é", 31)} {
		store, pool := openDatabase(t, databaseNamed(t, name))
		organization := putEndpoints(t, store, 1)[0].OrganizationID
		require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, organization)}))
		for _, conforming := range []string{"on", "off"} {
			require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), "SET LOCAL standard_conforming_strings = "+conforming)
				require.NoError(t, err)
				return store.Tx(tx).Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, organization)})
			}))
		}
		require.Len(t, claim(t, store), 3)
	}
}

// As with a store for live events and one for tests, in two schemas of one database.
func TestTxOfAnotherSchema(t *testing.T) {
	t.Parallel()
	pool := postgrestest.Pool(t)
	live, _ := openAt(t, postgrestest.DSN(t))
	test, _ := openAt(t, postgrestest.DSN(t))
	same, err := postgres.New(t.Context(), pool, &postgres.Options{Schema: live.Schema()})
	require.NoError(t, err)
	d, err := alotwebhook.NewDispatcher(live, nil)
	require.NoError(t, err)
	event := newEvent(t, "org_1")
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		err := d.EmitTo(t.Context(), test.Tx(tx), event)
		require.ErrorIs(t, err, alotwebhook.ErrInvalid)
		require.ErrorContains(t, err, "is a transaction of the store in "+test.Place()+", and the dispatcher's store is in "+live.Place()+": give the Tx of that one")
		require.NoError(t, d.EmitTo(t.Context(), same.Tx(tx), event), "another store on the same tables")
		return nil
	}))
	_, err = live.Event(t.Context(), event.ID)
	require.NoError(t, err)
	require.Empty(t, (*postgres.Store)(nil).Place())
}
