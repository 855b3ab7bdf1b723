package alotwebhook_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// broken is a world with an endpoint whose deliveries failed. Its receiver works again
// unless down is set.
type broken struct {
	*world
	endpoint alotwebhook.Endpoint
	down     atomic.Bool
}

func newBroken(t testing.TB, cfg alotwebhook.Config, failed int) *broken {
	t.Helper()
	b := &broken{}
	b.down.Store(true)
	net := &receivers{respond: func(*http.Request, int) (*http.Response, error) {
		if b.down.Load() {
			return status(http.StatusInternalServerError), nil
		}
		return status(http.StatusOK), nil
	}}
	cfg.Retry = alotwebhook.Schedule()
	b.world = newWorld(t, cfg, net)
	b.endpoint = b.world.endpoint(t, "a.example.com")
	stop := b.run(t)
	for range failed {
		b.emit(t)
		time.Sleep(time.Second)
	}
	stop()
	b.down.Store(false)
	return b
}

// restart replaces the dispatcher by a new one, as if the process had been restarted.
func (b *broken) restart(t testing.TB, cfg alotwebhook.Config) {
	t.Helper()
	b.world = newWorldOn(t, b.store, cfg, b.net)
}

func (b *broken) recovery(t testing.TB) alotwebhook.Recovery {
	t.Helper()
	r, err := b.Recovery(t.Context(), b.endpoint.ID)
	require.NoError(t, err)
	return r
}

func (b *broken) recover(t testing.TB) alotwebhook.Recovery {
	t.Helper()
	r, err := b.Recover(t.Context(), b.endpoint.ID, time.Time{})
	require.NoError(t, err)
	return r
}

func TestRecoveryIsRateLimitedAndShowsProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, alotwebhook.Config{RecoverPerSecond: 10}, 100)
		b.restart(t, alotwebhook.Config{RecoverPerSecond: 10})
		defer b.run(t)()
		begun := b.recover(t)
		require.Equal(t, alotwebhook.RecoveryRunning, begun.State)
		require.Zero(t, begun.Progress())
		require.Equal(t, "org_1", begun.OrganizationID)

		time.Sleep(4500 * time.Millisecond)
		half := b.recovery(t)
		require.Equal(t, alotwebhook.RecoveryRunning, half.State)
		require.EqualValues(t, 50, half.Recovered)
		require.InDelta(t, 0.5, half.Progress(), 0.05)
		require.Len(t, b.net.requests(), 150)

		time.Sleep(10 * time.Second)
		done := b.recovery(t)
		require.Equal(t, alotwebhook.RecoveryDone, done.State)
		require.EqualValues(t, 100, done.Recovered)
		require.EqualValues(t, 1, done.Progress())
		require.False(t, done.FinishedAt.IsZero())
		require.Len(t, b.net.requests(), 200)
	})
}

func TestRecoverOneAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, alotwebhook.Config{}, 3)
		_, err := b.Recovery(t.Context(), b.endpoint.ID)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
		_, err = b.StopRecovery(t.Context(), b.endpoint.ID)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
		_, err = b.Recover(t.Context(), b.endpoint.ID, time.Now().Add(time.Hour))
		require.ErrorIs(t, err, alotwebhook.ErrInvalid)

		first := b.recover(t)
		_, err = b.Recover(t.Context(), b.endpoint.ID, time.Time{})
		require.ErrorIs(t, err, alotwebhook.ErrRecovering)
		require.Equal(t, first, b.recovery(t))

		stopped, err := b.StopRecovery(t.Context(), b.endpoint.ID)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.RecoveryStopped, stopped.State)
		again, err := b.StopRecovery(t.Context(), b.endpoint.ID)
		require.NoError(t, err)
		require.Equal(t, stopped, again)

		second := b.recover(t)
		require.Greater(t, second.Version, stopped.Version)
		b.restart(t, alotwebhook.Config{})
		defer b.run(t)()
		time.Sleep(time.Minute)
		require.Equal(t, alotwebhook.RecoveryDone, b.recovery(t).State)
		b.recover(t)
	})
}

// A delivery that fails again during a recovery stays failed, and is not recovered again
// and again.
func TestRecoverSendsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, alotwebhook.Config{}, 20)
		b.down.Store(true)
		b.restart(t, alotwebhook.Config{Retry: alotwebhook.Schedule(), RecoverPerSecond: 2})
		defer b.run(t)()
		b.recover(t)
		time.Sleep(time.Hour)
		require.EqualValues(t, 20, b.recovery(t).Recovered)
		require.Len(t, b.net.requests(), 40)
	})
}

// If a process ends, the next one continues its recovery. Several processes together send
// each delivery once, at the rate of one.
func TestRecoverySurvivesRestarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := alotwebhook.Config{RecoverPerSecond: 10}
		b := newBroken(t, cfg, 100)
		b.restart(t, cfg)
		stop := b.run(t)
		b.recover(t)
		time.Sleep(3500 * time.Millisecond)
		stop()
		part := b.recovery(t)
		require.Equal(t, alotwebhook.RecoveryRunning, part.State)
		require.EqualValues(t, 40, part.Recovered)
		time.Sleep(time.Hour)
		require.Equal(t, part, b.recovery(t), "nobody runs")

		for range 3 {
			b.restart(t, cfg)
			defer b.run(t)()
		}
		time.Sleep(4500 * time.Millisecond)
		require.LessOrEqual(t, b.recovery(t).Recovered, int64(40+50+2*10), "the rate is one process's")
		time.Sleep(time.Minute)
		done := b.recovery(t)
		require.Equal(t, alotwebhook.RecoveryDone, done.State)
		require.Len(t, b.net.requests(), 200, "each is sent again once")
	})
}

// A process loses its connection to the store. Another process sees that its recovery
// makes no progress, and takes it over.
func TestRecoveryLeftBehindIsTakenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, alotwebhook.Config{}, 30)
		cut := &failingRecoveries{Store: b.store}
		first := newWorldOn(t, cut, alotwebhook.Config{RecoverPerSecond: 1}, b.net)
		defer first.run(t)()
		second := newWorldOn(t, b.store, alotwebhook.Config{RecoverPerSecond: 10}, b.net)
		defer second.run(t)()
		time.Sleep(time.Second)
		_, err := first.Recover(t.Context(), b.endpoint.ID, time.Time{})
		require.NoError(t, err)
		time.Sleep(15500 * time.Millisecond)
		require.EqualValues(t, 16, b.recovery(t).Recovered, "the first goes on with it, at its own rate")
		cut.broken.Store(true)
		time.Sleep(time.Minute)
		require.Equal(t, alotwebhook.RecoveryDone, b.recovery(t).State)
		require.EqualValues(t, 30, b.recovery(t).Recovered)
		require.Len(t, b.net.requests(), 60)
	})
}

func TestRecoveryBegunElsewhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, alotwebhook.Config{}, 3)
		other := newWorldOn(t, b.store, alotwebhook.Config{}, b.net)
		defer other.run(t)()
		time.Sleep(time.Minute)
		b.recover(t) // the process of b does not run a dispatcher
		time.Sleep(time.Minute)
		require.Equal(t, alotwebhook.RecoveryDone, b.recovery(t).State)
	})
}

func TestRecoveryOfADisabledEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, alotwebhook.Config{}, 3)
		b.restart(t, alotwebhook.Config{})
		defer b.run(t)()
		e := b.endpoint
		e.Disabled = true
		e, err := b.UpdateEndpoint(t.Context(), b.current(t, e))
		require.NoError(t, err)
		b.recover(t)
		time.Sleep(time.Minute)
		require.EqualValues(t, 3, b.recovery(t).Recovered)
		require.Len(t, b.net.requests(), 3, "parked")
		e.Disabled = false
		_, err = b.UpdateEndpoint(t.Context(), e)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Len(t, b.net.requests(), 6)
	})
}

// current returns e with the version that the store has.
func (b *broken) current(t testing.TB, e alotwebhook.Endpoint) alotwebhook.Endpoint {
	t.Helper()
	stored, err := b.Endpoint(t.Context(), e.ID)
	require.NoError(t, err)
	e.Version = stored.Version
	return e
}

func TestRecoveryEndsWithItsEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, alotwebhook.Config{}, 10)
		b.restart(t, alotwebhook.Config{RecoverPerSecond: 1})
		defer b.run(t)()
		b.recover(t)
		time.Sleep(3500 * time.Millisecond)
		require.NoError(t, b.DeleteEndpoint(t.Context(), b.endpoint.ID))
		time.Sleep(time.Minute)
		r := b.recovery(t)
		require.Equal(t, alotwebhook.RecoveryStopped, r.State)
		require.EqualValues(t, 4, r.Recovered)
		require.False(t, r.FinishedAt.IsZero())
	})
}

func TestStopRecovery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, alotwebhook.Config{}, 10)
		b.restart(t, alotwebhook.Config{RecoverPerSecond: 1})
		defer b.run(t)()
		b.recover(t)
		time.Sleep(3500 * time.Millisecond)
		_, err := b.StopRecovery(t.Context(), "")
		require.ErrorIs(t, err, alotwebhook.ErrNotFound, "no endpoint is not any endpoint")
		_, err = b.Recovery(t.Context(), "")
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
		r, err := b.StopRecovery(t.Context(), b.endpoint.ID)
		require.NoError(t, err)
		require.EqualValues(t, 4, r.Recovered)
		time.Sleep(time.Minute)
		require.Equal(t, r, b.recovery(t))
		require.Len(t, b.net.requests(), 14)
		b.recover(t)
		time.Sleep(time.Minute)
		require.EqualValues(t, 6, b.recovery(t).Recovered, "what was recovered is not failed any more")
	})
}

// A store that fails for a while delays a recovery, and does not end it.
func TestRecoveryOutlivesFailuresOfTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, alotwebhook.Config{}, 10)
		failing := &failingRecoveries{Store: b.store}
		b.world = newWorldOn(t, failing, alotwebhook.Config{RecoverPerSecond: 1}, b.net)
		defer b.run(t)()
		b.recover(t)
		time.Sleep(3500 * time.Millisecond)
		failing.broken.Store(true)
		time.Sleep(time.Minute)
		failing.broken.Store(false)
		time.Sleep(time.Minute)
		require.Equal(t, alotwebhook.RecoveryDone, b.recovery(t).State)
		require.Len(t, b.net.requests(), 20)
	})
}

type failingRecoveries struct {
	alotwebhook.Store
	broken atomic.Bool
}

func (s *failingRecoveries) PutRecovery(ctx context.Context, r alotwebhook.Recovery, ops ...alotwebhook.Operation) error {
	if s.broken.Load() {
		return context.DeadlineExceeded
	}
	return s.Store.PutRecovery(ctx, r, ops...)
}
