package loglimit_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/loglimit"
)

// allowed returns how many of n lines the limiter allows.
func allowed(l *loglimit.Limiter, kind string, n int) (lines int) {
	for range n {
		if _, ok := l.Allow(kind); ok {
			lines++
		}
	}
	return lines
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l loglimit.Limiter
		require.Equal(t, loglimit.Lines, allowed(&l, "a", 1000))
		require.Equal(t, loglimit.Lines, allowed(&l, "b", 1000), "each kind has lines of its own")
		time.Sleep(loglimit.Period - 1)
		require.Zero(t, allowed(&l, "a", 1))
		time.Sleep(time.Nanosecond)
		forbidden, ok := l.Allow("a")
		require.True(t, ok)
		require.Equal(t, 1000-loglimit.Lines+1, forbidden, "the next line says how many were left out")
		forbidden, ok = l.Allow("a")
		require.True(t, ok)
		require.Zero(t, forbidden, "and says so once")
		time.Sleep(24 * time.Hour)
		forbidden, ok = l.Allow("a")
		require.True(t, ok)
		require.Zero(t, forbidden)
	})
}

func TestLimiterCountsUnderConcurrency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l loglimit.Limiter
		var lines atomic.Int64
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() { lines.Add(int64(allowed(&l, "a", 100))) })
		}
		group.Wait()
		require.EqualValues(t, loglimit.Lines, lines.Load())
	})
}

func TestSet(t *testing.T) {
	t.Parallel()
	var s loglimit.Set
	for i := range loglimit.Most {
		require.Equal(t, i+1, s.Add(strconv.Itoa(i)))
		require.Zero(t, s.Add(strconv.Itoa(i)), "known")
	}
	require.Zero(t, s.Add("one more"), "full")
}
