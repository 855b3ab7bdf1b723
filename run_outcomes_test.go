package alotwebhook_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
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

// refusing is a store that refuses a batch of outcomes if it refuses one of them.
type refusing struct {
	alotwebhook.Store
	refuses func(*alotwebhook.Outcome) bool
	// after makes the store keep what it refuses all the same, as if only its reply were lost.
	after  bool
	tries  atomic.Int64
	claims atomic.Int64
}

var errRefused = errors.New("invalid byte sequence")

func (p *refusing) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	p.tries.Add(1)
	refused := slices.ContainsFunc(outcomes, func(o alotwebhook.Outcome) bool { return p.refuses(&o) })
	if refused && !p.after {
		return nil, errRefused
	}
	lost, err := p.Store.Finish(ctx, outcomes)
	if refused {
		return nil, errRefused
	}
	return lost, err
}

func (p *refusing) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := p.Store.Claim(ctx, c)
	p.claims.Add(int64(len(r.Deliveries)))
	return r, err
}

// logTo returns a logger and a function that returns what it has logged.
func logTo() (*slog.Logger, func() string) {
	var mu sync.Mutex
	var log bytes.Buffer
	return slog.New(slog.NewTextHandler(&lockedWriter{mu: &mu, w: &log}, nil)), func() string {
		mu.Lock()
		defer mu.Unlock()
		return log.String()
	}
}

// bodyTo answers a host with that body and that status, and all others with 200 "ok".
func bodyTo(host, body string, code int) func(*http.Request, int) (*http.Response, error) {
	return func(r *http.Request, _ int) (*http.Response, error) {
		resp := status(http.StatusOK)
		text := "ok"
		if r.URL.Host == host {
			resp, text = status(code), body
		}
		resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		return resp, nil
	}
}

// A text that the store does not take costs its own attempt the text, and others nothing:
// one such outcome or many, alone or in a crowd.
func TestOutcomeWhoseTextTheStoreRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ bad, good int }{{1, 0}, {1, 1}, {1, 100}, {3, 600}, {300, 300}, {600, 3}, {600, 0}} {
		t.Run(strconv.Itoa(c.bad)+" bad "+strconv.Itoa(c.good)+" good", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &refusing{Store: memory.New(), refuses: func(o *alotwebhook.Outcome) bool { return o.Attempt.ResponseBody == "bad" }}
				log, logged := logTo()
				w := newWorldOn(t, store, alotwebhook.Config{KeepResponseBody: 100, Logger: log}, &receivers{respond: bodyTo("bad.example.com", "bad", 200)})
				w.endpointOf(t, "org_bad", "bad.example.com")
				w.endpointOf(t, "org_1", "good.example.com")
				defer w.run(t)()
				var bad, good []alotwebhook.Event
				for range c.bad {
					bad = append(bad, w.emitTo(t, "org_bad"))
				}
				for range c.good {
					good = append(good, w.emitTo(t, "org_1"))
				}
				time.Sleep(2 * time.Minute)
				for _, event := range bad {
					requireAttempt(t, w, event, "")
				}
				for _, event := range good {
					requireAttempt(t, w, event, "ok")
				}
				require.Len(t, w.net.requests(), c.bad+c.good)
				require.Contains(t, logged(), "without its detail and response body")
				require.NotContains(t, logged(), "body=bad")
			})
		})
	}
}

// requireAttempt requires that an event was delivered to its one endpoint by one attempt,
// and that this body was kept.
func requireAttempt(t testing.TB, w *world, event alotwebhook.Event, body string) {
	t.Helper()
	for d, err := range w.Deliveries(t.Context(), alotwebhook.Filter{EventID: event.ID}) {
		require.NoError(t, err)
		require.Equal(t, alotwebhook.StateDelivered, d.State)
		whole, err := w.Delivery(t.Context(), d.ID)
		require.NoError(t, err)
		require.Len(t, whole.Attempts, 1)
		require.Equal(t, body, whole.Attempts[0].ResponseBody)
	}
}

// An outcome that the store does not take at all is logged. It holds up no other, and its
// delivery is not sent again; once the store takes it, it is recorded as it was.
func TestOutcomeThatTheStoreRefusesAltogether(t *testing.T) {
	t.Parallel()
	for _, good := range []int{1, 100} {
		t.Run(strconv.Itoa(good)+" good", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var mended atomic.Bool
				var badID atomic.Value
				store := &refusing{Store: memory.New(), refuses: func(o *alotwebhook.Outcome) bool {
					return !mended.Load() && o.DeliveryID == badID.Load()
				}}
				log, logged := logTo()
				w := newWorldOn(t, store, alotwebhook.Config{KeepResponseBody: 100, Logger: log}, &receivers{respond: bodyTo("", "", 0)})
				endpoint := w.endpoint(t, "bad.example.com")
				w.endpointOf(t, "org_2", "good.example.com")
				bad := w.emit(t)
				badID.Store(alotwebhook.DeliveryID(bad.ID, endpoint.ID))
				defer w.run(t)()
				for range 30 {
					for range good {
						event := w.emitTo(t, "org_2")
						time.Sleep(time.Second)
						requireAttempt(t, w, event, "ok")
					}
				}
				time.Sleep(10 * time.Minute) // more than five leases
				require.Len(t, w.net.requests(), 1+30*good, "none twice")
				require.Contains(t, logged(), "an outcome cannot be stored")
				require.Contains(t, logged(), badID.Load())
				mended.Store(true)
				time.Sleep(2 * time.Minute)
				requireAttempt(t, w, bad, "ok")
				require.Len(t, w.net.requests(), 1+30*good)
			})
		})
	}
}

// While no outcome can be stored, whether the store keeps it or not, nothing is sent twice,
// little is sent at all, and nothing is taken for poison.
func TestNoOutcomeCanBeStored(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		for _, away := range []time.Duration{time.Minute, 20 * time.Minute} {
			t.Run(strconv.FormatBool(after)+" "+away.String(), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					var back atomic.Bool
					store := &refusing{Store: memory.New(), after: after, refuses: func(*alotwebhook.Outcome) bool { return !back.Load() }}
					w := newWorldOn(t, store, alotwebhook.Config{KeepResponseBody: 100}, &receivers{respond: bodyTo("", "", 0)})
					w.endpoint(t, "a.example.com")
					defer w.run(t)()
					var events []alotwebhook.Event
					for range 1500 {
						events = append(events, w.emit(t))
					}
					time.Sleep(away)
					sent := len(w.net.requests())
					require.LessOrEqual(t, sent, 2*256+int(away/time.Second)+10, "one a second, after the first claims")
					require.Less(t, store.tries.Load(), 100+3*int64(away/time.Second))
					back.Store(true)
					time.Sleep(5 * time.Minute)
					for _, event := range events {
						requireAttempt(t, w, event, "ok")
					}
					require.Len(t, w.net.requests(), len(events))
				})
			})
		}
	}
}

// A process ends while the store takes no outcomes. It says how many it could not store;
// the next process sends just these again, and tells what it has sent.
func TestRestartWhileNoOutcomeCanBeStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := memory.New()
		store := &refusing{Store: shared, refuses: func(*alotwebhook.Outcome) bool { return true }}
		first := newWorldOn(t, store, alotwebhook.Config{}, &receivers{})
		endpoint := first.endpoint(t, "a.example.com")
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- first.Run(ctx) }()
		var events []alotwebhook.Event
		for range 800 {
			events = append(events, first.emit(t))
		}
		time.Sleep(2 * time.Minute)
		stop()
		require.ErrorContains(t, <-ended, "outcomes could not be stored")
		sent := len(first.net.requests())

		second := newWorldOn(t, shared, alotwebhook.Config{}, &receivers{})
		defer second.run(t)()
		time.Sleep(time.Hour)
		for _, event := range events {
			requireToldAsItWas(t, second, event, endpoint)
		}
		require.Len(t, second.net.requests(), len(events))
		require.Less(t, sent, len(events))
	})
}

// overdue is a store whose Finish takes longer than a lease, the first few times.
type overdue struct {
	alotwebhook.Store
	slow atomic.Int64
}

func (o *overdue) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	if o.slow.Add(-1) >= 0 {
		time.Sleep(25 * time.Second)
	}
	return o.Store.Finish(ctx, outcomes)
}

// The store takes longer to record than a lease lasts. The deliveries are claimed again
// meanwhile, but not sent again.
func TestFinishThatTakesLongerThanTheLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &overdue{Store: memory.New()}
		store.slow.Store(10)
		log, logged := logTo()
		w := newWorldOn(t, store, alotwebhook.Config{Timeout: time.Second, Lease: 12 * time.Second, PollInterval: time.Second, Logger: log}, &receivers{})
		endpoint := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		var events []alotwebhook.Event
		for range 40 {
			events = append(events, w.emit(t))
			time.Sleep(5 * time.Second)
		}
		time.Sleep(10 * time.Minute)
		for _, event := range events {
			requireToldAsItWas(t, w, event, endpoint)
		}
		require.NotContains(t, logged(), "too late")
	})
}

// No outcome can be stored for twenty minutes, and another process begins to run meanwhile,
// beside the first or in its place. Nothing that was sent is taken for poison.
func TestLongOutageIsNoPoison(t *testing.T) {
	t.Parallel()
	for _, beside := range []bool{true, false} {
		t.Run("beside "+strconv.FormatBool(beside), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var back atomic.Bool
				store := &refusing{Store: memory.New(), refuses: func(*alotwebhook.Outcome) bool { return !back.Load() }}
				first := newWorldOn(t, store, alotwebhook.Config{}, &receivers{})
				endpoint := first.endpoint(t, "a.example.com")
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- first.Run(ctx) }()
				var events []alotwebhook.Event
				for range 10 {
					events = append(events, first.emit(t))
				}
				time.Sleep(20 * time.Minute)
				if !beside {
					stop()
					require.ErrorContains(t, <-ended, "10 outcomes could not be stored")
				}
				second := newWorldOn(t, store, alotwebhook.Config{}, &receivers{})
				defer second.run(t)()
				time.Sleep(20 * time.Minute)
				back.Store(true)
				time.Sleep(10 * time.Minute)
				for _, event := range events {
					d := second.delivery(t, event, endpoint)
					require.Equal(t, alotwebhook.StateDelivered, d.State, d.LastReason)
					require.Len(t, d.Attempts, 1)
				}
				require.Len(t, first.net.requests(), len(events))
				require.LessOrEqual(t, len(second.net.requests()), len(events))
				stop()
				if beside {
					require.NoError(t, <-ended)
				}
			})
		})
	}
}

// The store refuses one outcome altogether, while others are stored. Run does not say that
// all is recorded, and the next process does not take the delivery for poison.
func TestRestartWithARefusedOutcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mended atomic.Bool
		store := &refusing{Store: memory.New(), refuses: func(o *alotwebhook.Outcome) bool {
			return !mended.Load() && o.Attempt.StatusCode == http.StatusCreated
		}}
		net := &receivers{respond: bodyTo("bad.example.com", "", http.StatusCreated)}
		first := newWorldOn(t, store, alotwebhook.Config{}, net)
		bad := first.endpoint(t, "bad.example.com")
		first.endpointOf(t, "org_2", "good.example.com")
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- first.Run(ctx) }()
		event := first.emit(t)
		for range 60 {
			first.emitTo(t, "org_2")
			time.Sleep(10 * time.Second)
		}
		require.Len(t, net.requests(), 61)
		stop()
		require.ErrorContains(t, <-ended, "1 outcomes could not be stored")

		second := newWorldOn(t, store, alotwebhook.Config{}, net)
		defer second.run(t)()
		time.Sleep(10 * time.Minute)
		mended.Store(true)
		time.Sleep(5 * time.Minute)
		d := second.delivery(t, event, bad)
		require.Equal(t, alotwebhook.StateDelivered, d.State, d.LastReason)
		require.Len(t, d.Attempts, 1)
		require.Len(t, net.requests(), 62, "once more after the restart")
	})
}

// The store refuses altogether the outcomes of hundreds of deliveries. None is sent again.
func TestManyOutcomesThatTheStoreRefusesAltogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mended atomic.Bool
		store := &refusing{Store: memory.New(), refuses: func(o *alotwebhook.Outcome) bool {
			return !mended.Load() && o.Attempt.StatusCode == http.StatusCreated
		}}
		w := newWorldOn(t, store, alotwebhook.Config{}, &receivers{respond: bodyTo("bad.example.com", "", http.StatusCreated)})
		bad := w.endpoint(t, "bad.example.com")
		w.endpointOf(t, "org_2", "good.example.com")
		defer w.run(t)()
		var events []alotwebhook.Event
		for range 600 {
			events = append(events, w.emit(t))
		}
		for range 60 {
			w.emitTo(t, "org_2")
			time.Sleep(10 * time.Second)
		}
		mended.Store(true)
		time.Sleep(20 * time.Minute)
		for _, event := range events {
			requireToldAsItWas(t, w, event, bad)
		}
		require.Len(t, w.net.requests(), 660)
	})
}
