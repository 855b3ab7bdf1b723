package shards_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/shards"
)

// enqueueAbout stores n events of an organization about somebody.
func enqueueAbout(t *testing.T, s alotwebhook.Store, organization, subject string, n int) (events []alotwebhook.Event) {
	t.Helper()
	for range n {
		event := newEvent(t, organization)
		event.Subject = subject
		events = append(events, event)
	}
	require.NoError(t, s.Enqueue(t.Context(), events))
	return events
}

// eraseAll erases what r selects, limit events at a time, and returns how many calls that took.
func eraseAll(t *testing.T, s alotwebhook.Store, r alotwebhook.Recovery, limit int) (calls int) {
	t.Helper()
	for {
		calls++
		require.Less(t, calls, 100, "it has no end")
		_, next, err := s.Erase(t.Context(), r, limit)
		require.NoError(t, err)
		if r.Cursor = next; next == "" {
			return calls
		}
	}
}

// The events of somebody are erased in all shards, whichever of them comes to its end first.
func TestEraseInAllShards(t *testing.T) {
	t.Parallel()
	p := filledPair(t, 3, 3)
	var events []alotwebhook.Event
	for _, n := range []int{1, 5, 2, 7} {
		events = append(events, enqueueAbout(t, p, "org_a", "cand_1", n)...)
		events = append(events, enqueueAbout(t, p, "org_b", "cand_1", 2*n)...)
	}
	require.Greater(t, eraseAll(t, p, alotwebhook.Recovery{Subject: "cand_1"}, 3), 5)
	for _, event := range events {
		_, err := p.Event(t.Context(), event.ID)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	}
	require.Len(t, claim(t, p, 100), 6, "what is about nobody")
}

// An organization that has left a shard has its history there still, although it is shown no more.
func TestEraseAndRemoveWhereAnOrganizationWas(t *testing.T) {
	t.Parallel()
	p := filledPair(t, 0, 0)
	put(t, p.a, "org_b")
	left := enqueueAbout(t, p.a, "org_b", "cand_1", 2)
	eraseAll(t, p, alotwebhook.Recovery{OrganizationID: "org_b", Subject: "cand_1"}, 10)
	_, err := p.a.Event(t.Context(), left[0].ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)

	left = enqueueAbout(t, p.a, "org_b", "cand_1", 2)
	require.Less(t, removed(t, p, "org_b", 10), 10)
	_, err = p.a.Event(t.Context(), left[0].ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	page, _, err := p.a.Endpoints(t.Context(), alotwebhook.EndpointFilter{})
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.Equal(t, "org_a", page[0].OrganizationID)
}

func removed(t *testing.T, s alotwebhook.Store, organization string, limit int) int {
	t.Helper()
	n, err := s.Remove(t.Context(), organization, limit)
	require.NoError(t, err)
	return n
}

// Nobody is told that all was erased, or removed, while a shard is away that may have some of it. The
// others have done their part.
func TestEraseAndRemoveWhileAShardIsAway(t *testing.T) {
	t.Parallel()
	p := filledPair(t, 1, 1)
	ofA := enqueueAbout(t, p, "org_a", "cand_1", 1)[0]
	ofB := enqueueAbout(t, p, "org_b", "cand_1", 1)[0]
	p.b.way.Store(fails)
	_, _, err := p.Erase(t.Context(), alotwebhook.Recovery{Subject: "cand_1"}, 10)
	require.ErrorIs(t, err, errDown)
	require.ErrorContains(t, err, `shard "b"`)
	_, err = p.a.Event(t.Context(), ofA.ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	_, err = p.Remove(t.Context(), "org_a", 10)
	require.ErrorIs(t, err, errDown)
	require.Zero(t, removed(t, p.a, "org_a", 10), "it is removed")

	p.b.way.Store(well)
	_, err = p.b.Event(t.Context(), ofB.ID)
	require.NoError(t, err)
	eraseAll(t, p, alotwebhook.Recovery{Subject: "cand_1"}, 10)
	_, err = p.b.Event(t.Context(), ofB.ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	require.Zero(t, removed(t, p, "org_a", 10))
}

// erasing is what a store returns for a transaction: here, without one.
type erasing struct {
	enqueuer
	of alotwebhook.Store
}

func (e erasing) Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (int, string, error) {
	return e.of.Erase(ctx, r, limit)
}

// A transaction is of one database. It erases what is there alone, and refuses what may be elsewhere, too.
func TestEraseWithin(t *testing.T) {
	t.Parallel()
	p := &pair{a: newIll(), b: newIll()}
	p.Store = newStore(t, map[string]alotwebhook.Store{"a": p.a, "b": p.b}, shards.Config{Places: func(organizationID string) []string {
		if organizationID == "org_moves" {
			return []string{"b", "a"}
		}
		return byPrefix(organizationID)
	}})
	d, err := alotwebhook.NewDispatcher(p, nil)
	require.NoError(t, err)
	events := enqueueAbout(t, p, "org_a", "cand_1", 3)
	q := p.Within("a", erasing{enqueuer{p.a}, p.a})

	_, err = d.EraseIn(t.Context(), q, "", "cand_1")
	require.ErrorIs(t, err, alotwebhook.ErrInvalid)
	require.ErrorContains(t, err, `organizationId is empty, and the transaction is of the shard "a" alone`)
	_, err = d.EraseIn(t.Context(), q, "org_b", "cand_1")
	require.ErrorContains(t, err, `the organization "org_b" is in the shards ["b"], and the transaction is of "a"`)
	_, err = d.EraseIn(t.Context(), q, "org_moves", "cand_1")
	require.ErrorContains(t, err, `is in the shards ["b" "a"]`)
	_, err = d.EraseIn(t.Context(), p.Within("a", enqueuer{p.a}), "org_a", "cand_1")
	require.ErrorIs(t, err, errors.ErrUnsupported)
	for _, bad := range []alotwebhook.Enqueuer{p.Within("z", erasing{enqueuer{p.a}, p.a}), p.Within("a", nil)} {
		_, err = d.EraseIn(t.Context(), bad, "org_a", "cand_1")
		require.ErrorIs(t, err, alotwebhook.ErrInvalid)
	}
	_, err = p.Event(t.Context(), events[0].ID)
	require.NoError(t, err)

	n, err := d.EraseIn(t.Context(), q, "org_a", "cand_1")
	require.NoError(t, err)
	require.Equal(t, 3, n)
	_, err = p.Event(t.Context(), events[0].ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
}
