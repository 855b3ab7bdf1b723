package dedupe_test

import (
	"context"
	"math"
	"strconv"
	"strings"
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

// neverCalled handles the events that no Deduper lets through.
func neverCalled(context.Context) error { panic("handled without a claim") }

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
		require.Equal(t, 503, alotwebhook.StatusCode(alotwebhook.Once(t.Context(), m, "c", 0, neverCalled)))
		time.Sleep(time.Minute) // until their leases have run out
		require.Equal(t, alotwebhook.DedupeClaimed, state(t, m, "c"))
	})
}

func TestTheZeroMemoryHasTheDefaults(t *testing.T) {
	t.Parallel()
	dedupetest.Run(t, func(testing.TB) alotwebhook.Deduper { return &dedupe.Memory{} })
	synctest.Test(t, func(t *testing.T) {
		var m dedupe.Memory
		require.ErrorIs(t, m.Complete(t.Context(), alotwebhook.DedupeClaim{Key: "a", State: alotwebhook.DedupeClaimed}), alotwebhook.ErrClaimLost)
		require.NoError(t, m.Complete(t.Context(), claim(t, &m, "a")))
		time.Sleep(dedupe.DefaultRetention - time.Nanosecond)
		require.Equal(t, alotwebhook.DedupeDone, state(t, &m, "a"))
	})
}

func TestANilMemoryIsRefused(t *testing.T) {
	t.Parallel()
	requireUnusable(t, (*dedupe.Memory)(nil), "alotwebhook: the dedupe.Memory is nil; make it with NewMemory")
}

// requireUnusable fails the test if a method of d panics or does not return the error.
func requireUnusable(t *testing.T, d alotwebhook.Deduper, says string) {
	t.Helper()
	c := alotwebhook.DedupeClaim{Key: "a", State: alotwebhook.DedupeClaimed, Token: 1}
	_, err := d.Claim(t.Context(), "a", time.Minute)
	require.EqualError(t, err, says)
	require.EqualError(t, d.Complete(t.Context(), c), says)
	require.EqualError(t, d.Release(t.Context(), c), says)
}

func TestMemoryRefusesLeasesAndKeys(t *testing.T) {
	t.Parallel()
	requireRefused(t, dedupe.NewMemory(nil))
}

// requireRefused fails the test unless Claim refuses wrong leases and keys by name. It needs no database.
func requireRefused(t *testing.T, d alotwebhook.Deduper) {
	t.Helper()
	for _, c := range []struct {
		key   string
		lease time.Duration
		says  string
	}{
		{"a", 0, "alotwebhook: lease is 0s; give more than 0, such as DefaultLease"},
		{"a", -5, "alotwebhook: lease is -5ns; give more than 0, such as DefaultLease"},
		{"a", math.MinInt64, "alotwebhook: lease is -2562047h47m16.854775808s; give more than 0, such as DefaultLease"},
		{"", time.Minute, "alotwebhook: key is empty; give the event's id"},
		{"a\x00b", time.Minute, `alotwebhook: key "a\x00b" has a NUL`},
		{"a\xff", time.Minute, `alotwebhook: key "a\xff" has a NUL or is not UTF-8`},
		{strings.Repeat("k", 256), time.Minute, "alotwebhook: key has 256 bytes, and at most 255 are allowed"},
	} {
		_, err := d.Claim(t.Context(), c.key, c.lease)
		require.ErrorIs(t, err, alotwebhook.ErrInvalid, "%q for %v", c.key, c.lease)
		require.ErrorContains(t, err, c.says)
	}
}

// The longest durations that Go has still end after now, and not before it.
func TestMemoryTakesTheLongestTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const years = 100 * 365 * 24 * time.Hour
		m := dedupe.NewMemory(&dedupe.MemoryConfig{Retention: math.MaxInt64})
		c, err := m.Claim(t.Context(), "a", math.MaxInt64)
		require.NoError(t, err)
		require.Equal(t, years, claim(t, m, "a").Wait, "the longest lease there is")
		require.NoError(t, m.Complete(t.Context(), c))
		time.Sleep(years - time.Hour)
		require.Equal(t, alotwebhook.DedupeDone, state(t, m, "a"))
	})
}
