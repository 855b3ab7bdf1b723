package postgres_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// removeAll removes an organization, limit rows of each kind at a time, and returns how many calls that
// took.
func removeAll(t *testing.T, store alotwebhook.Store, organization string, limit int) (calls int) {
	t.Helper()
	for {
		calls++
		n, err := store.Remove(t.Context(), organization, limit)
		require.NoError(t, err)
		if n < limit {
			return calls
		}
	}
}

// requireNowhere requires that no table has a row with the organization's id.
func requireNowhere(t *testing.T, pool *pgxpool.Pool, schema, organization string) {
	t.Helper()
	for _, table := range tablesOf(t, pool, schema, "'r'") {
		require.Zero(t, count(t, pool, fmt.Sprintf(`%s.%s AS t WHERE strpos(t::text, '%s') > 0`, schema, table, organization)), table)
	}
}

// Nothing is left of an organization with more rows than several calls take, of days with partitions and
// without, and everything of the others is.
func TestRemoveInSeveralCalls(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t))
	leaves, stays := endpointOf("org_that_leaves", "a"), endpointOf("org_that_stays", "b")
	leaves.Description = "of org_that_leaves"
	for _, e := range []alotwebhook.Endpoint{leaves, stays} {
		require.NoError(t, store.PutEndpoint(t.Context(), e))
		var events []alotwebhook.Event
		for i := range 30 {
			event := newEvent(t, e.OrganizationID)
			if i%3 == 0 {
				event = aged(event, time.Now().AddDate(0, 0, -9))
			}
			if i%5 == 0 {
				event.Type = "candidate.invited" // for nobody
			}
			events = append(events, event)
		}
		require.NoError(t, store.Enqueue(t.Context(), events))
	}
	outcomes := outcomesOf(claim(t, store))
	for i := range outcomes {
		if i%2 == 0 {
			outcomes[i].State, outcomes[i].NextAttemptIn = alotwebhook.StatePending, time.Hour
		}
	}
	_, err := store.Finish(t.Context(), outcomes[:40])
	require.NoError(t, err)
	rows := func() (of []int) { // of the organization that stays: its endpoint has the key 2
		for _, from := range []string{
			`{s}.events WHERE organization_id = 'org_that_stays'`, `{s}.queue WHERE endpoint = 2`, `{s}.deliveries WHERE endpoint = 2`,
			`{s}.attempts WHERE delivery_id IN (SELECT id FROM {s}.queue WHERE endpoint = 2)`,
		} {
			of = append(of, count(t, pool, withSchema(from, store.Schema())))
		}
		return of
	}
	before := rows()
	require.NotContains(t, before, 0)
	require.Greater(t, removeAll(t, store, leaves.OrganizationID, 7), 5)
	requireNowhere(t, pool, store.Schema(), leaves.OrganizationID)
	require.Equal(t, before, rows())
	require.Equal(t, before[3], count(t, pool, store.Schema()+".attempts"))
	require.Equal(t, 1, removeAll(t, store, leaves.OrganizationID, 7))
	page, err := store.Endpoint(t.Context(), stays.ID)
	require.NoError(t, err)
	require.Equal(t, "secret", string(page.Secret))
}

// While an organization's rows go, its endpoints have none of their texts any more.
func TestRemoveTakesTextsFirst(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t))
	e := endpointOf("org_0", "a")
	e.URL, e.Description, e.Secret, e.NextSecret, e.Credentials = "https://example.com/of-jane", "of-jane", "of-jane", "of-jane", "of-jane"
	gone := endpointOf("org_0", "b")
	gone.URL = e.URL
	for _, one := range []alotwebhook.Endpoint{e, gone} {
		require.NoError(t, store.PutEndpoint(t.Context(), one))
	}
	enqueueAll(t, store, []alotwebhook.Endpoint{e}, 3)
	require.NoError(t, store.DeleteEndpoint(t.Context(), gone.ID))
	n, err := store.Remove(t.Context(), "org_0", 2)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, 2, count(t, pool, store.Schema()+".endpoints"))
	requireNowhere(t, pool, store.Schema(), "of-jane")
	removeAll(t, store, "org_0", 2)
	require.Zero(t, count(t, pool, store.Schema()+".endpoints"))
}

// What is stored while an organization is removed is found by the walk that comes after.
func TestRemoveOfWhatComesMeanwhile(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t))
	const org = "org_that_leaves"
	emit := func(n int) {
		t.Helper()
		events := make([]alotwebhook.Event, n)
		for i := range events {
			events[i] = newEvent(t, org)
		}
		require.NoError(t, store.Enqueue(t.Context(), events))
	}
	emit(20)
	for _, more := range []int{3, 0, 2} {
		n, err := store.Remove(t.Context(), org, 6)
		require.NoError(t, err)
		require.Equal(t, 6, n)
		emit(more) // above what has been looked at
	}
	removeAll(t, store, org, 6)
	requireNowhere(t, pool, store.Schema(), org)
}

// A delivery whose endpoint another process removes while the event is being stored goes with its event.
func TestRemoveOfWhatWasStoredTooLate(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t))
	const org = "org_that_leaves"
	require.NoError(t, store.PutEndpoint(t.Context(), endpointOf(org, "a")))
	late, err := pool.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, store.Tx(late).Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, org)}))
	removeAll(t, store, org, 10)
	require.NoError(t, late.Commit(t.Context()))
	require.Equal(t, 1, count(t, pool, store.Schema()+".queue"))
	removeAll(t, store, org, 10)
	requireNowhere(t, pool, store.Schema(), org)
	require.Zero(t, count(t, pool, store.Schema()+".queue"))
}

// An organization without a name is everybody, in a pause.
func TestRemoveOfNobody(t *testing.T) {
	t.Parallel()
	store := open(t)
	require.NoError(t, store.PutPause(t.Context(), alotwebhook.Pause{}))
	_, err := store.Remove(t.Context(), "", 10)
	require.ErrorIs(t, err, alotwebhook.ErrInvalid)
	list, err := store.Pauses(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
}

// An outcome of before does not count for what is stored again under the same id, whichever process had
// claimed it.
func TestRemovedAndStoredAgain(t *testing.T) {
	t.Parallel()
	a, b, endpoints := two(t, 1, 0)
	e := endpoints[0]
	event := newEvent(t, e.OrganizationID)
	require.NoError(t, a.Enqueue(t.Context(), []alotwebhook.Event{event}))
	before := awaitClaims(t, a, 1, 9, time.Hour)
	removeAll(t, b, e.OrganizationID, 10)
	require.NoError(t, b.PutEndpoint(t.Context(), e))
	require.NoError(t, b.Enqueue(t.Context(), []alotwebhook.Event{event}))
	require.Equal(t, idsOf(before), finishAll(t, a, before))
	after := eventuallyClaimed(t, a, b)
	require.Equal(t, idsOf(before), idsOf(after))
	requireStates(t, b, map[alotwebhook.DeliveryState]int{alotwebhook.StatePending: 1})
}

// eventuallyClaimed claims by all the stores until one of them gets something.
func eventuallyClaimed(t *testing.T, stores ...*postgres.Store) (claimed []alotwebhook.Claimed) {
	t.Helper()
	require.Eventually(t, func() bool {
		return slices.ContainsFunc(stores, func(s *postgres.Store) bool {
			claimed = claimSome(t, s, 9, 9, time.Hour)
			return len(claimed) > 0
		})
	}, patience, 5*time.Millisecond)
	return claimed
}
