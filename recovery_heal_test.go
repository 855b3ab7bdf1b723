package alotwebhook_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// An outage that outlasts the schedule loses nothing, by one recovery, which begins with the first
// success. It leaves alone what had failed before.
func TestHealingAfterAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, alotwebhook.Config{}, 1)
		cfg := alotwebhook.Config{Heal: true, Retry: alotwebhook.Schedule(time.Second)}
		b.restart(t, alotwebhook.Config{})
		stop := b.run(t)
		b.emit(t)
		time.Sleep(time.Hour)
		stop()
		b.down.Store(true)
		b.restart(t, cfg)
		defer b.run(t)()
		lost := []alotwebhook.Event{b.emit(t), b.emit(t), b.emit(t)}
		time.Sleep(30 * time.Minute)
		require.Equal(t, alotwebhook.StateFailed, b.delivery(t, lost[0], b.endpoint).State)
		b.down.Store(false)
		time.Sleep(time.Hour)
		require.Equal(t, alotwebhook.StateFailed, b.delivery(t, lost[0], b.endpoint).State, "nothing tells that it works again")

		b.emit(t)
		b.emit(t)
		time.Sleep(time.Minute)
		for _, event := range lost {
			require.Equal(t, alotwebhook.StateDelivered, b.delivery(t, event, b.endpoint).State)
		}
		r := b.recovery(t)
		require.Equal(t, alotwebhook.RecoveryDone, r.State)
		require.EqualValues(t, 3, r.Recovered, "what failed before the outage is not its own")
		require.Equal(t, []string{"recovery.begun", "recovery.ended"}, b.kinds(t))
	})
}

// An endpoint that fails now and then, while retries help, gets no recovery.
func TestHealingNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		net := &receivers{respond: func(*http.Request, int) (*http.Response, error) {
			if n.Add(1)%2 == 1 {
				return status(http.StatusInternalServerError), nil
			}
			return status(http.StatusOK), nil
		}}
		w := newWorld(t, alotwebhook.Config{Heal: true}, net)
		e := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		for range 5 {
			w.emit(t)
			time.Sleep(time.Hour)
		}
		require.Len(t, net.requests(), 10)
		_, err := w.Recovery(t.Context(), e.ID)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	})
}

// A recovery that somebody began during the outage begins anew at its end: what it had sent has
// failed again.
func TestHealingGoesOnWithTheRecoveryThatRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := alotwebhook.Config{Heal: true, Retry: alotwebhook.Schedule(), RecoverPerSecond: 1}
		b := newBroken(t, cfg, 30)
		b.down.Store(true)
		b.restart(t, cfg)
		defer b.run(t)()
		b.recover(t)
		time.Sleep(20 * time.Second)
		require.Equal(t, alotwebhook.RecoveryRunning, b.recovery(t).State)
		b.down.Store(false)
		time.Sleep(5 * time.Minute)
		failed, _, err := b.DeliveryPage(t.Context(), alotwebhook.Filter{State: alotwebhook.StateFailed})
		require.NoError(t, err)
		require.Empty(t, failed)
	})
}

// A process that ends between beginning the recovery and storing the success loses neither.
func TestHealingComesBeforeTheSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, alotwebhook.Config{}, 3)
		cfg := alotwebhook.Config{Heal: true}
		cut := &noFinish{Store: b.store}
		first := newWorldOn(t, cut, cfg, b.net)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		b.emit(t) // before the first poll: nothing wakes a dispatcher on a store that is wrapped like this
		go func() { ended <- first.Run(ctx) }()
		time.Sleep(time.Second)
		cancel()
		require.Error(t, <-ended, "the success could not be stored")
		require.EqualValues(t, 3, b.recovery(t).Recovered)

		b.restart(t, cfg)
		defer b.run(t)()
		time.Sleep(10 * time.Minute)
		failed, _, err := b.DeliveryPage(t.Context(), alotwebhook.Filter{State: alotwebhook.StateFailed})
		require.NoError(t, err)
		require.Empty(t, failed)
		require.Equal(t, []string{"recovery.begun", "recovery.ended"}, b.kinds(t))
	})
}

// noFinish is a store that takes no outcomes.
type noFinish struct{ alotwebhook.Store }

func (*noFinish) Finish(context.Context, []alotwebhook.Outcome) ([]string, error) {
	return nil, errors.New("not now")
}

// kinds returns the types of the operations about recoveries, oldest first.
func (w *world) kinds(t testing.TB) (kinds []string) {
	t.Helper()
	for _, kind := range []alotwebhook.OperationType{alotwebhook.OpRecoveryBegun, alotwebhook.OpRecoveryEnded} {
		page, _, err := w.Operations(t.Context(), alotwebhook.OperationFilter{Type: kind})
		require.NoError(t, err)
		for _, o := range page {
			kinds = append(kinds, string(o.Type))
		}
	}
	return kinds
}

// A success that was claimed before a failure, and comes after it, is the end of an outage like any
// other.
func TestHealingWhileAnOlderAttemptIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		net := &receivers{respond: func(_ *http.Request, n int) (*http.Response, error) {
			switch n {
			case 1:
				time.Sleep(5 * time.Second)
			case 2:
				return status(http.StatusInternalServerError), nil
			}
			return status(http.StatusOK), nil
		}}
		w := newWorld(t, alotwebhook.Config{Heal: true, Retry: alotwebhook.Schedule()}, net)
		e := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		w.emit(t)
		time.Sleep(time.Second)
		lost := w.emit(t)
		time.Sleep(time.Second)
		require.Equal(t, alotwebhook.StateFailed, w.delivery(t, lost, e).State)
		time.Sleep(10 * time.Second)
		require.Equal(t, alotwebhook.StateDelivered, w.delivery(t, lost, e).State)
		require.Equal(t, []string{"recovery.begun", "recovery.ended"}, w.kinds(t))
		w.emit(t)
		time.Sleep(time.Hour)
		require.Len(t, net.requests(), 4, "there is one recovery")
	})
}

// A failure that is stored together with an older success is left for the next one.
func TestHealingWithTheNextSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		net := &receivers{respond: func(_ *http.Request, n int) (*http.Response, error) {
			time.Sleep(time.Second)
			if n == 2 {
				return status(http.StatusInternalServerError), nil
			}
			return status(http.StatusOK), nil
		}}
		w := newWorld(t, alotwebhook.Config{Heal: true, Retry: alotwebhook.Schedule()}, net)
		e := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		events := []alotwebhook.Event{newEvent(t), newEvent(t)}
		require.NoError(t, w.Emit(t.Context(), events...))
		time.Sleep(time.Minute)
		w.emit(t)
		time.Sleep(time.Minute)
		for _, event := range events {
			require.Equal(t, alotwebhook.StateDelivered, w.delivery(t, event, e).State)
		}
	})
}
