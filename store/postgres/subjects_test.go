package postgres_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
)

// Each way to enqueue keeps subjects, of one event and of many, with traceparents and without.
func TestSubjectsInEveryWay(t *testing.T) {
	t.Parallel()
	everyWay(t, func(t *testing.T, store *postgres.Store, enqueue func(...alotwebhook.Event)) {
		e := putEndpoints(t, store, 1)[0]
		for _, n := range []int{1, 1, 2, 700} {
			for traced := range 2 {
				events := make([]alotwebhook.Event, n)
				for i := range events {
					events[i] = newEvent(t, e.OrganizationID)
					if i%3 == 0 {
						events[i].Subject = fmt.Sprintf(`cand_{"%d", \NULL} 'é'`, i)
					}
					if i%2 == 0 && traced > 0 {
						events[i].TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
					}
				}
				enqueue(events...)
				for _, i := range []int{0, n / 2, n - 1} {
					stored, err := store.Event(t.Context(), events[i].ID)
					require.NoError(t, err)
					require.Equal(t, events[i].Subject, stored.Subject)
					require.Equal(t, events[i].TraceParent, stored.TraceParent)
				}
			}
		}
	})
}

// A subject may have more events than a page looks at, also in one millisecond. The pages have all of
// its deliveries, each once.
func TestManyEventsOfASubject(t *testing.T) {
	t.Parallel()
	store := open(t)
	a, b := endpointOf("org_a", "a"), endpointOf("org_a", "b")
	for _, e := range []alotwebhook.Endpoint{a, b} {
		require.NoError(t, store.PutEndpoint(t.Context(), e))
	}
	at := time.Now().Add(-time.Hour)
	var events []alotwebhook.Event
	var want []string
	for i := range 4200 {
		event := aged(newEvent(t, "org_a"), at.Add(time.Duration(max(i-2500, 0))*time.Millisecond)) // 2,500 in the first
		event.Subject = "cand_1"
		if i >= 4000 {
			event.Type = "candidate.invited" // for nobody
		}
		events = append(events, event)
		if i < 4000 {
			want = append(want, alotwebhook.DeliveryID(event.ID, a.ID), alotwebhook.DeliveryID(event.ID, b.ID))
		}
	}
	require.NoError(t, store.Enqueue(t.Context(), events))
	_, err := store.Finish(t.Context(), outcomesOf(claimSome(t, store, 500, 500, time.Hour)))
	require.NoError(t, err)
	slices.Sort(want)
	slices.Reverse(want)
	for _, limit := range []int{700, 3000} {
		require.Equal(t, want, listed(t, store, alotwebhook.Filter{Subject: "cand_1", Limit: limit}))
	}
	ofA := slices.DeleteFunc(slices.Clone(want), func(id string) bool {
		return !slices.ContainsFunc(events, func(e alotwebhook.Event) bool { return alotwebhook.DeliveryID(e.ID, a.ID) == id })
	})
	require.Equal(t, ofA, listed(t, store, alotwebhook.Filter{Subject: "cand_1", EndpointID: a.ID, Limit: 1000}))
	require.Len(t, listed(t, store, alotwebhook.Filter{Subject: "cand_1", State: alotwebhook.StateDelivered, Limit: 1000}), 500)
	require.Len(t, listed(t, store, alotwebhook.Filter{Subject: "cand_1", State: alotwebhook.StateUnfinished, OrganizationID: "org_a", Limit: 1000}), 7500)
	require.Empty(t, listed(t, store, alotwebhook.Filter{Subject: "cand_1", OrganizationID: "org_b"}))
}

// listed returns the ids of all pages.
func listed(t *testing.T, store alotwebhook.Store, f alotwebhook.Filter) (ids []string) {
	t.Helper()
	for {
		page, next, err := store.Deliveries(t.Context(), f)
		require.NoError(t, err)
		for _, d := range page {
			ids = append(ids, d.ID)
		}
		if next == "" {
			return ids
		}
		require.True(t, f.Cursor == "" || next < f.Cursor, "the cursor stands still")
		f.Cursor = next
	}
}
