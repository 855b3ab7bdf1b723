package postgres_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// receiver counts its requests and answers each with 200 and the path as the body.
func receiver(t *testing.T) (url string, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		_, _ = io.WriteString(w, r.URL.Path)
	}))
	t.Cleanup(server.Close)
	return server.URL, requests
}

// dispatch runs a dispatcher until the end of the test. change executes a statement on its
// schema, whose name takes the place of %s.
func dispatch(t *testing.T) (d *alotwebhook.Dispatcher, change func(sql string) int64) {
	t.Helper()
	pool := postgrestest.Pool(t)
	schema := postgrestest.Schema(t, pool)
	return dispatchOn(t, pool, schema), func(sql string) int64 {
		t.Helper()
		tag, err := pool.Exec(t.Context(), strings.ReplaceAll(sql, "%s", schema))
		require.NoError(t, err)
		return tag.RowsAffected()
	}
}

// dispatchOn runs a dispatcher on a new schema until the end of the test.
func dispatchOn(t *testing.T, pool *pgxpool.Pool, schema string) *alotwebhook.Dispatcher {
	t.Helper()
	store, err := postgres.New(t.Context(), pool, &postgres.Options{Schema: schema, Migrate: true})
	require.NoError(t, err)
	d, err := alotwebhook.NewDispatcher(store, &alotwebhook.Config{
		AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, KeepResponseBody: 100,
		Timeout: 4 * time.Second, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return d
}

// emitTo registers an endpoint of an organization and emits n events to it.
func emitTo(t *testing.T, d *alotwebhook.Dispatcher, organization, url string, n int) {
	t.Helper()
	_, err := d.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: organization, URL: url, EventTypes: []string{"candidate.completed"}, Secret: "a secret of some length",
	})
	require.NoError(t, err)
	for range n {
		require.NoError(t, d.Emit(t.Context(), newEvent(t, organization)))
	}
}

// requireAll waits until an organization's n deliveries are delivered, each by one attempt
// whose body was kept.
func requireAll(t *testing.T, d *alotwebhook.Dispatcher, organization string, n int, body string) {
	t.Helper()
	require.Eventually(t, func() bool {
		delivered := 0
		for _, err := range d.Deliveries(t.Context(), alotwebhook.Filter{OrganizationID: organization, State: alotwebhook.StateDelivered}) {
			require.NoError(t, err)
			delivered++
		}
		return delivered == n
	}, patience, 20*time.Millisecond)
	for listed, err := range d.Deliveries(t.Context(), alotwebhook.Filter{OrganizationID: organization}) {
		require.NoError(t, err)
		got, err := d.Delivery(t.Context(), listed.ID)
		require.NoError(t, err)
		require.Len(t, got.Attempts, 1)
		require.Equal(t, body, got.Attempts[0].ResponseBody)
	}
}

// The server refuses the text of some outcomes. Theirs are stored without it, and all
// others as they are.
func TestServerRefusesOneOutcome(t *testing.T) {
	t.Parallel()
	d, change := dispatch(t)
	change(`ALTER TABLE %s.deliveries ADD CHECK (response_body <> '/bad')`)
	url, requests := receiver(t)
	emitTo(t, d, "org_bad", url+"/bad", 3)
	emitTo(t, d, "org_good", url+"/good", 200)
	requireAll(t, d, "org_good", 200, "/good")
	requireAll(t, d, "org_bad", 3, "")
	require.Equal(t, int64(203), requests.Load())
}

// The server hands out deliveries, but takes no outcome for longer than two leases. No
// delivery is sent twice meanwhile, and none is taken for poison.
func TestServerTakesNoOutcome(t *testing.T) {
	t.Parallel()
	d, change := dispatch(t)
	change(`ALTER TABLE %s.deliveries ADD CONSTRAINT closed CHECK (false)`)
	url, requests := receiver(t)
	emitTo(t, d, "org_1", url+"/good", 50)
	require.Eventually(t, func() bool {
		return change(`SELECT FROM %s.queue WHERE claims < 0 AND next_at > (SELECT max(created_at) FROM %s.events) + interval '40 s'`) > 0
	}, patience, 100*time.Millisecond, "the first leases, of 18 s, would have run out")
	require.LessOrEqual(t, requests.Load(), int64(50))
	change(`ALTER TABLE %s.deliveries DROP CONSTRAINT closed`)
	requireAll(t, d, "org_1", 50, "/good")
	require.Equal(t, int64(50), requests.Load())
}

// Somebody's transaction holds the row of one endpoint, which has just begun to fail. The
// outcomes of other endpoints are recorded meanwhile, and that endpoint's afterwards.
func TestALockedEndpointDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	pool := postgrestest.Pool(t)
	schema := postgrestest.Schema(t, pool)
	d := dispatchOn(t, pool, schema)
	good, _ := receiver(t)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer refusing.Close()
	for organization, url := range map[string]string{"org_good": good, "org_bad": refusing.URL} {
		_, err := d.CreateEndpoint(t.Context(), alotwebhook.Endpoint{OrganizationID: organization, URL: url, EventTypes: []string{"candidate.completed"}})
		require.NoError(t, err)
	}
	emit := func(organization string) {
		event, err := alotwebhook.NewEvent("candidate.completed", organization, []byte(`{}`))
		require.NoError(t, err)
		require.NoError(t, d.Emit(t.Context(), event))
	}
	recorded := func(organization string) (n int) {
		for delivery, err := range d.Deliveries(t.Context(), alotwebhook.Filter{OrganizationID: organization}) {
			require.NoError(t, err)
			if delivery.AttemptCount > 0 {
				n++
			}
		}
		return n
	}
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }()
	_, err = tx.Exec(t.Context(), `SELECT FROM `+schema+`.endpoints FOR UPDATE`)
	require.NoError(t, err)
	emit("org_bad")
	const events = 20
	for range events {
		emit("org_good")
		time.Sleep(50 * time.Millisecond) // for a second in all, so that many batches are recorded while the lock is held
	}
	require.Eventually(t, func() bool { return recorded("org_good") == events }, 5*time.Minute, 100*time.Millisecond)
	require.Zero(t, recorded("org_bad"))
	require.NoError(t, tx.Rollback(t.Context()))
	require.Eventually(t, func() bool { return recorded("org_bad") == 1 }, 5*time.Minute, 100*time.Millisecond)
}
