package alotwebhook_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

var errDown = errors.New("the database is away")

// faulty is a store whose calls fail as the test says, before or after they have done their
// work.
type faulty struct {
	alotwebhook.Store
	calls atomic.Int64
	// before and after get the number of the call, from 1, and return true to make it
	// fail.
	before, after func(call int64) bool
}

func (f *faulty) call(work func() error) error {
	n := f.calls.Add(1)
	if f.before != nil && f.before(n) {
		return errDown
	}
	if err := work(); err != nil {
		return err
	}
	if f.after != nil && f.after(n) {
		return errDown
	}
	return nil
}

func (f *faulty) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	return f.call(func() error { return f.Store.Enqueue(ctx, events) })
}

func (f *faulty) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (result alotwebhook.ClaimResult, err error) {
	err = f.call(func() (err error) { result, err = f.Store.Claim(ctx, c); return err })
	if err != nil {
		return alotwebhook.ClaimResult{}, err
	}
	return result, nil
}

func (f *faulty) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) (lost []string, err error) {
	err = f.call(func() (err error) { lost, err = f.Store.Finish(ctx, outcomes); return err })
	return lost, err
}

// Any call of the store may fail, before it has done its work or after. All events must be
// delivered all the same.
func TestAnyFailureOfTheStoreLosesNothing(t *testing.T) {
	t.Parallel()
	// Some first attempts fail.
	respond := func(r *http.Request, n int) (*http.Response, error) {
		if n%3 == 1 && r.Header.Get(alotwebhook.AttemptHeader) == "1" {
			return status(http.StatusInternalServerError), nil
		}
		return status(http.StatusOK), nil
	}
	for name, when := range map[string]func(f *faulty, nth int64){
		"before":        func(f *faulty, nth int64) { f.before = func(n int64) bool { return n == nth } },
		"after":         func(f *faulty, nth int64) { f.after = func(n int64) bool { return n == nth } },
		"from then on":  func(f *faulty, nth int64) { f.before = func(n int64) bool { return n >= nth && n < nth+20 } },
		"every other":   func(f *faulty, nth int64) { f.before = func(n int64) bool { return n > nth && n%2 == 0 && n < nth+40 } },
		"after, thrice": func(f *faulty, nth int64) { f.after = func(n int64) bool { return n >= nth && n < nth+3 } },
		"after, long":   func(f *faulty, nth int64) { f.after = func(n int64) bool { return n >= nth && n < nth+30 } },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for nth := int64(1); nth <= 25; nth++ {
				synctest.Test(t, func(t *testing.T) {
					store := &faulty{Store: memory.New()}
					when(store, nth)
					w := newWorldOn(t, store, alotwebhook.Config{}, &receivers{respond: respond})
					endpoint := w.endpoint(t, "a.example.com")
					defer w.run(t)()
					var events []alotwebhook.Event
					for range 5 {
						event := newEvent(t)
						for w.Emit(t.Context(), event) != nil {
							time.Sleep(time.Second) // the documentation tells the host to try again
						}
						events = append(events, event)
						time.Sleep(time.Second)
					}
					time.Sleep(time.Hour)
					for _, event := range events {
						requireToldAsItWas(t, w, event, endpoint)
					}
				})
			}
		})
	}
}

// requireToldAsItWas requires that an event is delivered, that each of its attempts was one
// request, and that the history has these attempts and no others.
func requireToldAsItWas(t testing.TB, w *world, event alotwebhook.Event, endpoint alotwebhook.Endpoint) {
	t.Helper()
	d := w.delivery(t, event, endpoint)
	require.Equal(t, alotwebhook.StateDelivered, d.State)
	var sent []string
	for _, r := range w.net.requests() {
		if r.head.Get(alotwebhook.DeliveryHeader) == d.ID {
			sent = append(sent, r.head.Get(alotwebhook.AttemptHeader))
		}
	}
	var told []string
	for i, a := range d.Attempts {
		told = append(told, strconv.Itoa(a.Number))
		require.Equal(t, i == len(d.Attempts)-1, a.Reason == "")
	}
	require.Equal(t, sent, told, "requests, and attempts in the history")
}

// While the store is away, the dispatcher tries less and less often. It logs the beginning
// and the end, and nothing in between.
func TestStoreAwayForTenMinutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var log bytes.Buffer
		var away atomic.Bool
		store := &faulty{Store: memory.New(), before: func(int64) bool { return away.Load() }}
		w := newWorldOn(t, store, alotwebhook.Config{Logger: slog.New(slog.NewTextHandler(&lockedWriter{mu: &mu, w: &log}, nil))},
			&receivers{respond: slowly(5 * time.Second)})
		endpoint := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		event := w.emit(t)
		time.Sleep(time.Second)
		away.Store(true)
		before := store.calls.Load()
		time.Sleep(10 * time.Minute)
		require.Less(t, store.calls.Load()-before, int64(500))
		away.Store(false)
		time.Sleep(time.Minute)
		require.Equal(t, alotwebhook.StateDelivered, w.delivery(t, event, endpoint).State)
		require.LessOrEqual(t, len(w.net.requests()), 2, "once more at most, since the lease ran out meanwhile")
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, 2, strings.Count(log.String(), "the store fails"), "claim and finish, once each:\n%s", log.String())
		require.Equal(t, 2, strings.Count(log.String(), "has recovered"))
	})
}

// Run must return even if the store is away and outcomes cannot be stored.
func TestRunEndsThoughTheStoreIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		store := &faulty{Store: memory.New(), before: func(int64) bool { return away.Load() }}
		w := newWorldOn(t, store, alotwebhook.Config{}, &receivers{respond: slowly(time.Second)})
		w.endpoint(t, "a.example.com")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		w.emit(t)
		time.Sleep(100 * time.Millisecond)
		away.Store(true)
		cancel()
		start := time.Now()
		err := <-ended
		require.ErrorContains(t, err, "1 outcomes could not be stored")
		require.Less(t, time.Since(start), time.Minute)
	})
}

// unreadable is a store that does not respond to readers of an endpoint.
type unreadable struct {
	alotwebhook.Store
	now atomic.Bool
}

func (u *unreadable) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	if u.now.Load() {
		<-ctx.Done()
		return alotwebhook.Endpoint{}, ctx.Err()
	}
	return u.Store.Endpoint(ctx, id)
}

// Run must return soon even if many endpoints are to be disabled and the store hangs.
func TestRunEndsThoughEndpointsCannotBeDisabled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &unreadable{Store: memory.New()}
		w := newWorldOn(t, store, alotwebhook.Config{}, failing(http.StatusGone))
		const endpoints = 100
		for i := range endpoints {
			w.endpointOf(t, "org_"+strconv.Itoa(i), "a.example.com")
		}
		store.now.Store(true)
		stop := w.run(t)
		for i := range endpoints {
			w.emitTo(t, "org_"+strconv.Itoa(i))
		}
		time.Sleep(5 * time.Second)
		require.Len(t, w.net.requests(), endpoints)
		start := time.Now()
		stop()
		require.Less(t, time.Since(start), time.Minute)
	})
}

// mute is a store whose first Finish gets no response, as over a connection that
// is dead and does not say so.
type mute struct {
	alotwebhook.Store
	asked atomic.Bool
}

func (m *mute) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	if !m.asked.Swap(true) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return m.Store.Finish(ctx, outcomes)
}

// Outcomes are stored within the lease although a try to store them hangs.
func TestAFinishThatHangsIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOn(t, &mute{Store: memory.New()}, alotwebhook.Config{}, &receivers{})
		endpoint := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		event := w.emit(t)
		time.Sleep(39 * time.Second) // its lease is 40 s
		require.Equal(t, alotwebhook.StateDelivered, w.delivery(t, event, endpoint).State)
		require.Len(t, w.net.requests(), 1)
	})
}

// neverFinishing is a store that drops all outcomes, as if the process always crashed before
// it could store one.
type neverFinishing struct{ alotwebhook.Store }

func (neverFinishing) Finish(context.Context, []alotwebhook.Outcome) ([]string, error) {
	return nil, nil
}

// latePauses is a store whose pauses cannot be read the first times.
type latePauses struct {
	*memory.Store
	failures atomic.Int64
}

func (s *latePauses) Pauses(ctx context.Context) ([]alotwebhook.Pause, error) {
	if s.failures.Add(-1) >= 0 {
		return nil, errDown
	}
	return s.Store.Pauses(ctx)
}

func TestPoisonIsFailedAfterFiveClaims(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		dying := newWorldOn(t, neverFinishing{store}, alotwebhook.Config{}, &receivers{})
		endpoint := dying.endpoint(t, "a.example.com")
		stop := dying.run(t)
		event := dying.emit(t)
		for len(dying.net.requests()) < 5 {
			time.Sleep(time.Second)
		}
		stop()
		time.Sleep(time.Hour)

		late := &latePauses{Store: store} // nothing is claimed before it is known what is paused
		late.failures.Store(3)
		w := newWorldOn(t, late, alotwebhook.Config{}, &receivers{})
		defer w.run(t)()
		time.Sleep(time.Minute)
		require.Empty(t, w.net.requests())
		d := w.delivery(t, event, endpoint)
		require.Equal(t, alotwebhook.StateFailed, d.State)
		require.Equal(t, alotwebhook.ReasonPoison, d.LastReason)
	})
}

// A dispatcher is held up until its lease has run out and another one has sent the
// delivery. It must not change the outcome.
func TestLostLeaseChangesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		release := make(chan struct{})
		held := newWorldOn(t, &holding{Store: store, release: release}, alotwebhook.Config{}, failing(500))
		endpoint := held.endpoint(t, "a.example.com")
		stopHeld := held.run(t)
		event := held.emit(t)
		time.Sleep(time.Minute) // longer than the lease of 40 s

		other := newWorldOn(t, store, alotwebhook.Config{}, &receivers{})
		stopOther := other.run(t)
		time.Sleep(time.Minute)
		require.Equal(t, alotwebhook.StateDelivered, other.delivery(t, event, endpoint).State)
		close(release)
		time.Sleep(time.Minute)
		d := other.delivery(t, event, endpoint)
		require.Equal(t, alotwebhook.StateDelivered, d.State)
		require.Len(t, d.Attempts, 1)
		stopOther()
		stopHeld()
	})
}

// holding is a store that waits for release before it stores outcomes, and allows one claim
// only.
type holding struct {
	alotwebhook.Store
	release chan struct{}
	claimed atomic.Bool
}

func (h *holding) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	if h.claimed.Load() {
		return alotwebhook.ClaimResult{}, nil
	}
	result, err := h.Store.Claim(ctx, c)
	h.claimed.Store(len(result.Deliveries) > 0)
	return result, err
}

func (h *holding) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	<-h.release
	return h.Store.Finish(ctx, outcomes)
}

// forgetful is a store whose claims take effect although their results get lost.
type forgetful struct {
	alotwebhook.Store
	forgets atomic.Bool
}

func (f *forgetful) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := f.Store.Claim(ctx, c)
	if f.forgets.Load() {
		return alotwebhook.ClaimResult{}, errDown
	}
	return r, err
}

// What was claimed again and again without the process knowing is not taken for poison.
func TestLostClaimsAreNoPoison(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &forgetful{Store: memory.New()}
		store.forgets.Store(true)
		w := newWorldOn(t, store, alotwebhook.Config{}, &receivers{})
		endpoint := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		event := w.emit(t)
		time.Sleep(10 * time.Minute)
		store.forgets.Store(false)
		time.Sleep(2 * time.Minute)
		requireToldAsItWas(t, w, event, endpoint)
		require.Len(t, w.net.requests(), 1)
	})
}
