package shards_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/shards"
)

// checking takes the place of all receivers. It verifies each request, fails the first
// attempts to one host, and counts the deliveries by host.
type checking struct {
	mu      sync.Mutex
	secrets map[string][]alotwebhook.Secret // by host
	got     map[string]map[string]int       // the successful requests by host and event id
	forged  int                             // requests whose signature is not good
}

func (c *checking) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	event, err := alotwebhook.ParseEvent(body)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	host := r.URL.Host
	verifier, err := alotwebhook.NewVerifier(c.secrets[host]...)
	if err != nil {
		return nil, err
	}
	if err := verifier.Verify(body, r.Header.Get(alotwebhook.SignatureHeader)); err != nil {
		c.forged++
	}
	status := http.StatusNoContent
	if host == "flaky.example.com" && r.Header.Get(alotwebhook.AttemptHeader) == "1" {
		status = http.StatusInternalServerError
	} else {
		if c.got[host] == nil {
			c.got[host] = map[string]int{}
		}
		c.got[host][event.ID]++
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody}, nil
}

func (c *checking) accept(host string, secret alotwebhook.Secret) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.secrets[host] = append(c.secrets[host], secret)
}

// process is a process of the host with its own configuration.
type process struct {
	*alotwebhook.Dispatcher
	store *shards.Store
	stop  func()
}

// moving is a move of org_m from the shard a to b, with all processes of the host.
type moving struct {
	t       *testing.T
	stores  map[string]alotwebhook.Store
	net     *checking
	mu      sync.Mutex
	running []*process
	events  []alotwebhook.Event
	next    int
}

// start starts a process for which org_m has these places.
func (m *moving) start(places ...string) *process {
	m.t.Helper()
	store := newStore(m.t, m.stores, shards.Config{Places: func(organizationID string) []string {
		if organizationID == "org_m" {
			return places
		}
		return []string{"a"}
	}})
	d, err := alotwebhook.NewDispatcher(store, &alotwebhook.Config{
		Logger: slog.New(slog.DiscardHandler), PollInterval: time.Second, ChangesPerMinute: -1,
		WrapTransport: func(http.RoundTripper) http.RoundTripper { return m.net },
	})
	require.NoError(m.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	p := &process{d, store, func() { cancel(); require.NoError(m.t, <-ended) }}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running = append(m.running, p)
	return p
}

// stop ends a process that emits no more.
func (m *moving) stop(p *process) {
	m.mu.Lock()
	for i := range m.running {
		if m.running[i] == p {
			m.running = append(m.running[:i:i], m.running[i+1:]...)
			break
		}
	}
	m.mu.Unlock()
	p.stop()
}

// emit has the next of the running processes emit an event, and the one after it emit it
// again, as after an error that leaves open whether it was stored.
func (m *moving) emit() {
	m.mu.Lock()
	defer m.mu.Unlock()
	organization := []string{"org_m", "org_m", "org_s"}[m.next%3]
	event, err := alotwebhook.NewEvent("candidate.completed", organization, json.RawMessage(`{"score":82}`))
	require.NoError(m.t, err)
	for range 2 {
		m.next++
		require.NoError(m.t, m.running[m.next%len(m.running)].Emit(context.Background(), event))
	}
	m.events = append(m.events, event)
}

// emitFor emits four times a second.
func (m *moving) emitFor(d time.Duration) {
	for range d / (250 * time.Millisecond) {
		m.emit()
		time.Sleep(250 * time.Millisecond)
	}
}

func (m *moving) endpoint(p *process, organization, host string, disabled bool) alotwebhook.Endpoint {
	m.t.Helper()
	e, err := p.CreateEndpoint(context.Background(), alotwebhook.Endpoint{
		OrganizationID: organization, URL: "https://" + host + "/hook", EventTypes: []string{"candidate.completed"}, Disabled: disabled,
	})
	require.NoError(m.t, err)
	m.net.accept(host, e.Secret)
	return e
}

// The procedure of docs/operating.md: an organization moves while its events go on, from
// processes of every step at the same time. Nothing is lost and nothing sent twice, whatever
// its state when the move began: waiting for a retry, parked, due. Settings that are changed
// meanwhile hold in both shards, and the history is shown whole.
func TestMove(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &moving{t: t, stores: map[string]alotwebhook.Store{"a": memory.New(), "b": memory.New()},
			net: &checking{secrets: map[string][]alotwebhook.Secret{}, got: map[string]map[string]int{}}}
		ctx := t.Context()
		before := m.start("a")
		good := m.endpoint(before, "org_m", "good.example.com", false)
		m.endpoint(before, "org_m", "flaky.example.com", false)
		parked := m.endpoint(before, "org_m", "parked.example.com", true)
		m.endpoint(before, "org_s", "stays.example.com", false)
		m.emitFor(10 * time.Second)

		// 1. The new shard comes second, in all processes.
		first := m.start("a", "b")
		m.emitFor(5 * time.Second)
		m.stop(before)
		// 2. The endpoints are copied.
		n, err := first.store.Mirror(ctx, "org_m")
		require.NoError(t, err)
		require.Equal(t, 3, n)
		m.emitFor(5 * time.Second)
		// 3. The new shard comes first, in all processes. Meanwhile, settings change in both.
		second := m.start("b", "a")
		m.emitFor(5 * time.Second)
		secret, err := first.RotateSecret(ctx, good.ID, "", time.Time{})
		require.NoError(t, err)
		m.net.mu.Lock()
		m.net.secrets["good.example.com"] = []alotwebhook.Secret{secret} // no other is good from now on
		m.net.mu.Unlock()
		m.emitFor(5 * time.Second)
		late := m.endpoint(second, "org_m", "late.example.com", false)
		begunAt := len(m.events)
		m.emitFor(5 * time.Second)
		m.stop(first)
		m.emitFor(5 * time.Second)
		_, err = second.store.Mirror(ctx, "org_m")
		require.NoError(t, err)

		_, err = second.store.Leave(ctx, "org_m", "a")
		require.ErrorIs(t, err, shards.ErrUnfinished, "some are parked there")
		_, err = second.EnableEndpoint(ctx, parked.ID, alotwebhook.EnableOptions{})
		require.NoError(t, err)
		time.Sleep(30 * time.Minute) // for the retries
		requireAllOnce(t, m, begunAt)
		requireHistory(t, m, second, late)

		// 4. When the history has gone, the old shard is left.
		n, err = second.store.Leave(ctx, "org_m", "a")
		require.NoError(t, err)
		require.Equal(t, 4, n)
		after := m.start("b")
		m.stop(second)
		m.emitFor(5 * time.Second)
		time.Sleep(30 * time.Minute)
		requireAllOnce(t, m, begunAt)
		page, _, err := after.store.Endpoints(ctx, alotwebhook.EndpointFilter{})
		require.NoError(t, err)
		require.Len(t, page, 5)
		m.stop(after)
	})
}

// requireAllOnce requires that each event has reached each endpoint of its organization by
// exactly one request that succeeded: an endpoint that came late, from that event on.
func requireAllOnce(t *testing.T, m *moving, lateFrom int) {
	t.Helper()
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	require.Zero(t, m.net.forged, "requests with a signature that is not good")
	for i, event := range m.events {
		hosts := []string{"stays.example.com"}
		if event.OrganizationID == "org_m" {
			hosts = []string{"good.example.com", "flaky.example.com", "parked.example.com"}
			if i >= lateFrom {
				hosts = append(hosts, "late.example.com")
			}
		}
		for host, got := range m.net.got {
			want := 0
			for _, h := range hosts {
				if h == host {
					want = 1
				}
			}
			require.Equal(t, want, got[event.ID], "event %d of %s at %s", i, event.OrganizationID, host)
		}
	}
}

// requireHistory requires that the history of the organization is shown whole, from both
// shards, each delivery once; and that a failure of the time before the move can be seen.
func requireHistory(t *testing.T, m *moving, p *process, late alotwebhook.Endpoint) {
	t.Helper()
	n := map[string]int{}
	for d, err := range p.Deliveries(t.Context(), alotwebhook.Filter{OrganizationID: "org_m", Limit: 7}) {
		require.NoError(t, err)
		require.Equal(t, alotwebhook.StateDelivered, d.State)
		n[d.EndpointID]++
	}
	ours := 0
	for _, event := range m.events {
		if event.OrganizationID == "org_m" {
			ours++
		}
	}
	require.Len(t, n, 4)
	for id, of := range n {
		if id != late.ID {
			require.Equal(t, ours, of)
		}
	}
	for _, name := range []string{"a", "b"} {
		list, _, err := m.stores[name].Deliveries(t.Context(), alotwebhook.Filter{OrganizationID: "org_m", Limit: 1})
		require.NoError(t, err)
		require.NotEmpty(t, list, "both shards have some")
	}
}
