package alotwebhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
	"github.com/alot/alotwebhook/webhooktest"
)

const anotherID = "evt_01jcc7wjz3e4qv8x5k2m9n6p0s"

// faultyDeduper is a Deduper whose methods return the errors that are set.
type faultyDeduper struct {
	alotwebhook.Deduper
	claim, complete, release error
	calls                    atomic.Int64
}

func (f *faultyDeduper) Claim(ctx context.Context, key string, lease time.Duration) (alotwebhook.DedupeClaim, error) {
	f.calls.Add(1)
	if f.claim != nil {
		return alotwebhook.DedupeClaim{}, f.claim
	}
	return f.Deduper.Claim(ctx, key, lease)
}

func (f *faultyDeduper) Complete(ctx context.Context, c alotwebhook.DedupeClaim) error {
	if f.complete != nil {
		return f.complete
	}
	return f.Deduper.Complete(ctx, c)
}

func (f *faultyDeduper) Release(ctx context.Context, c alotwebhook.DedupeClaim) error {
	if f.release != nil {
		return f.release
	}
	return f.Deduper.Release(ctx, c)
}

// deskWith returns a desk with a Deduper. Its handler calls fn and keeps the event if
// fn returns nil.
func deskWith(t *testing.T, cfg alotwebhook.ReceiverConfig, fn func(ctx context.Context) error) *desk {
	t.Helper()
	if cfg.Deduper == nil {
		cfg.Deduper = dedupe.NewMemory(nil)
	}
	d := newDesk(t, cfg)
	alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, func(ctx context.Context, e alotwebhook.Event, data json.RawMessage) error {
		if err := fn(ctx); err != nil {
			return err
		}
		return d.keep(ctx, e, data)
	})
	return d
}

func nothing(context.Context) error { return nil }

func statusOf(h http.Handler, body string) int { return responseOf(h, signed(body)).StatusCode }

func TestDeduperHandlesOnce(t *testing.T) {
	t.Parallel()
	d := deskWith(t, alotwebhook.ReceiverConfig{}, nothing)
	for range 3 {
		require.Equal(t, 200, statusOf(d, payload))
	}
	require.Len(t, d.handled, 1)
	require.Equal(t, 200, statusOf(d, with("id", `"`+anotherID+`"`)))
	require.Len(t, d.handled, 2)
	require.Empty(t, d.failures)
	require.Empty(t, d.log.String())
}

func TestDeduperInProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		entered, finish := make(chan struct{}), make(chan struct{})
		d := deskWith(t, alotwebhook.ReceiverConfig{}, func(context.Context) error {
			close(entered)
			<-finish
			return nil
		})
		first := make(chan int)
		go func() { first <- statusOf(d, payload) }()
		<-entered
		time.Sleep(4500 * time.Millisecond)

		w := responseOf(d, signed(payload))
		require.Equal(t, http.StatusConflict, w.StatusCode)
		require.Equal(t, "16", w.Header.Get("Retry-After"), "what is left of 20 s")
		require.ErrorIs(t, d.failures[0].err, alotwebhook.ErrInProgress)
		require.Equal(t, eventID, d.failures[0].event.ID)
		require.Contains(t, d.log.String(), `"cause":"in_progress"`)

		close(finish)
		require.Equal(t, 200, <-first)
		require.Equal(t, 200, statusOf(d, payload))
		require.Len(t, d.handled, 1)
	})
}

// After any failure of the handler, the event can be handled again at once.
func TestDeduperReleasesFailedEvents(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		fail   func() error
		status int
	}{
		"error":      {func() error { return broken }, 500},
		"retryAfter": {func() error { return alotwebhook.RetryAfter(broken, time.Second) }, 503},
		"panic":      {func() error { panic(broken) }, 500},
		"abort":      {func() error { panic(http.ErrAbortHandler) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failing := true
			d := deskWith(t, alotwebhook.ReceiverConfig{}, func(context.Context) error {
				if failing {
					return c.fail()
				}
				return nil
			})
			for range 2 {
				if c.status == 0 {
					require.PanicsWithValue(t, http.ErrAbortHandler, func() { statusOf(d, payload) })
				} else {
					require.Equal(t, c.status, statusOf(d, payload))
				}
			}
			failing = false
			require.Equal(t, 200, statusOf(d, payload))
			require.Len(t, d.handled, 1)
		})
	}
}

// If the data does not fit the handler's type, a new version of the handler can mend
// that. The event must then be handled when it comes again.
func TestDeduperReleasesDataThatDoesNotFit(t *testing.T) {
	t.Parallel()
	memory := dedupe.NewMemory(nil)
	old := newDesk(t, alotwebhook.ReceiverConfig{Deduper: memory})
	alotwebhook.On(old.Receiver, alotwebhook.EventCandidateCompleted, func(context.Context, alotwebhook.Event, []int) error { return nil })
	require.Equal(t, 400, statusOf(old, payload))
	require.Equal(t, 200, statusOf(deskWith(t, alotwebhook.ReceiverConfig{Deduper: memory}, nothing), payload))
}

// An event that failed permanently is done: it would fail again.
func TestDeduperCompletesPermanentFailures(t *testing.T) {
	t.Parallel()
	calls := 0
	d := deskWith(t, alotwebhook.ReceiverConfig{}, func(context.Context) error {
		calls++
		return alotwebhook.Permanent(errors.New("no such candidate"))
	})
	require.Equal(t, 202, statusOf(d, payload))
	require.Equal(t, 200, statusOf(d, payload))
	require.Equal(t, 1, calls)
}

// If the Deduper fails, nobody knows whether the event was handled. The status must make
// the sender repeat it.
func TestDeduperThatFailsLetsNothingThrough(t *testing.T) {
	t.Parallel()
	down := errors.New("database is down")
	d := deskWith(t, alotwebhook.ReceiverConfig{Deduper: &faultyDeduper{claim: down}}, nothing)
	require.Equal(t, 503, statusOf(d, payload))
	require.Empty(t, d.handled)
	require.ErrorIs(t, d.failures[0].err, down)
	require.Contains(t, d.log.String(), `"cause":"dedupe_failed"`)

	d = deskWith(t, alotwebhook.ReceiverConfig{Deduper: stateless{}}, nothing)
	require.Equal(t, 503, statusOf(d, payload))
	require.Empty(t, d.handled)
	require.ErrorContains(t, d.failures[0].err, "a state that does not exist")
}

type stateless struct{ alotwebhook.Deduper }

func (stateless) Claim(context.Context, string, time.Duration) (alotwebhook.DedupeClaim, error) {
	return alotwebhook.DedupeClaim{}, nil
}

// If the event was handled but could not be marked, the status must be 200: an error
// would make the sender repeat it, and it would be handled again.
func TestDeduperThatCannotMark(t *testing.T) {
	t.Parallel()
	down := errors.New("database is down")
	d := deskWith(t, alotwebhook.ReceiverConfig{Deduper: &faultyDeduper{Deduper: dedupe.NewMemory(nil), complete: down, release: down}}, nothing)
	require.Equal(t, 200, statusOf(d, payload))
	require.Len(t, d.handled, 1)
	require.Equal(t, 200, d.failures[0].status)
	require.ErrorIs(t, d.failures[0].err, alotwebhook.ErrNotMarked)
	require.ErrorIs(t, d.failures[0].err, down)
	require.EqualError(t, d.failures[0].err, "alotwebhook: handled, but not marked as done: database is down")
	require.Contains(t, d.log.String(), `"cause":"not_marked"`)
	require.Contains(t, d.log.String(), "event handled, but not marked as done")

	failed := errors.New("handler failed")
	d = deskWith(t, alotwebhook.ReceiverConfig{Deduper: &faultyDeduper{Deduper: dedupe.NewMemory(nil), release: down}},
		func(context.Context) error { return failed })
	require.Equal(t, 500, statusOf(d, payload))
	require.ErrorIs(t, d.failures[0].err, failed)
	require.ErrorIs(t, d.failures[0].err, down)
}

// A handler's context ends with its lease. The claim is settled all the same.
func TestDeduperLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for lease, want := range map[time.Duration]time.Duration{0: alotwebhook.DefaultLease, -1: alotwebhook.DefaultLease, time.Minute: time.Minute} {
			start := time.Now()
			d := deskWith(t, alotwebhook.ReceiverConfig{Lease: lease}, func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			})
			require.Equal(t, 500, statusOf(d, payload))
			require.Equal(t, want, time.Since(start))
		}
	})
}

// The sender hangs up before the handler returns. The event must be marked as handled
// all the same.
func TestDeduperMarksAfterTheSenderHungUp(t *testing.T) {
	t.Parallel()
	ctx, hangUp := context.WithCancel(t.Context())
	f := &faultyDeduper{Deduper: respectful{dedupe.NewMemory(nil)}}
	d := deskWith(t, alotwebhook.ReceiverConfig{Deduper: f}, func(ctx context.Context) error {
		hangUp()
		<-ctx.Done()
		return nil
	})
	require.Equal(t, 200, responseOf(d, signed(payload).WithContext(ctx)).StatusCode)
	require.Empty(t, d.failures)
	require.Equal(t, 200, statusOf(d, payload))
	require.Len(t, d.handled, 1)
}

// respectful is a Deduper that returns an error once its context has ended, as a database
// does.
type respectful struct{ alotwebhook.Deduper }

func (r respectful) Complete(ctx context.Context, c alotwebhook.DedupeClaim) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return r.Deduper.Complete(ctx, c)
}

func TestDeduperName(t *testing.T) {
	t.Parallel()
	memory := dedupe.NewMemory(nil)
	for _, name := range []string{"", "mail", "crm"} {
		for range 2 { // each name has two processes
			d := deskWith(t, alotwebhook.ReceiverConfig{Deduper: memory, Name: name}, nothing)
			require.Equal(t, 200, statusOf(d, payload))
			if c, err := memory.Claim(t.Context(), eventID, time.Minute); name == "" {
				require.NoError(t, err)
				require.Equal(t, alotwebhook.DedupeDone, c.State, "the key is the event's id")
			}
		}
	}
	for _, key := range []string{"mail/" + eventID, "crm/" + eventID} {
		c, err := memory.Claim(t.Context(), key, time.Minute)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.DedupeDone, c.State)
	}
}

// An event without a handler is not marked as handled: a later version of the program
// may have a handler for it.
func TestDeduperIsNotAskedAboutUnknownTypes(t *testing.T) {
	t.Parallel()
	f := &faultyDeduper{Deduper: dedupe.NewMemory(nil)}
	d := newDesk(t, alotwebhook.ReceiverConfig{Deduper: f})
	require.Equal(t, 204, statusOf(d, payload))
	require.Zero(t, f.calls.Load())

	calls := 0
	d = newDesk(t, alotwebhook.ReceiverConfig{Deduper: f, Unknown: func(context.Context, alotwebhook.Event) error { calls++; return nil }})
	require.Equal(t, 204, statusOf(d, payload))
	require.Equal(t, 204, statusOf(d, payload))
	require.Equal(t, 1, calls)
}

func TestOnceRefusesANilPointer(t *testing.T) {
	t.Parallel()
	var none *struct{ alotwebhook.Deduper }
	err := alotwebhook.Once(t.Context(), none, eventID, 0, func(context.Context) error {
		t.Error("handled without the Deduper that was meant")
		return nil
	})
	requireField(t, err, "d")
}

func TestNothingToCallIsRefused(t *testing.T) {
	t.Parallel()
	for _, d := range []alotwebhook.Deduper{nil, dedupe.NewMemory(nil)} {
		requireField(t, alotwebhook.Once(t.Context(), d, eventID, 0, nil), "fn")
	}
	v, err := alotwebhook.NewVerifier(receiverSecret)
	require.NoError(t, err)
	require.PanicsWithValue(t, "alotwebhook: Middleware needs a next handler", func() { alotwebhook.NewReceiver(v, nil).Middleware(nil) })
	_, err = v.ParseRequest(nil)
	require.ErrorContains(t, err, "the request is nil")
}

func TestOnce(t *testing.T) {
	t.Parallel()
	calls := 0
	count := func(ctx context.Context) error {
		calls++
		return nil
	}
	require.NoError(t, alotwebhook.Once(t.Context(), nil, "", 0, count))
	require.Equal(t, 1, calls, "without a Deduper, every time")
	memory := dedupe.NewMemory(nil)
	require.ErrorIs(t, alotwebhook.Once(t.Context(), memory, "", 0, count), alotwebhook.ErrInvalid)
	require.NoError(t, alotwebhook.Once(t.Context(), memory, eventID, 0, count))
	require.NoError(t, alotwebhook.Once(t.Context(), memory, eventID, 0, count))
	require.Equal(t, 2, calls)
}

func TestClaimFromContext(t *testing.T) {
	t.Parallel()
	require.Equal(t, alotwebhook.DedupeClaim{}, alotwebhook.ClaimFromContext(t.Context()))
	var got alotwebhook.DedupeClaim
	memory := dedupe.NewMemory(nil)
	d := deskWith(t, alotwebhook.ReceiverConfig{Deduper: memory}, func(ctx context.Context) error {
		got = alotwebhook.ClaimFromContext(ctx)
		return memory.Complete(ctx, got) // a handler may complete its claim itself
	})
	require.Equal(t, 200, statusOf(d, payload))
	require.Empty(t, d.failures)
	require.Equal(t, eventID, got.Key)
	require.Equal(t, alotwebhook.DedupeClaimed, got.State)
}

// serve returns a receivers.respond that passes each request to h.
func serve(h http.Handler) func(r *http.Request, n int) (*http.Response, error) {
	return func(r *http.Request, _ int) (*http.Response, error) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result(), nil
	}
}

// The receiver crashes while it handles an event, and leaves a claim behind. With the
// sender's default schedule, the very next attempt finds the lease run out, and handles
// the event.
func TestSenderAndDeduperAfterACrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := dedupe.NewMemory(nil)
		d := deskWith(t, alotwebhook.ReceiverConfig{Deduper: memory}, nothing)
		w := newWorld(t, alotwebhook.Config{}, &receivers{respond: func(r *http.Request, n int) (*http.Response, error) {
			if n == 1 { // the process claims the event and crashes
				_, err := memory.Claim(r.Context(), eventOf(t, r).ID, alotwebhook.DefaultLease)
				require.NoError(t, err)
				return nil, syscall.ECONNRESET
			}
			return serve(d)(r, n)
		}})
		delivery := deliverOne(t, w)
		require.Equal(t, alotwebhook.StateDelivered, delivery.State)
		require.Equal(t, 2, delivery.AttemptCount)
		require.Len(t, d.handled, 1)
	})
}

// The first attempt times out while its handler is still at work, and the second one
// comes before it has finished. It gets 409, which makes the sender try a third time.
func TestSenderRepeatsWhatIsInProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := deskWith(t, alotwebhook.ReceiverConfig{Lease: 5 * time.Minute}, func(context.Context) error {
			time.Sleep(2 * time.Minute)
			return nil
		})
		w := newWorld(t, alotwebhook.Config{}, &receivers{respond: func(r *http.Request, n int) (*http.Response, error) {
			if n == 1 {
				later := r.Clone(context.WithoutCancel(r.Context()))
				go serve(d)(later, n) // the handler goes on after the timeout
				return hang(r)
			}
			return serve(d)(r, n)
		}})
		delivery := deliverOne(t, w)
		require.Equal(t, alotwebhook.StateDelivered, delivery.State)
		var codes []int
		for _, a := range delivery.Attempts {
			codes = append(codes, a.StatusCode)
		}
		require.Equal(t, []int{0, 409, 200}, codes)
		require.Len(t, d.handled, 1)
	})
}

func eventOf(t *testing.T, r *http.Request) alotwebhook.Event {
	t.Helper()
	v, err := alotwebhook.NewVerifier(receiverSecret)
	require.NoError(t, err)
	e, err := v.ParseRequest(r)
	require.NoError(t, err)
	return e
}

// deliverOne emits an event and returns its delivery an hour later.
func deliverOne(t *testing.T, w *world) alotwebhook.Delivery {
	t.Helper()
	endpoint, err := w.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_123", URL: "https://customer.example.com/alot/webhook",
		EventTypes: []string{alotwebhook.EventCandidateCompleted}, Secret: receiverSecret,
	})
	require.NoError(t, err)
	e, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, "org_123", json.RawMessage(`{"score":82}`))
	require.NoError(t, err)
	require.NoError(t, w.Emit(t.Context(), e))
	stop := w.run(t)
	time.Sleep(time.Hour)
	stop()
	delivery, err := w.Delivery(t.Context(), alotwebhook.DeliveryID(e.ID, endpoint.ID))
	require.NoError(t, err)
	return delivery
}

// Customers run webhooktest.Battery on their own handlers. The library's handlers must
// pass it, too.
func TestDeduperPassesTheBattery(t *testing.T) {
	t.Parallel()
	for name, form := range map[string]func(d *desk, memory alotwebhook.Deduper) http.Handler{
		"Receiver": func(d *desk, _ alotwebhook.Deduper) http.Handler {
			alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, d.keep)
			return d
		},
		"Middleware and Once": func(d *desk, memory alotwebhook.Deduper) http.Handler {
			return d.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				received, _ := alotwebhook.FromContext(r.Context())
				err := alotwebhook.Once(r.Context(), memory, received.Event.ID, 0, func(ctx context.Context) error {
					return d.keep(ctx, received.Event, nil)
				})
				w.WriteHeader(alotwebhook.StatusCode(err))
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			memory := dedupe.NewMemory(nil)
			d := newDesk(t, alotwebhook.ReceiverConfig{Deduper: memory})
			webhooktest.Battery{Secret: receiverSecret, Handled: d.times}.CheckReceiver(t, form(d, memory))
		})
	}
}

// times returns how often an event was kept.
func (d *desk) times(id string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.handled {
		if e.ID == id {
			n++
		}
	}
	return n
}
