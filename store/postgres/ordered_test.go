package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// Of an ordered endpoint, only its first delivery can have been under way in a process that has
// died, also where a retry has given that a later due time than others have.
func TestPoisonOfAnOrderedEndpoint(t *testing.T) {
	t.Parallel()
	stores, _ := processes(t, 5)
	e := putEndpoints(t, stores[0], 1)[0]
	stored, err := stores[0].Endpoint(t.Context(), e.ID)
	require.NoError(t, err)
	stored.Ordered = true
	require.NoError(t, stores[0].PutEndpoint(t.Context(), stored))
	enqueueAll(t, stores[0], []alotwebhook.Endpoint{e}, 3)
	first := awaitClaims(t, stores[0], 1, 9, time.Hour)[0]
	retry := outcomesOf([]alotwebhook.Claimed{first})[0]
	retry.State, retry.Attempt.Reason, retry.HoldsUp = alotwebhook.StatePending, alotwebhook.ReasonStatus, time.Hour
	lost, err := stores[0].Finish(t.Context(), []alotwebhook.Outcome{retry})
	require.NoError(t, err)
	require.Empty(t, lost)
	stopClaiming(t, stores[0])
	for died, s := range stores[1:] {
		c := awaitClaims(t, s, 1, 9, 50*time.Millisecond)[0]
		require.Equal(t, first.DeliveryID, c.DeliveryID)
		require.Equal(t, died+1, c.Claims)
	}
	for i := range 3 {
		c := awaitClaims(t, stores[0], 1, 9, time.Hour)[0]
		require.Equal(t, i == 0, c.DeliveryID == first.DeliveryID)
		require.Equal(t, map[bool]int{true: 5, false: 1}[i == 0], c.Claims)
		done := outcomesOf([]alotwebhook.Claimed{c})
		done[0].HoldsUp = time.Hour
		lost, err := stores[0].Finish(t.Context(), done)
		require.NoError(t, err)
		require.Empty(t, lost)
	}
}
