package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// awkward holds what array literals and SQL strings have to quote.
func awkward(t testing.TB, organization string) alotwebhook.Event {
	e := newEvent(t, organization)
	e.Data = []byte(`{"a":"\"quoted\" \\ {,} $1 'it' é 😀 \u0000","n":12345678901234567890.10, "b":null}`)
	return e
}

func TestTx(t *testing.T) {
	t.Parallel()
	for _, m := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			store, pool := openAt(t, postgrestest.DSN(t), mode(m))
			e := putEndpoints(t, store, 1)[0]
			events := []alotwebhook.Event{awkward(t, e.OrganizationID), newEvent(t, e.OrganizationID)}

			tx, err := pool.Begin(t.Context())
			require.NoError(t, err)
			require.NoError(t, store.Tx(tx).Enqueue(t.Context(), events))
			require.Empty(t, claim(t, store), "nothing is sent before the commit")
			require.NoError(t, tx.Commit(t.Context()))

			got := claim(t, store)
			require.Len(t, got, 2)
			require.ElementsMatch(t, [][]byte{events[0].Payload(), events[1].Payload()}, [][]byte{got[0].Payload, got[1].Payload})

			tx, err = pool.Begin(t.Context())
			require.NoError(t, err)
			rolledBack := newEvent(t, e.OrganizationID)
			require.NoError(t, store.Tx(tx).Enqueue(t.Context(), []alotwebhook.Event{rolledBack}))
			require.NoError(t, tx.Rollback(t.Context()))
			_, err = store.Event(t.Context(), rolledBack.ID)
			require.ErrorIs(t, err, alotwebhook.ErrNotFound)
			require.Empty(t, claim(t, store))

			err = store.Tx(tx).Enqueue(t.Context(), []alotwebhook.Event{rolledBack})
			require.ErrorIs(t, err, pgx.ErrTxClosed)
			require.ErrorContains(t, err, endedSays)
			require.ErrorContains(t, err, "alotwebhook: postgres: enqueue 1 events")
		})
	}
}

// endedSays is what the store on SQLite says as well.
const endedSays = "the transaction has ended; use it before its Commit or Rollback"

func TestSQLTx(t *testing.T) {
	t.Parallel()
	for _, driver := range []string{"pgx", "postgres"} { // the latter is lib/pq
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			store := open(t)
			e := putEndpoints(t, store, 1)[0]
			db, err := sql.Open(driver, postgrestest.DSN(t))
			require.NoError(t, err)
			defer db.Close()

			events := []alotwebhook.Event{awkward(t, e.OrganizationID), newEvent(t, e.OrganizationID)}
			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			require.NoError(t, store.SQLTx(tx).Enqueue(t.Context(), events))
			require.NoError(t, store.SQLTx(tx).Enqueue(t.Context(), events), "the same events again change nothing")
			require.Empty(t, claim(t, store))
			require.NoError(t, tx.Commit())
			got := claim(t, store)
			require.Len(t, got, 2)
			require.ElementsMatch(t, [][]byte{events[0].Payload(), events[1].Payload()}, [][]byte{got[0].Payload, got[1].Payload})

			tx, err = db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			require.NoError(t, store.SQLTx(tx).Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, e.OrganizationID)}))
			require.NoError(t, tx.Rollback())
			require.Empty(t, claim(t, store))
			err = store.SQLTx(tx).Enqueue(t.Context(), events)
			require.ErrorIs(t, err, sql.ErrTxDone)
			require.ErrorContains(t, err, endedSays)
		})
	}
}

func TestTxRefusesWhatIsNoTransaction(t *testing.T) {
	t.Parallel()
	store := open(t)
	e := putEndpoints(t, store, 1)[0]
	db, err := sql.Open("pgx", postgrestest.DSN(t))
	require.NoError(t, err)
	defer db.Close()
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	for name, c := range map[string]struct {
		q    alotwebhook.Enqueuer
		says string
	}{
		"no pgx.Tx":    {store.Tx(nil), "tx is nil; give the transaction that Begin returned"},
		"nil pgx.Tx":   {store.Tx((*pgxpool.Tx)(nil)), "tx is nil; give the transaction that Begin returned"},
		"no *sql.Tx":   {store.SQLTx(nil), "tx is nil; give the transaction that BeginTx returned"},
		"nil *sql.Tx":  {store.SQLTx((*sql.Tx)(nil)), "tx is nil; give the transaction that BeginTx returned"},
		"a handle":     {store.SQLTx(db), "tx is a *sql.DB, which is no transaction"},
		"a connection": {store.SQLTx(conn), "tx is a *sql.Conn, which is no transaction"},
	} {
		err := c.q.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, e.OrganizationID)})
		require.ErrorIs(t, err, alotwebhook.ErrInvalid, name)
		require.ErrorContains(t, err, "alotwebhook: "+c.says, name)
		_, _, err = c.q.(eraser).Erase(t.Context(), alotwebhook.Recovery{Subject: "cand_1"}, 10)
		require.ErrorIs(t, err, alotwebhook.ErrInvalid, name)
		require.ErrorContains(t, err, "alotwebhook: "+c.says, name)
	}
	require.Empty(t, claim(t, store), "nothing was stored")
}

// What stands above database/sql has transactions of its own.
func TestSQLTxOfALibrary(t *testing.T) {
	t.Parallel()
	store := open(t)
	e := putEndpoints(t, store, 1)[0]
	db, err := sql.Open("pgx", postgrestest.DSN(t))
	require.NoError(t, err)
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, store.SQLTx(struct{ *sql.Tx }{tx}).Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, e.OrganizationID)}))
	require.NoError(t, tx.Commit())
	require.Len(t, claim(t, store), 1)
}

// Each driver's error for a transaction elsewhere says the same.
func TestTxOfAnotherDatabase(t *testing.T) {
	t.Parallel()
	store := open(t)
	elsewhere := newDatabase(t)
	events := []alotwebhook.Event{newEvent(t, "org_1")}
	const says = "begin it on the database that the store's pool is on"
	for _, driver := range []string{"pgx", "postgres"} {
		db, err := sql.Open(driver, elsewhere)
		require.NoError(t, err)
		defer db.Close()
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		require.ErrorContains(t, store.SQLTx(tx).Enqueue(t.Context(), events), says)
		require.ErrorContains(t, store.SQLTx(tx).Enqueue(t.Context(), events), "a statement before this one has failed")
		require.NoError(t, tx.Rollback())
	}
	tx, err := postgrestest.PoolAt(t, elsewhere).Begin(t.Context())
	require.NoError(t, err)
	require.ErrorContains(t, store.Tx(tx).Enqueue(t.Context(), events), says)
	require.NoError(t, tx.Rollback(t.Context()))
}

// The host's transaction is left as it was but for the rows.
func TestTxLeavesNoSettings(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t), small)
	e := putEndpoints(t, store, 1)[0]
	settings := func(q interface {
		QueryRow(context.Context, string, ...any) pgx.Row
	}) (all string) {
		require.NoError(t, q.QueryRow(t.Context(), `SELECT string_agg(name || '=' || setting, ',' ORDER BY name) FROM pg_settings
			WHERE name IN ('statement_timeout', 'enable_seqscan', 'enable_hashjoin', 'jit', 'idle_in_transaction_session_timeout', 'plan_cache_mode')`).Scan(&all))
		return all
	}
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }()
	before := settings(tx)
	require.NoError(t, store.Tx(tx).Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, e.OrganizationID)}))
	_, _, err = store.Tx(tx).(eraser).Erase(t.Context(), alotwebhook.Recovery{Subject: "cand_1"}, 10)
	require.NoError(t, err)
	require.Equal(t, before, settings(tx))
	require.NoError(t, tx.Commit(t.Context()))
	require.Len(t, claim(t, store), 1)
	for range 4 { // both connections of the pool
		require.Equal(t, before, settings(pool))
	}
}

// A host whose transactions last long, and overlap: whatever commits late is
// found behind what was claimed meanwhile.
func TestLateCommit(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t))
	e := putEndpoints(t, store, 1)[0]
	late, err := pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = late.Rollback(context.Background()) }()
	event := newEvent(t, e.OrganizationID)
	require.NoError(t, store.Tx(late).Enqueue(t.Context(), []alotwebhook.Event{event}))

	_, err = pool.Exec(t.Context(), `SELECT pg_sleep(1.2)`) // longer than claims go back of themselves
	require.NoError(t, err)
	require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, e.OrganizationID)}))
	require.Len(t, claim(t, store), 1)
	require.NoError(t, late.Commit(t.Context()))
	got := claim(t, store)
	require.Len(t, got, 1)
	require.Equal(t, event.ID, got[0].EventID)
}

// claim takes what is due.
func claim(t testing.TB, store alotwebhook.Store) []alotwebhook.Claimed {
	t.Helper()
	r, err := store.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 100, Lease: time.Minute})
	require.NoError(t, err)
	return r.Deliveries
}

// Two that store the same events in opposite order wait for each other, and
// each event is stored once.
func TestEnqueueInOppositeOrder(t *testing.T) {
	t.Parallel()
	store := open(t)
	e := putEndpoints(t, store, 1)[0]
	const n = 200
	forth, back := make([]alotwebhook.Event, n), make([]alotwebhook.Event, n)
	for i := range forth {
		forth[i] = newEvent(t, e.OrganizationID)
		back[n-1-i] = forth[i]
	}
	results := make(chan error, 8)
	for i := range cap(results) {
		go func() {
			results <- store.Enqueue(context.Background(), [][]alotwebhook.Event{forth, back}[i%2])
		}()
	}
	var all error
	for range cap(results) {
		all = errors.Join(all, <-results)
	}
	require.NoError(t, all)
	st, err := store.Stats(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, n, st.Pending)
}
