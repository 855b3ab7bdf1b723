package storetest

import (
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// listEndpoints returns the ids on all pages, and the number of endpoints on each.
func (t *trial) listEndpoints(f alotwebhook.EndpointFilter) (ids []string, sizes []int) {
	t.Helper()
	for range endless {
		page, next, err := t.store.Endpoints(t.ctx(), f)
		require.NoError(t, err)
		for _, e := range page {
			ids = append(ids, e.ID)
		}
		sizes = append(sizes, len(page))
		if next == "" {
			return ids, sizes
		}
		require.NotEmpty(t, page, "only the last page may be empty")
		require.Equal(t, page[len(page)-1].ID, next, "the cursor is the last id of the page before")
		f.Cursor = next
	}
	require.FailNow(t, "a listing of endpoints has no end", "filter %+v", f)
	return nil, nil
}

// A page shows the names of some endpoints, and a repeated registration looks for the few
// ids that it can have made, among all that there are.
func endpointsByID(t *trial) {
	var all []alotwebhook.Endpoint
	for i := range 6 {
		all = append(all, t.endpoint([]string{"org_1", "org_2"}[i%2], completed))
	}
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), all[4].ID))
	wanted := []string{all[3].ID, all[0].ID, newEndpoint(t, "org_1", completed).ID, all[4].ID, all[2].ID, all[0].ID}
	sorted := func(endpoints ...alotwebhook.Endpoint) (ids []string) {
		for _, e := range endpoints {
			ids = append(ids, e.ID)
		}
		slices.Sort(ids)
		return ids
	}
	ids, sizes := t.listEndpoints(alotwebhook.EndpointFilter{IDs: wanted, Limit: 2})
	require.Equal(t, sorted(all[0], all[2], all[3]), ids)
	require.Equal(t, []int{2, 1}, sizes)
	ids, _ = t.listEndpoints(alotwebhook.EndpointFilter{IDs: wanted, OrganizationID: "org_1"})
	require.Equal(t, sorted(all[0], all[2]), ids)
	for range 1500 { // more than some databases take as arguments
		wanted = append(wanted, newEndpoint(t, "org_1", completed).ID)
	}
	ids, _ = t.listEndpoints(alotwebhook.EndpointFilter{IDs: wanted})
	require.Equal(t, sorted(all[0], all[2], all[3]), ids)
	ids, _ = t.listEndpoints(alotwebhook.EndpointFilter{IDs: wanted[2:3]})
	require.Empty(t, ids)
}

// With a cursor and not an offset, a listing neither misses nor repeats an endpoint while
// others are added and deleted.
func endpointPages(t *trial) {
	var all, mine []alotwebhook.Endpoint
	for i := range 9 {
		e := newEndpoint(t, []string{"org_1", "org_2", "org_1"}[i%3], completed)
		all = append(all, e)
	}
	for _, i := range []int{4, 8, 0, 3, 7, 1, 2, 6, 5} { // not in the order of the ids
		t.put(&all[i])
	}
	for _, e := range all {
		if e.OrganizationID == "org_1" {
			mine = append(mine, e)
		}
	}
	ids := func(endpoints []alotwebhook.Endpoint) (ids []string) {
		for _, e := range endpoints {
			ids = append(ids, e.ID)
		}
		slices.Sort(ids)
		return ids
	}
	got, sizes := t.listEndpoints(alotwebhook.EndpointFilter{Limit: 4})
	require.Equal(t, ids(all), got)
	require.Equal(t, []int{4, 4, 1}, sizes)
	got, sizes = t.listEndpoints(alotwebhook.EndpointFilter{OrganizationID: "org_1", Limit: 3})
	require.Equal(t, ids(mine), got)
	require.Equal(t, []int{3, 3}, sizes, "the last page has no cursor, even if it is full")
	got, _ = t.listEndpoints(alotwebhook.EndpointFilter{OrganizationID: "org_3"})
	require.Empty(t, got)
	page, _, err := t.store.Endpoints(t.ctx(), alotwebhook.EndpointFilter{Cursor: all[7].ID})
	require.NoError(t, err)
	require.Len(t, page, 1)
	requireSameEndpoint(t, all[8], page[0])
}

// A host with 100,000 endpoints must not load all of them because a caller forgot the
// limit.
func endpointPageDefault(t *trial) {
	for range 101 {
		t.endpoint("org_1", completed)
	}
	_, sizes := t.listEndpoints(alotwebhook.EndpointFilter{})
	require.Equal(t, []int{100, 1}, sizes)
}
