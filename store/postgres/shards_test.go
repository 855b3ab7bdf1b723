package postgres_test

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
	"github.com/alot/alotwebhook/store/shards"
)

// counting takes the place of all receivers. It counts the requests of each delivery.
type counting struct {
	mu   sync.Mutex
	sent map[string]int
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(50 * time.Millisecond) // so that some are always under way
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent[r.Header.Get(alotwebhook.DeliveryHeader)]++
	return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody}, nil
}

// sharded is a dispatcher over three shards, with one endpoint in each.
type sharded struct {
	*alotwebhook.Dispatcher
	t         *testing.T
	net       *counting
	endpoints map[string]alotwebhook.Endpoint // by organization
	mu        sync.Mutex
	emitted   map[string][]alotwebhook.Event // by organization
}

func newSharded(t *testing.T, stores map[string]alotwebhook.Store) *sharded {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := shards.New(stores, &shards.Config{Logger: log, Places: func(organizationID string) []string { return []string{organizationID} }})
	require.NoError(t, err)
	s := &sharded{t: t, net: &counting{sent: map[string]int{}}, endpoints: map[string]alotwebhook.Endpoint{}, emitted: map[string][]alotwebhook.Event{}}
	s.Dispatcher, err = alotwebhook.NewDispatcher(store, &alotwebhook.Config{
		Logger: log, WrapTransport: func(http.RoundTripper) http.RoundTripper { return s.net },
	})
	require.NoError(t, err)
	for name := range stores {
		s.endpoints[name], err = s.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
			OrganizationID: name, URL: "https://example.com/hook", EventTypes: []string{"candidate.completed"},
		})
		require.NoError(t, err)
	}
	return s
}

// emit emits n events of an organization. After an error it emits the same one again.
func (s *sharded) emit(organization string, n int) {
	for range n {
		event, err := alotwebhook.NewEvent("candidate.completed", organization, map[string]int{"score": 82})
		if err != nil {
			panic(err)
		}
		for stored := false; !stored && s.t.Context().Err() == nil; {
			ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Second)
			stored = s.Emit(ctx, event) == nil
			cancel()
		}
		s.mu.Lock()
		s.emitted[organization] = append(s.emitted[organization], event)
		s.mu.Unlock()
	}
}

// awaitDelivered waits until all events of an organization are delivered, and requires that
// each was sent once.
func (s *sharded) awaitDelivered(organization string) {
	s.t.Helper()
	s.mu.Lock()
	events := s.emitted[organization]
	s.mu.Unlock()
	require.NotEmpty(s.t, events)
	for _, event := range events {
		id := alotwebhook.DeliveryID(event.ID, s.endpoints[organization].ID)
		require.Eventually(s.t, func() bool {
			d, err := s.Delivery(s.t.Context(), id)
			return err == nil && d.State == alotwebhook.StateDelivered
		}, patience, 10*time.Millisecond)
		s.net.mu.Lock()
		require.Equal(s.t, 1, s.net.sent[id], "requests of %s", id)
		s.net.mu.Unlock()
	}
}

// One shard's server crashes and another's tables are locked: every call there hangs. The
// third goes on. When they are back, all that was emitted meanwhile is delivered, and nothing
// twice.
func TestShardsCrashAndHang(t *testing.T) {
	t.Parallel()
	cluster := postgrestest.New(t)
	hung, pool := openAt(t, postgrestest.DSN(t))
	crashed, _ := openAt(t, cluster.DSN())
	s := newSharded(t, map[string]alotwebhook.Store{"well": open(t), "hung": hung, "crashed": crashed})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for _, name := range []string{"well", "hung", "crashed"} {
		s.emit(name, 20)
	}
	s.awaitDelivered("hung")

	var busy sync.WaitGroup
	for _, name := range []string{"hung", "crashed"} {
		busy.Go(func() { s.emit(name, 30) })
	}
	lock, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = lock.Exec(t.Context(), "LOCK TABLE "+hung.Schema()+".queue IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	require.NoError(t, cluster.Stop("immediate"))
	for range 5 {
		s.emit("well", 20)
		s.awaitDelivered("well")
	}
	require.NoError(t, lock.Rollback(t.Context()))
	require.NoError(t, cluster.Start())
	busy.Wait()
	s.awaitDelivered("hung")
	s.awaitDelivered("crashed")
	cancel()
	require.NoError(t, <-ended)
}
