package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// To discard what is parked, a process asks the one that sends to the endpoint what is under
// way. That stays, and the rest is discarded.
func TestDiscardAsksTheOwner(t *testing.T) {
	t.Parallel()
	a, b, put := two(t, 1, 5)
	underWay := awaitClaims(t, a, 2, 2, time.Hour)
	disable(t, b, put[0].ID)
	type result struct {
		n   int
		err error
	}
	var got []int
	for len(got) == 0 || got[len(got)-1] > 0 { // a call that got no answer in time discards none
		discarded := make(chan result, 1)
		go func() {
			n, err := b.Discard(context.Background(), put[0].ID, time.Now().Add(time.Hour), 100)
			discarded <- result{n, err}
		}()
		var r result
		require.Eventually(t, func() bool {
			require.Empty(t, claimSome(t, a, 10, 10, time.Hour), "it is disabled")
			select {
			case r = <-discarded:
				return true
			default:
				return false
			}
		}, patience, 10*time.Millisecond)
		require.NoError(t, r.err)
		if r.n > 0 || len(got) > 0 {
			got = append(got, r.n)
		}
	}
	require.Equal(t, []int{3, 0}, got)
	require.Empty(t, finishAll(t, a, underWay))
	requireStates(t, b, map[alotwebhook.DeliveryState]int{alotwebhook.StateDelivered: 2, alotwebhook.StateFailed: 3})
}

// If the process that sends to the endpoint does not answer, whatever it may have under way is
// left alone. What came after the endpoint was disabled it cannot.
func TestDiscardWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	a, b, put := two(t, 1, 5)
	underWay := awaitClaims(t, a, 2, 2, time.Hour)
	disable(t, b, put[0].ID)
	enqueueAll(t, b, put, 4)
	n, err := b.Discard(t.Context(), put[0].ID, time.Now().Add(time.Hour), 100)
	require.NoError(t, err)
	require.Equal(t, 4, n)
	require.Empty(t, finishAll(t, a, underWay))
	stopClaiming(t, a) // it is nobody's now
	n, err = b.Discard(t.Context(), put[0].ID, time.Now().Add(time.Hour), 100)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	requireStates(t, b, map[alotwebhook.DeliveryState]int{alotwebhook.StateDelivered: 2, alotwebhook.StateFailed: 7})
}
