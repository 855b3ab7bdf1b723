package schedule_test

import (
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/schedule"
)

func TestWaits(t *testing.T) {
	t.Parallel()
	policy := schedule.Of(time.Second, time.Minute)
	for try, want := range map[int]time.Duration{1: time.Second, 2: time.Minute} {
		wait, more := schedule.Wait(nil, policy, schedule.Of(), try)
		require.True(t, more)
		require.InDelta(t, want, wait, 0.2*float64(want))
	}
	_, more := schedule.Wait(nil, policy, schedule.Of(), 3)
	require.False(t, more, "two waits are three attempts")
	_, more = schedule.Wait(nil, func() backoff.BackOff { return nil }, schedule.Of(time.Second), 1)
	require.False(t, more)
}

func TestProblems(t *testing.T) {
	t.Parallel()
	require.Empty(t, schedule.Problem(nil, schedule.Of(time.Second)))
	require.Empty(t, schedule.Problem(nil, func() backoff.BackOff { return &backoff.StopBackOff{} }))
	require.Contains(t, schedule.Problem(nil, schedule.Of(0, time.Minute)), "write Schedule(1m0s)")
	require.Contains(t, schedule.Problem(nil, schedule.Of(time.Second, -1)), "before attempt 3")
	require.Contains(t, schedule.Problem(nil, func() backoff.BackOff { return nil }), "returns nil")
}

func TestPanicOfAPolicy(t *testing.T) {
	t.Parallel()
	broken := func() backoff.BackOff { panic("no") }
	wait, more := schedule.Wait(nil, broken, schedule.Of(time.Minute), 1)
	require.True(t, more)
	require.InDelta(t, time.Minute, wait, float64(12*time.Second))
	_, more = schedule.Wait(nil, broken, schedule.Of(time.Minute), 2)
	require.False(t, more)
	require.Contains(t, schedule.Problem(nil, broken), "panics")
}
