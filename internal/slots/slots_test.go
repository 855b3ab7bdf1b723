package slots_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/slots"
)

// requireFree asserts on both results of Free.
func requireFree(t *testing.T, s *slots.Slots, room int, busy map[string]int) {
	t.Helper()
	gotRoom, gotBusy := s.Free()
	require.Equal(t, room, gotRoom)
	require.Equal(t, busy, gotBusy)
}

// attempt takes a slot and gives it back with an effect.
func attempt(s *slots.Slots, endpoint string, effect slots.Effect) {
	s.Take(endpoint)
	s.Release(endpoint, effect)
}

var (
	success  = slots.Effect{Succeeded: true}
	overload = slots.Effect{Overloaded: true}
)

func TestSlotsAreCounted(t *testing.T) {
	t.Parallel()
	s := slots.New(8, 4)
	requireFree(t, s, 8, map[string]int{})
	require.Equal(t, 1, s.Take("a"))
	require.Equal(t, 2, s.Take("a"))
	require.Equal(t, 3, s.Take("b"))
	require.Equal(t, 3, s.Used())
	requireFree(t, s, 5, map[string]int{"a": 2, "b": 1})

	s.Release("a", success)
	s.Release("b", slots.Effect{})
	require.Equal(t, 1, s.Used())
	require.Equal(t, 2, s.Released())
	requireFree(t, s, 7, map[string]int{"a": 1})
}

func TestOverloadHalvesAndSuccessGivesBack(t *testing.T) {
	t.Parallel()
	s := slots.New(100, 32)
	for _, withheld := range []int{16, 24, 28, 30, 31, 31} {
		attempt(s, "a", overload)
		requireFree(t, s, 100, map[string]int{"a": withheld})
	}
	for withheld := 30; withheld > 0; withheld-- {
		attempt(s, "a", success)
		requireFree(t, s, 100, map[string]int{"a": withheld})
	}
	attempt(s, "a", success)
	requireFree(t, s, 100, map[string]int{})
}

func TestOtherFailuresChangeNoLimit(t *testing.T) {
	t.Parallel()
	s := slots.New(100, 32)
	attempt(s, "a", slots.Effect{})
	requireFree(t, s, 100, map[string]int{})
	attempt(s, "a", overload)
	attempt(s, "a", slots.Effect{})
	requireFree(t, s, 100, map[string]int{"a": 16})
}

func TestPauseWithholdsAllSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(100, 32)
		attempt(s, "a", slots.Effect{Overloaded: true, Pause: 30 * time.Second})
		requireFree(t, s, 100, map[string]int{"a": 32})
		time.Sleep(30 * time.Second) // of faked time
		requireFree(t, s, 100, map[string]int{"a": 16})

		attempt(s, "a", slots.Effect{Overloaded: true, Pause: 24 * time.Hour})
		time.Sleep(time.Hour)
		requireFree(t, s, 100, map[string]int{"a": 24}) // a pause lasts an hour at most
	})
}

func TestRestrictionsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(100, 32)
		attempt(s, "idle", overload)
		s.Take("busy")
		attempt(s, "busy", overload)
		time.Sleep(11 * time.Minute)
		requireFree(t, s, 99, map[string]int{"busy": 17}) // kept, because an attempt is under way
	})
}

func TestReopened(t *testing.T) {
	t.Parallel()
	s := slots.New(8, 2)
	s.Take("a")
	s.Take("a")
	s.Take("b")
	require.False(t, s.Reopened())
	s.Release("b", success)
	require.False(t, s.Reopened(), "b had a free slot before")
	s.Release("a", success)
	require.True(t, s.Reopened())
	require.False(t, s.Reopened(), "it reports once")

	s.Take("a")
	s.Release("a", overload)
	require.False(t, s.Reopened(), "the limit went down together with the use")
}
