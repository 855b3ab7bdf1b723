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

// A policy of the host's own may say anything, at any try.
func TestWaitsOfAnotherPolicyHaveBounds(t *testing.T) {
	t.Parallel()
	for said, want := range map[time.Duration]time.Duration{0: time.Second, -5: time.Second, 1: 1, 1<<63 - 1: 365 * 24 * time.Hour} {
		policy := func() backoff.BackOff { return &later{first: time.Minute, then: said} }
		require.Empty(t, schedule.Problem(nil, policy))
		wait, more := schedule.Wait(nil, policy, schedule.Of(), 2)
		require.True(t, more)
		require.Equal(t, want, wait)
		require.Equal(t, said <= 0, schedule.Problem(nil, func() backoff.BackOff { return &later{first: said} }) != "")
	}
	require.Contains(t, schedule.Problem(nil, schedule.Of(time.Hour, 366*24*time.Hour)), "before attempt 3; give at most 8760h0m0s")
}

type later struct {
	first, then time.Duration
	asked       bool
}

func (b *later) Reset() { b.asked = false }

func (b *later) NextBackOff() time.Duration {
	if b.asked {
		return b.then
	}
	b.asked = true
	return b.first
}
