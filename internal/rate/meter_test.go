package rate_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/rate"
)

func TestMeterTellsWhatIsFree(t *testing.T) {
	t.Parallel()
	var m rate.Meter
	p := rate.Pace{Interval: 10 * time.Millisecond, Burst: 35 * time.Millisecond}
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	require.Equal(t, 3, m.Free(now, p))
	require.Zero(t, m.Wait(now, p, 3))
	for range 3 {
		require.Zero(t, m.Take(now, p))
	}
	require.Zero(t, m.Free(now, p))
	require.False(t, m.IsFull(now))
	require.Equal(t, 5*time.Millisecond, m.Wait(now, p, 1))
	require.Equal(t, 15*time.Millisecond, m.Wait(now, p, 2))
	require.Equal(t, 5*time.Millisecond, m.Take(now, p))
	require.Equal(t, 1, m.Free(now.Add(5*time.Millisecond), p))
	require.True(t, m.IsFull(now.Add(30*time.Millisecond)))

	m.Leave(now, p, 1)
	require.Equal(t, 1, m.Free(now, p))
	m.Leave(now, p, 3)
	require.Equal(t, 3, m.Free(now, p))
}
