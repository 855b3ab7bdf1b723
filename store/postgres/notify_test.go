package postgres_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// told is a store whose claims find nothing unless a word came since the last
// one: what a dispatcher sends from it, it was told of, and did not poll for.
type told struct {
	*postgres.Store
	word atomic.Bool
}

// Listen implements [alotwebhook.Notifier].
func (s *told) Listen(ctx context.Context, heard func()) error {
	return s.Store.Listen(ctx, func() {
		s.word.Store(true)
		heard()
	})
}

// Claim implements [alotwebhook.Queue].
func (s *told) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	if !s.word.Swap(false) {
		return alotwebhook.ClaimResult{}, nil
	}
	return s.Store.Claim(ctx, c)
}

// Two processes, one of which sends only what it is told of: what the other one
// emits, also in a transaction that commits later, and goes on so after its
// connection was cut.
func TestNotify(t *testing.T) {
	t.Parallel()
	pool := postgrestest.Pool(t)
	options := &postgres.Options{Schema: postgrestest.Schema(t, pool), Migrate: true, Notify: true}
	arrived := make(chan struct{}, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived <- struct{}{} }))
	t.Cleanup(receiver.Close)

	open := func() *postgres.Store {
		store, err := postgres.New(t.Context(), pool, options)
		require.NoError(t, err)
		return store
	}
	dispatch := func(store alotwebhook.Store) *alotwebhook.Dispatcher {
		d, err := alotwebhook.NewDispatcher(store, &alotwebhook.Config{
			AllowHTTP: true, Logger: slog.New(slog.DiscardHandler), AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		})
		require.NoError(t, err)
		return d
	}
	store := open()
	emitting, delivering := dispatch(store), dispatch(&told{Store: open()})
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
	awaitListener := func() {
		require.Eventually(t, func() bool { return listeners() == 1 }, patience, 10*time.Millisecond)
	}
	arrives := func(what string) {
		select {
		case <-arrived:
		case <-time.After(patience):
			t.Fatal("no word came of " + what)
		}
	}

	awaitListener()
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
	awaitListener()
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
		case <-time.After(patience):
			t.Fatal("no word came after the last emit")
		}
	}
	require.LessOrEqual(t, words, int(time.Since(began)/(50*time.Millisecond))+4+2)
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
