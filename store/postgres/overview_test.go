package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

func processesOf(t *testing.T, s alotwebhook.Surveyor) []alotwebhook.Process {
	t.Helper()
	list, err := s.Processes(t.Context())
	require.NoError(t, err)
	return list
}

// Each process that claims is listed with the part that it owns. One that has ended is not, and one
// that has died is there until others have taken over from it.
func TestProcesses(t *testing.T) {
	t.Parallel()
	stores, _ := processes(t, 3)
	require.Empty(t, processesOf(t, stores[0]))
	require.Empty(t, claimSome(t, stores[0], 1, 1, time.Hour))
	one := processesOf(t, stores[1])
	require.Len(t, one, 1)
	require.EqualValues(t, 1, one[0].Share)
	require.GreaterOrEqual(t, one[0].Seen, time.Duration(0))
	require.Greater(t, one[0].Left, 59*time.Minute)

	for list := one; len(list) < 2 || min(list[0].Share, list[1].Share) < 0.25; list = processesOf(t, stores[2]) {
		require.Empty(t, claimSome(t, stores[1], 1, 1, time.Hour))
		require.Empty(t, claimSome(t, stores[0], 1, 1, time.Hour))
	}
	list := processesOf(t, stores[2])
	require.Len(t, list, 2)
	require.InDelta(t, 1, list[0].Share+list[1].Share, 1e-9)
	require.Less(t, list[0].ID, list[1].ID)

	stopClaiming(t, stores[1])
	require.Equal(t, one[0].ID, processesOf(t, stores[2])[0].ID)
	stopClaiming(t, stores[0])
	require.Empty(t, processesOf(t, stores[2]))
	require.Empty(t, claimSome(t, stores[2], 1, 1, time.Millisecond)) // and then it dies
	for list = nil; len(list) == 0 || list[0].Left >= 0; list = processesOf(t, stores[0]) {
		time.Sleep(10 * time.Millisecond)
	}
	require.Len(t, list, 1)
	require.EqualValues(t, 1, list[0].Share)
	require.Greater(t, list[0].Seen, time.Second)
}

// The deliveries that this process has under way are pending, and not due.
func TestBacklogLeavesOutWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	store := open(t)
	enqueueAll(t, store, putEndpoints(t, store, 2), 4)
	require.Len(t, claimSome(t, store, 3, 2, time.Hour), 3)
	list, err := store.Backlogs(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, []int64{2, 2}, []int64{list[0].Pending, list[1].Pending})
	require.EqualValues(t, 1, list[0].Due+list[1].Due)
	for _, b := range list {
		require.Equal(t, b.Due > 0, b.OldestDue > 0)
	}
}
