package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

func cancel(t *testing.T, s alotwebhook.Store, ids ...string) {
	t.Helper()
	n, err := s.Cancel(t.Context(), ids)
	require.NoError(t, err)
	require.Len(t, ids, n)
}

func redeliver(t *testing.T, s alotwebhook.Store, ids ...string) {
	t.Helper()
	n, err := s.Redeliver(t.Context(), ids)
	require.NoError(t, err)
	require.Len(t, ids, n)
}

// A process remembers what it has under way, and no other can ask its memory. What others cancel it
// does not record, and what they redeliver it sends again, although the attempt before is under way.
func TestCancelOfWhatAnotherProcessHas(t *testing.T) {
	t.Parallel()
	a, b, _ := two(t, 1, 3)
	before := awaitClaims(t, a, 3, 9, time.Hour)
	cancel(t, b, idsOf(before)...)
	require.Empty(t, claimSome(t, a, 9, 9, time.Hour))
	require.Equal(t, idsOf(before[:1]), finishAll(t, a, before[:1]))
	redeliver(t, b, idsOf(before)...)
	after := awaitClaims(t, a, 3, 9, time.Hour)
	require.Equal(t, idsOf(before), idsOf(after))
	for _, c := range after {
		require.Equal(t, 1, c.Claims)
	}
	require.Equal(t, idsOf(before), finishAll(t, a, before))
	require.Empty(t, finishAll(t, a, after))
	requireStates(t, b, map[alotwebhook.DeliveryState]int{alotwebhook.StateDelivered: 3})
}

// A process that gives its slots away has what it knows to be under way written into the rows. What
// was canceled and redelivered meanwhile is no longer that.
func TestCancelBesideHandOver(t *testing.T) {
	t.Parallel()
	a, b, _ := two(t, 1, 2)
	before := awaitClaims(t, a, 2, 9, time.Hour)
	cancel(t, b, idsOf(before)...)
	redeliver(t, b, idsOf(before)[:1]...)
	stopClaiming(t, a)
	after := awaitClaims(t, b, 1, 9, time.Hour)
	require.Equal(t, idsOf(before)[:1], idsOf(after))
	require.Equal(t, idsOf(before), finishAll(t, a, before))
	require.Empty(t, finishAll(t, b, after))
	requireStates(t, b, map[alotwebhook.DeliveryState]int{alotwebhook.StateDelivered: 1, alotwebhook.StateFailed: 1})
}

// What a canceled attempt was lost in counts as no claim: neither now, nor after the process has died.
func TestCanceledIsNoPoison(t *testing.T) {
	t.Parallel()
	stores, _ := processes(t, 2)
	enqueueAll(t, stores[0], putEndpoints(t, stores[0], 1), 1)
	c := awaitClaims(t, stores[0], 1, 9, 50*time.Millisecond)[0]
	for range 8 {
		cancel(t, stores[0], c.DeliveryID)
		redeliver(t, stores[0], c.DeliveryID)
		again := awaitClaims(t, stores[0], 1, 9, 50*time.Millisecond)[0]
		require.Equal(t, 1, again.Claims)
		require.NotEqual(t, c.Token, again.Token)
		c = again
	}
	again := awaitClaims(t, stores[1], 1, 9, time.Hour)[0] // once the lease has run out
	require.Equal(t, 2, again.Claims)
}

// While the attempt of a canceled delivery is under way, its ordered endpoint gets no other: not more
// than one at a time.
func TestCancelOfAnOrderedEndpointElsewhere(t *testing.T) {
	t.Parallel()
	stores, _ := processes(t, 2)
	e := putOrdered(t, stores[0])
	enqueueAll(t, stores[0], []alotwebhook.Endpoint{e}, 2)
	first := awaitClaims(t, stores[0], 1, 9, time.Hour)
	cancel(t, stores[1], first[0].DeliveryID)
	require.Empty(t, claimSome(t, stores[0], 9, 9, time.Hour))
	require.Equal(t, idsOf(first), finishAll(t, stores[0], first))
	second := awaitClaims(t, stores[0], 1, 9, time.Hour)
	require.NotEqual(t, first[0].DeliveryID, second[0].DeliveryID)
	require.Empty(t, finishAll(t, stores[0], second))
}
