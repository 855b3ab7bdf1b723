package slots_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/slots"
)

var (
	success  = slots.Effect{Succeeded: true}
	overload = slots.Effect{Overloaded: true}
)

// attempt takes a slot and gives it back.
func attempt(s *slots.Slots, endpoint string, effect slots.Effect) {
	s.Release(s.Take("org", endpoint, 0), effect)
}

// take takes n slots.
func take(s *slots.Slots, organization, endpoint string, n int) []*slots.Slot {
	taken := make([]*slots.Slot, n)
	for i := range taken {
		taken[i] = s.Take(organization, endpoint, 0)
	}
	return taken
}

// free is how many more attempts an endpoint may have.
func free(s *slots.Slots, endpoint string) int {
	return freeIn(s.Free(0), endpoint)
}

// freeIn is that in the room where each endpoint has 32 slots.
func freeIn(r slots.Room, endpoint string) int {
	if busy, ok := r.Busy[endpoint]; ok {
		return 32 - busy
	}
	return r.Unlisted
}

// prove makes an endpoint one with many quick successes.
func prove(s *slots.Slots, endpoints ...string) {
	for _, e := range endpoints {
		for range 10 {
			attempt(s, e, success)
		}
	}
}

func TestSlotsAreCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(8, 4, 100, 0)
		a := take(s, "org", "a", 2)
		take(s, "org", "b", 1)
		require.Equal(t, 3, s.Used())
		require.Equal(t, slots.Room{Limit: 5, Busy: map[string]int{"a": 4, "b": 3}, Unlisted: 2, Withheld: map[string]bool{}}, s.Free(0))
		require.Equal(t, 7, s.Free(2).Limit, "claimed ahead")
		s.Release(a[0], success)
		require.Equal(t, 2, s.Used())
		require.Equal(t, 1, s.Released())
	})
}

func TestEndpointsEarnTheirSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(100, 32, 100, 0)
		for _, limit := range []int{2, 4, 8, 16, 32, 32} {
			slot := s.Take("org", "a", 0)
			require.Equal(t, limit-1, free(s, "a"))
			s.Release(slot, success)
		}
		small := slots.New(100, 1, 100, 0)
		require.Equal(t, 1, free(small, "a"), "never more than each endpoint may have")
	})
}

// An endpoint that happens to have nothing under way when the room is asked for gets what it has
// earned, and not what one gets that nothing is known of.
func TestAQuickEndpointKeepsItsSlotsBetweenTwoClaims(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(100, 32, 100, 0)
		prove(s, "a")
		require.Equal(t, map[string]int{"a": 0}, s.Free(0).Busy, "all 32 are free")
		time.Sleep(time.Second)
		s.Free(0)
		require.Empty(t, s.Free(0).Busy, "it is listed for a moment only")
	})
}

func TestOverloadHalvesAndSuccessGivesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(100, 32, 100, 0)
		prove(s, "a")
		limit := func() int {
			slot := s.Take("org", "a", 0)
			defer s.Release(slot, slots.Effect{})
			return free(s, "a") + 1
		}
		for _, want := range []int{16, 8, 4, 2, 1, 1} {
			attempt(s, "a", overload)
			require.Equal(t, want, limit())
		}
		for want := 2; want <= 32; want++ {
			attempt(s, "a", success)
			require.Equal(t, want, limit())
		}
		attempt(s, "a", success)
		require.Equal(t, 32, limit())
	})
}

func TestPauseWithholdsAllSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(100, 32, 100, 0)
		prove(s, "a")
		attempt(s, "a", slots.Effect{Overloaded: true, Pause: 30 * time.Second})
		require.Zero(t, free(s, "a"))
		time.Sleep(30*time.Second + 1) // faked
		require.Equal(t, 16, free(s, "a"))

		attempt(s, "a", slots.Effect{Overloaded: true, Pause: 24 * time.Hour})
		for range 59 {
			time.Sleep(time.Minute)
			require.Zero(t, free(s, "a"), "however often what is idle is forgotten")
		}
		time.Sleep(time.Minute + 1)
		require.NotZero(t, free(s, "a"), "an hour at most")
	})
}

// Attempts at once may be told different times.
func TestTheLongerPauseHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(100, 32, 100, 0)
		first, second := s.Take("org", "a", 0), s.Take("org", "a", 0)
		s.Release(first, slots.Effect{Overloaded: true, Pause: time.Minute})
		s.Release(second, slots.Effect{Overloaded: true, Pause: time.Second})
		time.Sleep(time.Minute - 1)
		require.Zero(t, free(s, "a"))
		time.Sleep(time.Nanosecond)
		require.NotZero(t, free(s, "a"))
	})
}

func TestEndpointsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(100, 32, 100, 0)
		for range 5 {
			attempt(s, "idle", overload)
			attempt(s, "busy", overload)
		}
		s.Take("org", "busy", 0)
		time.Sleep(11 * time.Minute)
		require.Equal(t, 2, free(s, "idle"))
		require.Zero(t, free(s, "busy"), "an attempt is under way there")
	})
}

// An attempt that hangs gives its slot back to the others, and not its organization's.
func TestPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(8, 8, 100, 0)
		hanging := take(s, "org", "a", 8)
		working, next := s.Working()
		require.Equal(t, 8, working)
		require.Equal(t, slots.Patience, next)
		require.Zero(t, s.Free(0).Limit)

		time.Sleep(slots.Patience)
		working, next = s.Working()
		require.Zero(t, working)
		require.Zero(t, next)
		require.Equal(t, 8, s.Free(0).Limit)
		require.Equal(t, 8, s.Used())
		for _, slot := range hanging {
			s.Release(slot, slots.Effect{})
		}
		require.Equal(t, 8, s.Free(0).Limit)
		require.Zero(t, s.Used())
	})
}

// fill takes slots as a dispatcher does, for endpoints that all hang and always have
// more, until it gets none for a while.
func fill(s *slots.Slots, organization string, endpoints int) (taken int) {
	for idle := 0; idle < 20; idle++ {
		room := s.Free(0)
		for i := 0; i < endpoints && room.Limit > 0 && !room.Withheld[organization]; i++ {
			id := fmt.Sprint(organization, "-", i)
			if freeIn(room, id) > 0 {
				s.Take(organization, id, 0)
				room.Limit--
				taken++
				idle = 0
			}
		}
		time.Sleep(slots.Patience / 10) // faked
	}
	return taken
}

// Whatever an organization's endpoints do, the room that it leaves is as large as what
// it has; and the first of another one finds a slot at once.
func TestAnOrganizationLeavesRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(256, 32, 4096, 0)
		const capacity = 256 + 4096
		first := fill(s, "bad", 3_000)
		require.InDelta(t, capacity/2, first, 256)
		room := s.Free(0)
		require.Equal(t, 256, room.Limit, "all slots are free again")
		require.True(t, room.Withheld["bad"])
		require.Equal(t, 2, room.Unlisted, "for endpoints that nothing is known of, too")

		second := fill(s, "worse", 3_000)
		require.InDelta(t, (capacity-first)/2, second, 256)
		require.Equal(t, 256, s.Free(0).Limit)
	})
}

// Many organizations that hang at once use up the room between them. The rest of it is
// for those who were quick lately.
func TestQuickEndpointsKeepAReserve(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(256, 32, 4096, 0)
		prove(s, "quick-1", "quick-2")
		for i := range 4096 {
			if room := s.Free(0); room.Limit == 0 {
				time.Sleep(slots.Patience) // faked
			}
			s.Take(fmt.Sprint("org-", i), fmt.Sprint("hangs-", i), 0)
		}
		time.Sleep(slots.Patience)
		room := s.Free(0)
		require.Equal(t, 256, room.Limit)
		require.Zero(t, room.Unlisted)
		require.Equal(t, 32, freeIn(room, "quick-1"))
		require.Equal(t, 32, freeIn(room, "quick-2"))
		require.False(t, room.Withheld["org-of-quick"])

		for range 100 { // for as long as they are quick
			taken := take(s, "org-of-quick", "quick-1", 32)
			time.Sleep(10 * time.Millisecond)
			for _, slot := range taken {
				s.Release(slot, success)
			}
			require.Equal(t, 32, free(s, "quick-1"))
		}
		s.Release(slowed(s, "quick-1"), success)
		require.Zero(t, free(s, "quick-1"))
	})
}

// slowed is an attempt that took long.
func slowed(s *slots.Slots, endpoint string) *slots.Slot {
	slot := s.Take("org", endpoint, 0)
	time.Sleep(2 * time.Second) // faked
	return slot
}

// One organization alone has the whole process, whether its receivers take long or not.
func TestAnOrganizationAloneFillsTheProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(256, 32, 4096, 0)
		for i := range 8 {
			prove(s, fmt.Sprint("a-", i))
			take(s, "org", fmt.Sprint("a-", i), 32)
		}
		require.Equal(t, 256, s.Used())
		require.Zero(t, s.Free(0).Limit)
		require.Empty(t, s.Free(0).Withheld)
	})
}

func TestReopened(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(8, 2, 100, 0)
		a, b := take(s, "org", "a", 2), take(s, "org", "b", 1)
		require.False(t, s.Reopened())
		s.Release(b[0], success)
		require.False(t, s.Reopened(), "b had a free slot before")
		s.Release(a[0], success)
		require.True(t, s.Reopened())
		require.False(t, s.Reopened(), "it reports once")

		s.Take("org", "a", 0)
		s.Release(a[1], overload)
		require.False(t, s.Reopened(), "the limit went down with it")
	})
}

// Whoever was refused for the sake of others is asked again when anybody ends.
func TestReopenedAfterARefusal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(2, 2, 2, 0)
		taken := append(take(s, "org", "a", 2), take(s, "other", "b", 1)...)
		require.True(t, s.Free(0).Withheld["org"])
		require.False(t, s.Reopened())
		s.Release(taken[2], success)
		require.True(t, s.Reopened())
	})
}
