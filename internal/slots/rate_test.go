package slots_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/slots"
)

// send makes an attempt that is over at once.
func send(t *testing.T, s *slots.Slots, endpoint string, perSecond float64) {
	t.Helper()
	slot := s.Take("org", endpoint, perSecond)
	require.True(t, s.Begin(t.Context(), slot))
	s.Release(slot, success)
}

// sendFor makes all attempts that a claimer makes in a time, and returns how many.
func sendFor(t *testing.T, s *slots.Slots, endpoint string, perSecond float64, d time.Duration) (n int) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		r := s.Free(0)
		for range freeIn(r, endpoint) {
			send(t, s, endpoint, perSecond)
			n++
		}
		time.Sleep(max(r.Next, time.Millisecond))
	}
	return n
}

func TestRateHolds(t *testing.T) {
	t.Parallel()
	for _, perSecond := range []float64{0.1, 1, 7, 10, 11, 50, 333} {
		synctest.Test(t, func(t *testing.T) {
			s := slots.New(100, 32, 100, 0)
			send(t, s, "a", perSecond)
			most := perSecond * 180
			require.InDelta(t, most, sendFor(t, s, "a", perSecond, 3*time.Minute), most/100+1, "%v a second", perSecond)
		})
	}
}

func TestNoMoreThanATenthOfASecondAtOnce(t *testing.T) {
	t.Parallel()
	for perSecond, most := range map[float64]int{0.1: 1, 1: 1, 10: 1, 20: 2, 100: 10, 10_000: 1000} {
		synctest.Test(t, func(t *testing.T) {
			s := slots.New(100, 32, 100, 0)
			for range 5 {
				send(t, s, "a", perSecond)
				time.Sleep(time.Minute)
			}
			n := 0
			for ; free(s, "a") > 0; n++ {
				send(t, s, "a", perSecond)
			}
			require.Equal(t, most, n, "%v a second", perSecond)
		})
	}
}

// What is claimed uses the rate up before its request is made.
func TestClaimedAttemptsCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(100, 32, 100, 0)
		send(t, s, "a", 20)
		time.Sleep(time.Minute)
		require.Equal(t, 2, free(s, "a"))
		slot := s.Take("org", "a", 20)
		require.Equal(t, 1, free(s, "a"))
		s.Release(slot, slots.Effect{})
		require.Equal(t, 2, free(s, "a"), "no request was made")
	})
}

// A process that does not know an endpoint's rate may claim several deliveries at once.
func TestFirstAttemptsWaitForTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, began := slots.New(100, 32, 100, 0), time.Now()
		taken := make([]*slots.Slot, 4)
		for i := range taken {
			taken[i] = s.Take("org", "a", 2)
		}
		require.True(t, s.Begin(t.Context(), taken[0]))
		require.True(t, s.Begin(t.Context(), taken[1]))
		require.Equal(t, 500*time.Millisecond, time.Since(began))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.False(t, s.Begin(ctx, taken[2]), "cut off")
		require.Equal(t, 500*time.Millisecond, time.Since(began))
		require.True(t, s.Begin(t.Context(), taken[3]))
		slow := []*slots.Slot{s.Take("org", "b", 0.1), s.Take("org", "b", 0.1)}
		began = time.Now()
		require.True(t, s.Begin(t.Context(), slow[0]))
		require.False(t, s.Begin(t.Context(), slow[1]), "nobody waits that long with a slot")
		require.Zero(t, time.Since(began))
	})
}

func TestRateChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(100, 32, 100, 0)
		require.InDelta(t, 30, sendFor(t, s, "a", 1, 30*time.Second), 1)
		require.InDelta(t, 1500, sendFor(t, s, "a", 50, 30*time.Second), 60, "higher")
		require.InDelta(t, 60, sendFor(t, s, "a", 2, 30*time.Second), 6, "lower")
		send(t, s, "a", 0)
		require.Positive(t, free(s, "a"))
		require.Zero(t, s.Free(0).Next, "no limit any more")
	})
}

func TestDefaultRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(100, 32, 100, 5)
		require.Equal(t, 1, s.Free(0).Unlisted)
		require.InDelta(t, 150, sendFor(t, s, "a", 0, 30*time.Second), 2)
		require.InDelta(t, 600, sendFor(t, s, "b", 20, 30*time.Second), 6, "its own rate counts")
		time.Sleep(time.Minute)
		s.Free(0)
		require.Empty(t, s.Free(0).Busy, "whose rate is free again needs no mention")
	})
}

// An endpoint that waits for its rate takes nothing from others.
func TestRateOfOneHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(8, 8, 100, 0)
		for i := range 100 {
			send(t, s, fmt.Sprint("slow-", i), 0.1)
		}
		r := s.Free(0)
		require.Equal(t, 8, r.Limit)
		require.Equal(t, 8, r.Busy["slow-0"], "none is free")
		require.Empty(t, r.Withheld)
		require.Equal(t, 2, r.Unlisted)
		require.Equal(t, 10*time.Second, r.Next.Round(time.Second))
	})
}

// Attempts that wait for one rate do so at the same time: none of them for longer than a second.
func TestNobodyWaitsLongWithASlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, began := slots.New(100, 32, 100, 0), time.Now()
		var made atomic.Int64
		var all sync.WaitGroup
		for range 32 {
			slot := s.Take("org", "a", 2)
			all.Go(func() {
				if s.Begin(t.Context(), slot) {
					made.Add(1)
				}
				s.Release(slot, slots.Effect{})
			})
		}
		all.Wait()
		require.LessOrEqual(t, time.Since(began), time.Second)
		require.EqualValues(t, 3, made.Load(), "the rate is used as far as that")
	})
}
