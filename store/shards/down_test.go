package shards_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/shards"
)

// receivers takes the place of all receivers, and remembers when each delivery was sent. It
// answers after a while.
type receivers struct {
	mu    sync.Mutex
	sent  map[string][]time.Time // by delivery id
	takes time.Duration
}

func (r *receivers) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	id := req.Header.Get(alotwebhook.DeliveryHeader)
	r.sent[id] = append(r.sent[id], time.Now())
	r.mu.Unlock()
	select {
	case <-time.After(r.takes):
		return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody}, nil
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

func (r *receivers) sentAt(id string) []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent[id]
}

// town is a dispatcher over the shards a, b, c and d, the second and the third of which can
// be ill. Each shard has three organizations with an endpoint each.
type town struct {
	*alotwebhook.Dispatcher
	a, b, c   *ill
	net       *receivers
	endpoints map[string]alotwebhook.Endpoint // by organization
	mu        sync.Mutex
	emitted   []emitted
}

type emitted struct {
	event alotwebhook.Event
	at    time.Time // when Emit returned
}

// byPrefix places org_b_1 on the shard b.
func byPrefix(organizationID string) []string { return []string{strings.Split(organizationID, "_")[1]} }

func newTown(t *testing.T, takes time.Duration) *town {
	t.Helper()
	w := &town{a: newIll(), b: newIll(), c: newIll(), net: &receivers{sent: map[string][]time.Time{}, takes: takes}, endpoints: map[string]alotwebhook.Endpoint{}}
	stores := map[string]alotwebhook.Store{"a": w.a, "b": w.b, "c": w.c, "d": newIll()}
	log := slog.New(slog.DiscardHandler)
	d, err := alotwebhook.NewDispatcher(newStore(t, stores, shards.Config{Places: byPrefix}), &alotwebhook.Config{
		Logger: log, PollInterval: time.Minute, WrapTransport: func(http.RoundTripper) http.RoundTripper { return w.net },
	})
	require.NoError(t, err)
	w.Dispatcher = d
	for _, organization := range w.organizations("a", "b", "c", "d") {
		w.endpoints[organization], err = d.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
			OrganizationID: organization, URL: "https://" + strings.ReplaceAll(organization, "_", "-") + ".example.com/hook",
			EventTypes: []string{"candidate.completed"},
		})
		require.NoError(t, err)
	}
	return w
}

func (w *town) organizations(of ...string) (list []string) {
	for _, name := range of {
		for i := range 3 {
			list = append(list, fmt.Sprintf("org_%s_%d", name, i))
		}
	}
	return list
}

// run starts the dispatcher. The returned function ends it.
func (w *town) run(t *testing.T) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}

// emit emits to each organization, every second for so long, and tries again until it is
// stored, as the documentation tells the host to.
func (w *town) emit(t *testing.T, lasts time.Duration, organizations ...string) (wait func()) {
	var all sync.WaitGroup
	for _, organization := range organizations {
		all.Go(func() {
			for began := time.Now(); time.Since(began) < lasts; time.Sleep(time.Second) {
				event, err := alotwebhook.NewEvent("candidate.completed", organization, json.RawMessage(`{"score":82}`))
				if err != nil {
					panic(err)
				}
				all.Go(func() { w.emitOne(event) })
			}
		})
	}
	return all.Wait
}

func (w *town) emitOne(event alotwebhook.Event) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err := w.Emit(ctx, event)
		cancel()
		if err == nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.emitted = append(w.emitted, emitted{event, time.Now()})
			return
		}
		time.Sleep(5 * time.Second)
	}
}

// requireAllOnce requires that all deliveries were made, each by one request, and that the
// history says so. It returns the longest time from emit to request, by shard.
func (w *town) requireAllOnce(t *testing.T) (longest map[string]time.Duration) {
	t.Helper()
	longest = map[string]time.Duration{}
	require.NotEmpty(t, w.emitted)
	for _, e := range w.emitted {
		id := alotwebhook.DeliveryID(e.event.ID, w.endpoints[e.event.OrganizationID].ID)
		sent := w.net.sentAt(id)
		require.Len(t, sent, 1, "requests for %s of %s", id, e.event.OrganizationID)
		name := byPrefix(e.event.OrganizationID)[0]
		longest[name] = max(longest[name], sent[0].Sub(e.at))
		d, err := w.Delivery(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.StateDelivered, d.State)
		require.Len(t, d.Attempts, 1)
	}
	return longest
}

// A shard that hangs and one that fails, in whatever way, hold up nobody else's events. When
// they are back, all of theirs are delivered, and none twice: not those either that were
// under way when it began.
func TestDownHoldsUpItsOwnAlone(t *testing.T) {
	t.Parallel()
	for name, ways := range map[string][2]int32{
		"one hangs, one fails":                     {hangs, fails},
		"both hang":                                {hangs, hangs},
		"both fail":                                {fails, fails},
		"one hangs whatever its callers want":      {stubborn, fails},
		"one takes no outcomes":                    {takesNone, well},
		"one is slow, one takes no outcomes":       {slow, takesNone},
		"one is slow, and one hangs":               {slow, hangs},
		"one hangs, one does it and does not tell": {hangs, silent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t, 500*time.Millisecond)
				stop := w.run(t)
				wait := w.emit(t, 2*time.Minute, w.organizations("a", "b", "c", "d")...)
				time.Sleep(20 * time.Second)
				w.b.way.Store(ways[0])
				w.c.way.Store(ways[1])
				time.Sleep(70 * time.Second) // longer than a lease
				w.b.way.Store(well)
				w.c.way.Store(well)
				close(w.b.cured)
				wait()
				time.Sleep(5 * time.Minute)
				longest := w.requireAllOnce(t)
				require.Less(t, longest["a"], 200*time.Millisecond)
				require.Less(t, longest["d"], 200*time.Millisecond)
				require.NoError(t, stop())
			})
		})
	}
}

// The end of a run does not wait for a shard that hangs for longer than for any store, and
// stores what the others take.
func TestRunEndsThoughAShardHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 5*time.Second)
		stop := w.run(t)
		w.emit(t, time.Second, w.organizations("a", "b", "d")...)()
		w.b.way.Store(hangs)
		began := time.Now()
		err := stop()
		require.ErrorContains(t, err, "3 outcomes could not be stored")
		require.Less(t, time.Since(began), time.Minute)
		w.b.way.Store(well)
		n := map[string]int{}
		for d, err := range w.Deliveries(t.Context(), alotwebhook.Filter{State: alotwebhook.StateDelivered}) {
			require.NoError(t, err)
			n[byPrefix(d.OrganizationID)[0]]++
		}
		require.Equal(t, map[string]int{"a": 3, "d": 3}, n)
		time.Sleep(time.Minute)
	})
}

// A shard that gives deliveries and takes no outcomes is asked for one a second: what is sent
// then is sent again if the process is killed.
func TestShardThatTakesNoOutcomes(t *testing.T) {
	t.Parallel()
	for name, way := range map[string]int32{"hangs": takesNone, "fails": refuses} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t, 100*time.Millisecond)
				w.b.way.Store(way)
				stop := w.run(t)
				w.emit(t, time.Minute, w.organizations("a", "b")...)()
				w.net.mu.Lock()
				sent := len(w.net.sent)
				w.net.mu.Unlock()
				require.GreaterOrEqual(t, sent, 180+30, "all of a, and some of b")
				require.Less(t, sent, 180+100, "of 180")
				w.b.way.Store(well)
				time.Sleep(5 * time.Minute)
				w.requireAllOnce(t)
				require.NoError(t, stop())
			})
		})
	}
}
