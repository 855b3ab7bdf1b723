package dedupe_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
	"github.com/alot/alotwebhook/dedupe/dedupetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	dedupetest.Run(t, func(testing.TB) alotwebhook.Deduper { return dedupe.NewMemory(nil) })
}

func state(t *testing.T, d alotwebhook.Deduper, key string) alotwebhook.DedupeState {
	t.Helper()
	return claim(t, d, key).State
}

func claim(t *testing.T, d alotwebhook.Deduper, key string) alotwebhook.DedupeClaim {
	t.Helper()
	c, err := d.Claim(t.Context(), key, time.Minute)
	require.NoError(t, err)
	return c
}

func TestMemoryForgetsAfterItsRetention(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := dedupe.NewMemory(&dedupe.MemoryConfig{Retention: time.Hour})
		require.NoError(t, m.Complete(t.Context(), claim(t, m, "a")))
		time.Sleep(time.Hour - time.Nanosecond)
		require.Equal(t, alotwebhook.DedupeDone, state(t, m, "a"))
		time.Sleep(time.Nanosecond)
		require.Equal(t, alotwebhook.DedupeClaimed, state(t, m, "a"))
	})
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := dedupe.NewMemory(&dedupe.MemoryConfig{MaxKeys: 10})
		for i := range 1000 {
			require.NoError(t, m.Complete(t.Context(), claim(t, m, strconv.Itoa(i))))
		}
		for i := 990; i < 1000; i++ {
			require.Equal(t, alotwebhook.DedupeDone, state(t, m, strconv.Itoa(i)), "the newest are remembered")
		}
		require.Equal(t, alotwebhook.DedupeClaimed, state(t, m, "0"), "the oldest is forgotten")
		require.Equal(t, alotwebhook.DedupeClaimed, state(t, m, "990"), "this one was forgotten, to make room")

		// An event that is being handled is never dropped.
		for i := range 8 {
			require.Equal(t, alotwebhook.DedupeClaimed, state(t, m, "b"+strconv.Itoa(i)))
		}
		_, err := m.Claim(t.Context(), "c", time.Minute)
		require.ErrorIs(t, err, dedupe.ErrFull)
		require.Equal(t, 503, alotwebhook.StatusCode(alotwebhook.Once(t.Context(), m, "c", 0, nil)))
		time.Sleep(time.Minute) // until their leases have run out
		require.Equal(t, alotwebhook.DedupeClaimed, state(t, m, "c"))
	})
}
