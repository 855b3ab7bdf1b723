package alotwebhook_test

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// observeAttempts returns an observer that is told of attempts alone.
func observeAttempts(f func(alotwebhook.AttemptInfo)) *alotwebhook.Observer {
	return &alotwebhook.Observer{Finished: func(r alotwebhook.FinishReport) {
		for _, a := range r.Attempts {
			f(a)
		}
	}}
}

// reports keeps what an observer was told.
type reports struct {
	emits    []alotwebhook.EmitReport
	claims   []alotwebhook.ClaimReport
	finishes []alotwebhook.FinishReport
	disabled []alotwebhook.Endpoint
	recovers []alotwebhook.Recovery
	purges   []alotwebhook.PurgeReport
	missed   int
}

func (r *reports) observer() *alotwebhook.Observer {
	return &alotwebhook.Observer{
		Emitted:  func(e alotwebhook.EmitReport) { r.emits = append(r.emits, e) },
		Claimed:  func(c alotwebhook.ClaimReport) { r.claims = append(r.claims, c) },
		Finished: func(f alotwebhook.FinishReport) { r.finishes = append(r.finishes, f) },
		Disabled: func(e alotwebhook.Endpoint) { r.disabled = append(r.disabled, e) },
		Recovery: func(v alotwebhook.Recovery) { r.recovers = append(r.recovers, v) },
		Purged:   func(p alotwebhook.PurgeReport) { r.purges = append(r.purges, p) },
		Missed:   func(n int) { r.missed += n },
	}
}

func (r *reports) attempts() (all []alotwebhook.AttemptInfo) {
	for _, f := range r.finishes {
		all = append(all, f.Attempts...)
	}
	return all
}

func TestObserver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told reports
		w := newWorld(t, alotwebhook.Config{Retry: alotwebhook.Schedule(30 * time.Second), Observer: told.observer()}, &receivers{
			respond: func(r *http.Request, n int) (*http.Response, error) {
				time.Sleep(20 * time.Millisecond)
				if n == 1 {
					return status(http.StatusBadGateway), nil
				}
				return status(http.StatusOK), nil
			},
		})
		stop := w.run(t)
		e := w.endpoint(t, "a.example.com:8443")
		begun := time.Now()
		event := w.emit(t)
		time.Sleep(time.Minute)
		_, err := w.Recover(t.Context(), e.ID, time.Time{})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		_, err = w.Purge(t.Context())
		require.NoError(t, err)
		stop()

		require.Len(t, told.emits, 1)
		require.Equal(t, event.ID, told.emits[0].Events[0].ID)
		require.Nil(t, told.emits[0].Events[0].Data, "no payload")
		require.NoError(t, told.emits[0].Err)
		require.False(t, told.emits[0].InTransaction)
		require.Equal(t, begun, told.emits[0].Began)

		attempts := told.attempts()
		require.Len(t, attempts, 2)
		for i, want := range []alotwebhook.AttemptInfo{
			{State: alotwebhook.StatePending, Attempt: alotwebhook.Attempt{Number: 1, StatusCode: 502, Reason: alotwebhook.ReasonStatus}, Try: 1},
			{State: alotwebhook.StateDelivered, Attempt: alotwebhook.Attempt{Number: 2, StatusCode: 200}, Try: 2},
		} {
			got := attempts[i]
			require.Equal(t, 20*time.Millisecond, got.Attempt.Duration)
			require.WithinRange(t, got.Attempt.StartedAt, begun, begun.Add(40*time.Second))
			want.DeliveryID, want.EventID, want.EventType = alotwebhook.DeliveryID(event.ID, e.ID), event.ID, event.Type
			want.EndpointID, want.OrganizationID, want.Host = e.ID, e.OrganizationID, "a.example.com:8443"
			want.EmittedAt, want.PayloadBytes = begun.Truncate(time.Millisecond).UTC(), len(event.Payload())
			want.Attempt.StartedAt, want.Attempt.Duration, want.Attempt.Detail = got.Attempt.StartedAt, got.Attempt.Duration, got.Attempt.Detail
			got.EmittedAt = got.EmittedAt.UTC()
			require.Equal(t, want, got)
		}

		claimed := 0
		for _, c := range told.claims {
			require.NoError(t, c.Err)
			require.Positive(t, c.Limit)
			claimed += c.Deliveries
		}
		require.Equal(t, 2, claimed)
		require.Len(t, told.recovers, 2)
		require.Equal(t, alotwebhook.RecoveryRunning, told.recovers[0].State)
		require.Equal(t, alotwebhook.RecoveryDone, told.recovers[1].State)
		require.NotEmpty(t, told.purges)
		require.Zero(t, told.missed)
	})
}

func TestObserverHearsOfFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told reports
		var down atomic.Bool
		store := &faulty{Store: memory.New(), before: func(int64) bool { return down.Load() }}
		w := newWorldOn(t, store, alotwebhook.Config{Retry: alotwebhook.Schedule(), Observer: told.observer()}, &receivers{
			respond: func(*http.Request, int) (*http.Response, error) { return status(http.StatusGone), nil },
		})
		e := w.endpoint(t, "a.example.com")
		event, err := alotwebhook.NewEvent("candidate.completed", "org_1", map[string]any{})
		require.NoError(t, err)
		down.Store(true)
		require.Error(t, w.Emit(t.Context(), event))
		stop := w.run(t)
		time.Sleep(time.Second)
		down.Store(false)
		require.NoError(t, w.Emit(t.Context(), event))
		time.Sleep(time.Minute)
		stop()

		require.Len(t, told.emits, 2)
		require.ErrorIs(t, told.emits[0].Err, errDown)
		require.ErrorIs(t, told.claims[0].Err, errDown)
		require.Len(t, told.disabled, 1)
		require.Equal(t, e.ID, told.disabled[0].ID)
		require.Equal(t, alotwebhook.DisabledGone, told.disabled[0].DisabledReason)
		require.Empty(t, told.disabled[0].Secret)
		require.Equal(t, alotwebhook.StateFailed, told.attempts()[0].State)
	})
}

func TestObserverThatPanicsStopsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		w := newWorld(t, alotwebhook.Config{
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Observer: &alotwebhook.Observer{
				Emitted:  func(alotwebhook.EmitReport) { panic("emitted") },
				Claimed:  func(alotwebhook.ClaimReport) { panic(http.ErrAbortHandler) },
				Finished: func(alotwebhook.FinishReport) { panic("finished") },
			},
		}, &receivers{})
		e := w.endpoint(t, "a.example.com")
		stop := w.run(t)
		events := make([]alotwebhook.Event, 50)
		for i := range events {
			events[i] = w.emit(t)
			time.Sleep(time.Second)
		}
		stop()
		for _, event := range events {
			require.Equal(t, alotwebhook.StateDelivered, w.delivery(t, event, e).State)
		}
		require.Contains(t, log.String(), "the observer panicked")
		require.LessOrEqual(t, strings.Count(log.String(), "the observer panicked"), 10, "a minute")
	})
}

func TestObserverThatBlocksStopsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var told, missed int
		w := newWorld(t, alotwebhook.Config{Observer: &alotwebhook.Observer{
			Emitted: func(r alotwebhook.EmitReport) { <-release; told++ },
			Missed:  func(n int) { missed += n },
		}}, &receivers{})
		w.endpoint(t, "a.example.com")
		stop := w.run(t)
		const batches, size = 40, 1000
		for range batches {
			events := make([]alotwebhook.Event, size)
			for i := range events {
				events[i] = newEvent(t)
			}
			require.NoError(t, w.Emit(t.Context(), events...))
		}
		time.Sleep(time.Minute)
		stats, err := w.Stats(t.Context())
		require.NoError(t, err)
		require.Zero(t, stats.Pending)
		began := time.Now()
		stop()
		require.Equal(t, time.Second, time.Since(began), "the end waits for the observer, but not for ever")
		close(release)
		synctest.Wait()
		require.Positive(t, missed, "so much is not kept for it")
		require.Equal(t, batches, told+missed)
	})
}

type spanKey struct{}

// The span that emitted is stored with the event, and known at each attempt. Customers hear of it
// only if that is wanted.
func TestTraceParent(t *testing.T) {
	t.Parallel()
	const first, own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00"
	for _, send := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var told reports
			observer := told.observer()
			observer.TraceParent = func(ctx context.Context) string {
				span, _ := ctx.Value(spanKey{}).(string)
				if span == "panic" {
					panic(http.ErrAbortHandler)
				}
				return span
			}
			w := newWorld(t, alotwebhook.Config{Observer: observer, SendTraceParent: send}, &receivers{})
			w.endpoint(t, "a.example.com")
			stop := w.run(t)
			want := map[string]string{}
			for span, parent := range map[string]string{first: first, "": "", "panic": "", "00-not-a-span": "", "01" + first[2:]: ""} {
				event := newEvent(t)
				require.NoError(t, w.Emit(context.WithValue(t.Context(), spanKey{}, span), event))
				want[event.ID] = parent
			}
			given := newEvent(t)
			given.TraceParent = own
			events := []alotwebhook.Event{given, newEvent(t)}
			require.NoError(t, w.Emit(context.WithValue(t.Context(), spanKey{}, first), events...))
			require.Empty(t, events[1].TraceParent, "the events are the caller's")
			want[given.ID], want[events[1].ID] = own, first
			time.Sleep(time.Minute)
			stop()

			got := map[string]string{}
			for _, a := range told.attempts() {
				got[a.EventID] = a.TraceParent
			}
			require.Equal(t, want, got)
			sent := 0
			for _, r := range w.net.requests() {
				if parent := r.head.Get("Traceparent"); parent != "" {
					sent++
				}
			}
			require.Equal(t, map[bool]int{false: 0, true: 3}[send], sent)
			stored, err := w.Event(t.Context(), given.ID)
			require.NoError(t, err)
			require.Equal(t, own, stored.TraceParent)
		})
	}
}

func TestTraceParentThatIsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alotwebhook.Config{}, &receivers{})
	event := newEvent(t)
	event.TraceParent = "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01"
	var refused *alotwebhook.FieldError
	require.ErrorAs(t, w.Emit(t.Context(), event), &refused)
	require.Equal(t, "traceParent", refused.Field)
}

// The reports of a process that only emits come as well, and keep nothing running.
func TestObserverWithoutRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told reports
		w := newWorld(t, alotwebhook.Config{Observer: told.observer()}, &receivers{})
		w.emit(t)
		synctest.Wait()
		require.Len(t, told.emits, 1)
	})
}

func TestHealth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		store := &faulty{Store: memory.New(), before: func(int64) bool { return down.Load() }}
		release := make(chan struct{})
		w := newWorldOn(t, store, alotwebhook.Config{PollInterval: time.Second}, &receivers{
			respond: func(*http.Request, int) (*http.Response, error) { <-release; return status(http.StatusOK), nil },
		})
		require.Zero(t, w.Health(), "it does not run")
		w.endpoint(t, "a.example.com")
		stop := w.run(t)
		time.Sleep(time.Hour)
		h := w.Health()
		require.WithinDuration(t, time.Now(), h.ClaimedAt, 2*time.Second)
		h.ClaimedAt = time.Time{}
		require.Equal(t, alotwebhook.Health{Running: true, Slots: 256, WaitingSlots: 4096}, h, "idle")

		w.emit(t)
		time.Sleep(5 * time.Millisecond)
		require.Equal(t, 1, w.Health().InFlight)
		time.Sleep(time.Second)
		require.Equal(t, 1, w.Health().Waiting)

		down.Store(true)
		close(release)
		time.Sleep(time.Minute)
		h = w.Health()
		require.ErrorIs(t, h.ClaimError, errDown)
		require.Equal(t, 1, h.Unrecorded)
		require.Zero(t, h.Stuck)
		down.Store(false)
		time.Sleep(time.Minute)
		h = w.Health()
		require.NoError(t, h.ClaimError)
		require.Zero(t, h.Unrecorded)
		stop()
		require.False(t, w.Health().Running)
	})
}

func TestHealthOfAClaimerThatIsStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &stuck{memory.New(), make(chan struct{})}
		w := newWorldOn(t, store, alotwebhook.Config{}, &receivers{})
		stop := w.run(t)
		time.Sleep(10 * time.Second)
		require.Zero(t, w.Health().Stuck, "a claim may take as long")
		time.Sleep(time.Minute)
		require.Equal(t, 70*time.Second, w.Health().Stuck, "this one ignores its context")
		close(store.release)
		synctest.Wait()
		require.Zero(t, w.Health().Stuck)
		stop()
	})
}

// stuck is a store whose claims take until the test says so, whatever their context.
type stuck struct {
	alotwebhook.Store
	release chan struct{}
}

func (s *stuck) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	<-s.release
	return s.Store.Claim(ctx, c)
}
