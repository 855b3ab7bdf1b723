package sqlite_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

// What a process has under way stands in no row, so that nothing but its absence tells it of a
// cancelation by another process. A delivery that is sent again then must neither wait for the end of
// the old attempt nor take its outcome.
func TestCanceledAndSentAgainByAnotherProcess(t *testing.T) {
	t.Parallel()
	s, path := backlog(t, 1, 2)
	other := open(t, path)
	stale := claimFor(t, s, 2, time.Hour)
	for _, by := range []*sqlite.Store{other, s} {
		n, err := by.Cancel(t.Context(), []string{stale[0].DeliveryID})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		n, err = by.Redeliver(t.Context(), []string{stale[0].DeliveryID})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		fresh := claimFor(t, s, 2, time.Hour)
		require.Len(t, fresh, 1)
		require.Equal(t, stale[0].DeliveryID, fresh[0].DeliveryID)
		require.Equal(t, []int{1, 1}, []int{fresh[0].Attempt, fresh[0].Claims})
		require.Empty(t, claimFor(t, s, 2, time.Hour), "it is leased")
		require.Equal(t, []string{stale[0].DeliveryID}, finishOne(t, s, stale[0], alotwebhook.StateDelivered))
		require.Empty(t, claimFor(t, s, 2, time.Hour), "it is leased still")
		stale[0] = fresh[0]
	}
	require.Empty(t, finishOne(t, s, stale[0], alotwebhook.StateDelivered))
	require.Empty(t, finishOne(t, s, stale[1], alotwebhook.StateDelivered), "nobody has canceled the other one")
	stats, err := s.Stats(t.Context())
	require.NoError(t, err)
	require.Zero(t, stats)
}

// The same, when that process is killed or hangs: the delivery is claimed once and for all by whoever
// comes next, and no claim of it was in vain.
func TestCanceledAndSentAgainByAnotherProcessLater(t *testing.T) {
	t.Parallel()
	s, path := backlog(t, 1, 1)
	other := open(t, path)
	stale := claimFor(t, s, 1, 20*time.Millisecond)[0]
	for _, step := range []func(*sqlite.Store) (int, error){
		func(by *sqlite.Store) (int, error) { return by.Cancel(t.Context(), []string{stale.DeliveryID}) },
		func(by *sqlite.Store) (int, error) { return by.Redeliver(t.Context(), []string{stale.DeliveryID}) },
	} {
		n, err := step(other)
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
	fresh := awaitClaim(t, other, 1, time.Hour)[0] // once the time of s is up
	require.Equal(t, 1, fresh.Claims)
	require.Equal(t, []string{stale.DeliveryID}, finishOne(t, s, stale, alotwebhook.StateDelivered))
	require.Empty(t, claimFor(t, s, 1, time.Hour))
	require.Empty(t, finishOne(t, other, fresh, alotwebhook.StateDelivered))
}

// Nothing waits for the end of a lease that is of no use any more.
func TestCanceledFallsDueNoMore(t *testing.T) {
	t.Parallel()
	s, _ := backlog(t, 1, 2)
	c := claimFor(t, s, 2, time.Hour)
	finishOne(t, s, c[0], alotwebhook.StateDelivered)
	n, err := s.Cancel(t.Context(), []string{c[1].DeliveryID})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	n, err = s.Redeliver(t.Context(), []string{c[1].DeliveryID})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	d, err := s.Delivery(t.Context(), c[1].DeliveryID)
	require.NoError(t, err)
	require.False(t, d.NextAttemptAt.After(time.Now()), "it is due, not leased")
	r, err := s.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 1, PerEndpoint: 1, Unlisted: -1, Lease: time.Hour})
	require.NoError(t, err)
	require.Empty(t, r.Deliveries)
	require.Zero(t, r.NextIn)
}

// The request that is under way cannot be called back. An ordered endpoint gets no other one beside it.
func TestCanceledIsUnderWayStill(t *testing.T) {
	t.Parallel()
	s, path := backlog(t, 1, 3)
	e, err := s.Endpoint(t.Context(), endpointID(0))
	require.NoError(t, err)
	e.Ordered = true
	require.NoError(t, s.PutEndpoint(t.Context(), e))
	for _, by := range []*sqlite.Store{s, open(t, path)} {
		c := claimFor(t, s, 3, time.Hour)
		require.Len(t, c, 1)
		n, err := by.Cancel(t.Context(), ids(c))
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Empty(t, claimFor(t, s, 3, time.Hour))
		require.Equal(t, ids(c), finishOne(t, s, c[0], alotwebhook.StateDelivered))
	}
	require.Len(t, claimFor(t, s, 3, time.Hour), 1)
}
