package alotwebhook_test

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// line is a receiver that keeps which events it has taken, in order. It fails an event as often
// as fails says, and notes when two requests come at once.
type line struct {
	mu      sync.Mutex
	fails   map[string]int
	taken   []string
	times   []time.Time
	inside  int
	crowded bool
}

func (l *line) respond(r *http.Request, _ int) (*http.Response, error) {
	event, err := alotwebhook.ParseEvent(bodyOf(r))
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.inside++
	l.crowded = l.crowded || l.inside > 1
	l.mu.Unlock()
	time.Sleep(5 * time.Millisecond)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inside--
	if l.fails[event.ID]--; l.fails[event.ID] >= 0 {
		return status(http.StatusInternalServerError), nil
	}
	l.taken, l.times = append(l.taken, event.ID), append(l.times, time.Now())
	return status(http.StatusNoContent), nil
}

// got returns the events that it has taken, in order.
func (l *line) got() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.taken)
}

// ordered registers an ordered endpoint.
func (w *world) ordered(t testing.TB, host string) alotwebhook.Endpoint {
	t.Helper()
	e, err := w.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_1", URL: "https://" + host + "/hook", EventTypes: []string{"candidate.completed"}, Ordered: true,
	})
	require.NoError(t, err)
	require.True(t, e.Ordered)
	return e
}

// emitMany emits n events and returns their ids.
func (w *world) emitMany(t testing.TB, n int) (ids []string) {
	t.Helper()
	for range n {
		ids = append(ids, w.emitTo(t, "org_1").ID)
	}
	return ids
}

// Events come one at a time and in order, although some fail twice, and as fast as the receiver
// takes them. An endpoint beside it gets its own at once.
func TestOrderedDelivery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, other := &line{fails: map[string]int{}}, &line{fails: map[string]int{}}
		w := newWorld(t, alotwebhook.Config{}, &receivers{respond: func(r *http.Request, n int) (*http.Response, error) {
			if r.URL.Host == "free.example.com" {
				return other.respond(r, n)
			}
			return l.respond(r, n)
		}})
		w.ordered(t, "ordered.example.com")
		w.endpoint(t, "free.example.com")
		stop := w.run(t)
		ids := w.emitMany(t, 100)
		l.mu.Lock()
		l.fails[ids[40]], l.fails[ids[41]] = 2, 1
		l.mu.Unlock()
		time.Sleep(2 * time.Second)
		require.Len(t, other.got(), 100)
		require.Equal(t, ids[:40], l.got(), "the next wait for the one that has failed")
		d, err := w.Delivery(t.Context(), alotwebhook.DeliveryID(ids[99], w.first(t).ID))
		require.NoError(t, err)
		require.Equal(t, alotwebhook.DeliveryID(ids[40], w.first(t).ID), d.WaitsFor)
		require.InDelta(t, time.Hour, time.Until(d.WaitsUntil), float64(3*time.Second))
		time.Sleep(15 * time.Minute)
		require.Equal(t, ids, l.got())
		stop()
		require.False(t, l.crowded)
		require.Less(t, l.times[39].Sub(l.times[0]), time.Second, "it waits for nothing else")
	})
}

// first returns the first endpoint that was registered.
func (w *world) first(t testing.TB) alotwebhook.Endpoint {
	t.Helper()
	for e, err := range w.Endpoints(t.Context(), alotwebhook.EndpointFilter{}) {
		require.NoError(t, err)
		if e.Ordered {
			return e
		}
	}
	t.Fatal("no endpoint is ordered")
	return alotwebhook.Endpoint{}
}

// Beyond OrderedWait, others overtake.
func TestOrderedWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &line{fails: map[string]int{}}
		w := newWorld(t, alotwebhook.Config{OrderedWait: time.Minute}, &receivers{respond: l.respond})
		w.ordered(t, "ordered.example.com")
		ids := w.emitMany(t, 4)
		l.fails[ids[0]] = 2
		stop := w.run(t)
		time.Sleep(20 * time.Second)
		require.Empty(t, l.got(), "the second attempt comes within the minute")
		time.Sleep(30 * time.Second)
		require.Equal(t, ids[1:], l.got(), "the third does not")
		time.Sleep(15 * time.Minute)
		require.Equal(t, append(slices.Clone(ids[1:]), ids[0]), l.got())
		stop()
	})
}

// A process that ends cuts an attempt off. The next one begins with the same event.
func TestOrderOverRestarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, store := &line{fails: map[string]int{}}, memory.New()
		hanging := &receivers{respond: func(r *http.Request, _ int) (*http.Response, error) { return hang(r) }}
		w := newWorldOn(t, store, alotwebhook.Config{ShutdownTimeout: time.Second}, hanging)
		w.ordered(t, "ordered.example.com")
		ids := w.emitMany(t, 5)
		stop := w.run(t)
		time.Sleep(3 * time.Second)
		stop()
		require.Equal(t, 1, len(hanging.seen), "one at a time")
		stop = newWorldOn(t, store, alotwebhook.Config{}, &receivers{respond: l.respond}).run(t)
		time.Sleep(10 * time.Second)
		stop()
		require.Equal(t, ids, l.got())
	})
}

func TestOrderedWaitIsChecked(t *testing.T) {
	t.Parallel()
	for _, wait := range []time.Duration{-1, time.Millisecond, 8 * 24 * time.Hour} {
		_, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{OrderedWait: wait})
		var field *alotwebhook.FieldError
		require.ErrorAs(t, err, &field)
		require.Equal(t, "OrderedWait", field.Field)
	}
}

// While outcomes cannot be stored, the leases of what is under way are extended. It keeps its
// place meanwhile.
func TestOrderThoughOutcomesCannotBeStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		store := &refusing{Store: memory.New(), refuses: func(o *alotwebhook.Outcome) bool { return away.Load() && !o.Held }}
		net := &receivers{respond: func(r *http.Request, n int) (*http.Response, error) {
			if r.URL.Host == "ordered.example.com" && n == 1 {
				time.Sleep(14 * time.Second)
				return status(http.StatusInternalServerError), nil
			}
			return status(http.StatusOK), nil
		}}
		w := newWorldOn(t, store, alotwebhook.Config{}, net)
		e := w.ordered(t, "ordered.example.com")
		w.endpoint(t, "other.example.com", "candidate.invited")
		defer w.run(t)()
		first := w.emit(t)
		time.Sleep(10500 * time.Millisecond)
		away.Store(true)
		other, err := alotwebhook.NewEvent("candidate.invited", "org_1", nil)
		require.NoError(t, err)
		require.NoError(t, w.Emit(t.Context(), other))
		time.Sleep(3 * time.Second)
		away.Store(false)
		second := w.emit(t)
		time.Sleep(5 * time.Minute)
		var got []string
		for _, r := range net.requests() {
			if r.host == "ordered.example.com" {
				got = append(got, r.head.Get(alotwebhook.DeliveryHeader))
			}
		}
		id := alotwebhook.DeliveryID(first.ID, e.ID)
		require.Equal(t, []string{id, id, alotwebhook.DeliveryID(second.ID, e.ID)}, got)
	})
}
