package postgres_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// Two processes with a poll of a minute: what one emits, also in a transaction
// that commits later, the other sends without waiting for its poll, and goes on
// so after its connection was cut.
func TestNotify(t *testing.T) {
	t.Parallel()
	pool := postgrestest.Pool(t)
	options := &postgres.Options{Schema: postgrestest.Schema(t, pool), Migrate: true, Notify: true}
	arrived := make(chan struct{}, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived <- struct{}{} }))
	t.Cleanup(receiver.Close)

	process := func() (*alotwebhook.Dispatcher, *postgres.Store) {
		store, err := postgres.New(t.Context(), pool, options)
		require.NoError(t, err)
		d, err := alotwebhook.NewDispatcher(store, &alotwebhook.Config{
			PollInterval: time.Minute, AllowHTTP: true, Logger: slog.New(slog.DiscardHandler),
			AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		})
		require.NoError(t, err)
		return d, store
	}
	emitting, store := process()
	delivering, _ := process()
	_, err := emitting.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_1", URL: receiver.URL + "/hook", EventTypes: []string{alotwebhook.EventCandidateCompleted},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- delivering.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	listeners := func() (n int) {
		err := pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %' || $1 || '%'", options.Schema).Scan(&n)
		require.NoError(t, err)
		return n
	}
	listening := func() bool { return listeners() == 1 }
	arrives := func(what string) {
		select {
		case <-arrived:
		case <-time.After(30 * time.Second): // half the poll interval
			t.Fatal(what + " waited for the poll")
		}
	}

	require.Eventually(t, listening, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, emitting.Emit(t.Context(), newEvent(t, "org_1")))
	arrives("an emit")

	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, emitting.EmitTo(t.Context(), store.Tx(tx), newEvent(t, "org_1")))
	time.Sleep(50 * time.Millisecond) // between the first word and the one that follows
	require.NoError(t, tx.Commit(t.Context()))
	arrives("an emit in a transaction")

	_, err = pool.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %' || $1 || '%'", options.Schema)
	require.NoError(t, err)
	require.Eventually(t, listening, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, emitting.Emit(t.Context(), newEvent(t, "org_1")))
	arrives("an emit after the connection was cut")
}

// Many calls of Notify send few notifications, and one comes after the last call.
func TestNotifyPutsWordsTogether(t *testing.T) {
	t.Parallel()
	pool := postgrestest.Pool(t)
	store, err := postgres.New(t.Context(), pool, &postgres.Options{Schema: postgrestest.Schema(t, pool), Migrate: true, Notify: true})
	require.NoError(t, err)
	heard := make(chan time.Time, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- store.Listen(ctx, func() { heard <- time.Now() }) }()
	<-heard // it listens

	began := time.Now()
	var last time.Time
	for time.Since(began) < 500*time.Millisecond {
		last = time.Now()
		store.Notify()
		time.Sleep(time.Millisecond) // as emits come
	}
	words := 0
	for after := false; !after; words++ {
		select {
		case at := <-heard:
			after = at.After(last)
		case <-time.After(10 * time.Second):
			t.Fatal("no word came after the last emit")
		}
	}
	require.LessOrEqual(t, words, int(time.Since(began)/(100*time.Millisecond))+2)
	cancel()
	require.NoError(t, <-ended)
}

// Without the option nothing is sent and nobody listens.
func TestNotifyIsOptional(t *testing.T) {
	t.Parallel()
	pool := postgrestest.Pool(t)
	store, err := postgres.New(t.Context(), pool, &postgres.Options{Schema: postgrestest.Schema(t, pool), Migrate: true})
	require.NoError(t, err)
	store.Notify()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, store.Listen(ctx, func() { t.Error("heard a word") }))
}
