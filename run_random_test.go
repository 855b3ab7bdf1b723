package alotwebhook_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// weather is a world of which any part may do anything by chance, until calm is set: the store
// fails before or after its work, receivers fail, hang or ask to be left alone, and people
// disable endpoints, pause, test, cancel and restart.
type weather struct {
	*world
	stop func()
	cfg  alotwebhook.Config
	calm atomic.Bool

	mu        sync.Mutex
	rnd       *rand.Rand
	responses map[string][]int    // by delivery; those that hung up have none
	taken     map[string][]string // by host: its deliveries, in the order of their first success
	underWay  map[string]int      // by host: its attempts but for tests
	most      map[string]int      // that they were at once

	endpoints []alotwebhook.Endpoint
	events    []alotwebhook.Event
	canceled  map[string]bool // by delivery
	restarts  int
}

// unwrapped is a store that shows the capabilities of the one it wraps.
type unwrapped struct{ *faulty }

func (u unwrapped) Unwrap() alotwebhook.Store { return u.Store }

func (w *weather) num(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rnd.IntN(n)
}

// happens reports whether something happens that does so in percent of all cases.
func (w *weather) happens(percent int) bool { return w.num(100) < percent && !w.calm.Load() }

func (w *weather) sleep(most int) { time.Sleep(time.Duration(w.num(most)) * time.Millisecond) }

func (w *weather) respond(r *http.Request, _ int) (*http.Response, error) {
	if r.Header.Get(alotwebhook.TestHeader) == "" {
		w.enter(r.URL.Host, 1)
		defer w.enter(r.URL.Host, -1)
	}
	if w.sleep(60); w.happens(3) {
		return hang(r)
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	code, after := http.StatusOK, fmt.Sprint(w.num(5))
	if w.happens(20) {
		code = []int{500, 503, 429, 301, 404}[w.num(5)]
	}
	w.note(r.URL.Host, r.Header.Get(alotwebhook.DeliveryHeader), code)
	return status(code, "Retry-After", after), nil
}

func (w *weather) enter(host string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.underWay[host] += n
	w.most[host] = max(w.most[host], w.underWay[host])
}

func (w *weather) note(host, delivery string, code int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if code == http.StatusOK && succeeded(w.responses[delivery]) == 0 {
		w.taken[host] = append(w.taken[host], delivery)
	}
	w.responses[delivery] = append(w.responses[delivery], code)
}

func succeeded(codes []int) (n int) {
	for _, code := range codes {
		if code == http.StatusOK {
			n++
		}
	}
	return n
}

// newWeather returns a world with some endpoints, every other of them ordered.
func newWeather(t *testing.T, seed uint64) *weather {
	w := &weather{
		rnd: rand.New(rand.NewPCG(seed, 7)), responses: map[string][]int{}, taken: map[string][]string{},
		underWay: map[string]int{}, most: map[string]int{}, canceled: map[string]bool{},
	}
	store := &faulty{Store: memory.New()}
	if w.happens(50) {
		store.before = func(int64) bool { return w.happens(10) }
		store.after = func(int64) bool { return w.happens(10) }
	}
	w.cfg = alotwebhook.Config{
		InFlight: 1 + w.num(12), Waiting: []int{0, -1, 5}[w.num(3)], Rate: float64(w.num(3) * 20),
		OrderedWait: 7 * 24 * time.Hour, DisableAfter: -1, PayloadRetention: -1, HistoryRetention: -1, PollInterval: time.Second,
		ChangesPerMinute: -1, RedeliveriesPerMinute: -1, TestsPerMinute: -1,
		Retry: alotwebhook.Schedule(time.Second, 2*time.Second, 5*time.Second, 10*time.Second, 20*time.Second, time.Minute),
	}
	w.cfg.InFlightPerEndpoint = 1 + w.num(w.cfg.InFlight)
	w.world = newWorldOn(t, unwrapped{store}, w.cfg, &receivers{respond: w.respond})
	for i := range 1 + w.num(4) {
		e, err := w.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
			OrganizationID: fmt.Sprint("org_", i%2), URL: fmt.Sprintf("https://h%d.example.com/", i), EventTypes: []string{"candidate.completed"}, Ordered: i%2 == 0,
		})
		require.NoError(t, err)
		w.endpoints = append(w.endpoints, e)
	}
	w.stop = w.run(t)
	return w
}

// act does something by chance.
func (w *weather) act(t *testing.T) {
	e := w.endpoints[w.num(len(w.endpoints))]
	switch k := w.num(100); {
	case k < 70:
		event, err := alotwebhook.NewEvent("candidate.completed", fmt.Sprint("org_", w.num(2)), nil)
		require.NoError(t, err)
		for w.Emit(t.Context(), event) != nil {
			time.Sleep(10 * time.Millisecond)
		}
		w.events = append(w.events, event)
	case k < 80:
		w.sleep(3000)
	case k < 81:
		w.stop()
		w.restarts++
		w.world = newWorldOn(t, w.store, w.cfg, w.net)
		w.stop = w.run(t)
	case k < 86:
		w.enable(t, e, k == 81 || k == 82)
	case k < 88:
		_, _ = w.SendTest(t.Context(), e.ID, "candidate.completed") // a disabled endpoint gets none
	case k < 90:
		_, err := w.Pause(t.Context(), alotwebhook.Pause{EndpointID: e.ID})
		require.NoError(t, err)
		w.sleep(3000)
		require.NoError(t, w.Resume(t.Context(), alotwebhook.Pause{EndpointID: e.ID}))
	case k < 92:
		w.cancelAll(t, e)
	default:
		w.sleep(50)
	}
}

func (w *weather) enable(t *testing.T, e alotwebhook.Endpoint, enabled bool) {
	e, err := w.Endpoint(t.Context(), e.ID)
	require.NoError(t, err)
	e.Disabled = !enabled
	_, err = w.UpdateEndpoint(t.Context(), e)
	require.NoError(t, err)
}

func (w *weather) cancelAll(t *testing.T, e alotwebhook.Endpoint) {
	for d, err := range w.Deliveries(t.Context(), alotwebhook.Filter{EndpointID: e.ID, State: alotwebhook.StateUnfinished, NoTests: true}) {
		require.NoError(t, err)
		n, err := w.store.Cancel(t.Context(), []string{d.ID})
		require.NoError(t, err)
		w.canceled[d.ID] = w.canceled[d.ID] || n == 1
	}
}

// settle has everything go well and sends again what has failed.
func (w *weather) settle(t *testing.T) {
	w.calm.Store(true)
	for _, e := range w.endpoints {
		w.enable(t, e, true)
	}
	time.Sleep(10 * time.Minute)
	for id := range w.canceled {
		_, err := w.Redeliver(t.Context(), id)
		require.NoError(t, err)
	}
	time.Sleep(10 * time.Minute)
	health := w.Health()
	require.Zero(t, health.InFlight+health.Waiting+health.Unrecorded)
}

// check requires that each delivery is what the responses to it say, and that those of an ordered
// endpoint came one at a time and in order.
func (w *weather) check(t *testing.T, e alotwebhook.Endpoint) {
	host := e.URL[len("https://") : len(e.URL)-1]
	most := w.cfg.InFlightPerEndpoint
	if e.Ordered && len(w.canceled) == 0 { // what is canceled under way makes room for the next
		most = 1
	}
	require.LessOrEqual(t, w.most[host], most)
	var sent, taken []string
	of := map[string]bool{}
	for _, event := range w.events {
		id := alotwebhook.DeliveryID(event.ID, e.ID)
		if event.OrganizationID == e.OrganizationID && w.isDelivered(t, id) && !w.canceled[id] {
			sent, of[id] = append(sent, id), true
		}
	}
	for _, id := range w.taken[host] {
		if of[id] {
			taken = append(taken, id)
		}
	}
	if e.Ordered {
		require.Equal(t, sent, taken)
	}
}

func (w *weather) isDelivered(t *testing.T, id string) bool {
	d, err := w.Delivery(t.Context(), id)
	require.NoError(t, err)
	if d.State == alotwebhook.StateFailed {
		require.Zero(t, succeeded(w.responses[id]))
		require.Equal(t, 7, d.AttemptCount)
		return false
	}
	require.Equal(t, alotwebhook.StateDelivered, d.State)
	require.Positive(t, succeeded(w.responses[id]))
	if w.restarts == 0 && !w.canceled[id] {
		var told []int
		for _, a := range d.Attempts {
			if a.StatusCode != 0 {
				told = append(told, a.StatusCode)
			}
		}
		require.Equal(t, w.responses[id], told, "each response is told of, and nothing was sent twice")
	}
	return true
}

// Whatever happens, every event is delivered or has used up its attempts, what is told of it is
// what has happened, and ordered endpoints get their events in order.
func TestWhateverHappens(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWeather(t, seed)
				defer func() { w.stop() }()
				for range 60 + w.num(100) {
					w.act(t)
				}
				w.settle(t)
				for _, e := range w.endpoints {
					w.check(t, e)
				}
			})
		})
	}
}
