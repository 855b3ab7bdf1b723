package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// putOrdered stores an ordered endpoint of org_0.
func putOrdered(t *testing.T, s alotwebhook.Store) alotwebhook.Endpoint {
	t.Helper()
	e := putEndpoints(t, s, 1)[0]
	e.Version, e.Ordered = 1, true
	require.NoError(t, s.PutEndpoint(t.Context(), e))
	return e
}

// Of an ordered endpoint, only its first delivery can have been under way in a process that has
// died, also where a retry has given that a later due time than others have.
func TestPoisonOfAnOrderedEndpoint(t *testing.T) {
	t.Parallel()
	stores, _ := processes(t, 5)
	e := putOrdered(t, stores[0])
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

// The process that sends to an ordered endpoint learns late of what others have emitted, and at
// once of what it emits itself. Yet it sends the former first.
func TestOrderOfWhatOthersEmitted(t *testing.T) {
	t.Parallel()
	stores, pool := processes(t, 2)
	sender, other := stores[0], stores[1]
	putOrdered(t, sender)
	require.Empty(t, claimSome(t, sender, 9, 9, time.Hour))
	events := []alotwebhook.Event{newEvent(t, "org_0"), newEvent(t, "org_0")}
	require.NoError(t, other.Enqueue(t.Context(), events[:1]))
	run(t, pool, `UPDATE `+sender.Schema()+`.queue SET next_at = next_at - interval '1 minute'`)
	require.NoError(t, sender.Enqueue(t.Context(), events[1:]))
	require.Equal(t, events[0].ID, awaitClaims(t, sender, 1, 9, time.Hour)[0].EventID)
}

// What was parked comes before what is emitted once the endpoint is enabled.
func TestOrderOfWhatWasParked(t *testing.T) {
	t.Parallel()
	stores, pool := processes(t, 1)
	s := stores[0]
	e := putOrdered(t, s)
	e.Version, e.Disabled = 2, true
	require.NoError(t, s.PutEndpoint(t.Context(), e))
	require.Empty(t, claimSome(t, s, 9, 9, time.Hour))
	events := []alotwebhook.Event{newEvent(t, "org_0"), newEvent(t, "org_0")}
	require.NoError(t, s.Enqueue(t.Context(), events[:1]))
	run(t, pool, `UPDATE `+s.Schema()+`.queue SET next_at = next_at - interval '1 minute'`)
	require.Empty(t, claimSome(t, s, 9, 9, time.Hour))
	e.Version, e.Disabled = 3, false
	require.NoError(t, s.PutEndpoint(t.Context(), e))
	require.NoError(t, s.Enqueue(t.Context(), events[1:]))
	require.Equal(t, events[0].ID, awaitClaims(t, s, 1, 9, time.Hour)[0].EventID)
}
