package storetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var endpointRules = []rule{
	{"KeepsAllFields", "All fields are stored as given; the stored version is e.Version + 1.", keepsAllFields},
	{"Replaces", "PutEndpoint replaces the stored endpoint if its version is still e.Version.", putReplaces},
	{"Conflict", "If the stored version is not e.Version, PutEndpoint returns ErrConflict and changes nothing.", putConflict},
	{"KeepsFailingSince", "PutEndpoint leaves FailingSince as Finish left it, and clears it when it enables a disabled endpoint.", putKeepsFailingSince},
	{"FailingSinceConflict", "If e.FailingSince is neither zero nor the stored one, PutEndpoint returns ErrConflict and changes nothing.", putFailingSinceConflict},
	{"DisabledAt", "DisabledAt is when the endpoint was disabled, by the store's clock. A change of something else leaves it; enabling clears it.", putDisabledAt},
	{"Gone", "If the endpoint was deleted, PutEndpoint returns ErrNotFound.", putGone},
	{"ConcurrentWriters", "If several writers have read the same version, exactly one of them succeeds.", putConcurrently},
	{"NotFound", "Endpoint and DeleteEndpoint return ErrNotFound for an id that is not stored.", endpointNotFound},
	{"Pages", "Endpoints returns pages in the order of the ids, and the cursor of the next page; \"\" after the last.", endpointPages},
	{"ByID", "Endpoints returns those of IDs that there are, each once, and only the organization's if one is given.", endpointsByID},
	{"PageDefault", "A page has 100 endpoints if Limit is 0.", endpointPageDefault},
	{"DisableParks", "Disabling parks the endpoint's pending deliveries; it takes effect at once.", disableParks},
	{"EnableFrees", "Enabling makes the parked deliveries pending again, with the due times that they had.", enableFrees},
	{"Discard", "Discard fails parked deliveries of events before a time with ReasonDiscarded, which is not an attempt, and leaves all others.", discard},
	{"DiscardLeased", "Discard leaves a delivery that is leased, and takes one whose lease has run out.", discardLeased},
	{"DiscardEnabled", "Discard fails nothing while the endpoint is enabled, and returns ErrNotFound if it is gone.", discardEnabled},
	{"ClaimSeesChanges", "A claim carries the endpoint as it is stored now.", claimSeesChanges},
	{"DeleteFails", "DeleteEndpoint fails the unfinished deliveries with ReasonEndpointDeleted, which is not an attempt; their history stays readable.", deleteFails},
	{"DeleteLeased", "The outcome of an attempt is lost if its endpoint was deleted while it was under way.", deleteLeased},
	{"DeleteStopsFanOut", "A deleted endpoint gets no further deliveries.", deleteStopsFanOut},
}

// requireSameEndpoint requires that two endpoints are equal. Times may differ in their zone.
func requireSameEndpoint(t *trial, want, got alotwebhook.Endpoint) {
	t.Helper()
	require.Equal(t, string(want.Secret), string(got.Secret), "the secret is kept as it is")
	require.Equal(t, string(want.NextSecret), string(got.NextSecret), "the next secret is kept as it is")
	require.Equal(t, want.Disabled, !got.DisabledAt.IsZero(), "DisabledAt is the store's, and zero while the endpoint is enabled")
	want.DisabledAt = got.DisabledAt
	for _, at := range []struct {
		field     string
		want, got *time.Time
	}{
		{"NextSecretAt", &want.NextSecretAt, &got.NextSecretAt},
		{"FailingSince", &want.FailingSince, &got.FailingSince},
		{"CreatedAt", &want.CreatedAt, &got.CreatedAt},
		{"UpdatedAt", &want.UpdatedAt, &got.UpdatedAt},
	} {
		require.Equal(t, at.want.IsZero(), at.got.IsZero(), "%s is zero when it was given so", at.field)
		require.True(t, at.want.Equal(*at.got), "%s is %v, not %v", at.field, at.got, at.want)
		*at.got = *at.want
	}
	require.Equal(t, want, got)
}

// A secret is opaque text, encrypted or not. A store that trims or re-encodes it makes
// every signature wrong.
func keepsAllFields(t *trial) {
	e := newEndpoint(t, "org_é", completed, invited, "candidate.disqualified")
	e.URL, e.Description = "https://example.com:8443/p%20q?x=1&y='2'", `Jane's "ATS" \ 日本`
	e.Secret, e.NextSecret = "v1.sealed/+==\x01\x7f 😀", "\n second \t"
	e.NextSecretAt = time.Date(2031, 1, 2, 3, 4, 5, 678901000, time.UTC)
	e.Rate, e.Ordered = 0.1, true
	e.Disabled, e.DisabledReason = true, alotwebhook.DisabledGone
	e.FailingSince = time.Date(2026, 1, 2, 3, 4, 5, 1000, time.UTC)
	e.CreatedAt = time.Date(2025, 1, 1, 0, 0, 0, 999999000, time.UTC)
	t.put(&e)
	require.EqualValues(t, 1, e.Version)
	stored, err := t.store.Endpoint(t.ctx(), e.ID)
	require.NoError(t, err)
	requireSameEndpoint(t, e, stored)

	bare := newEndpoint(t, "org_1", completed)
	t.put(&bare)
	stored, err = t.store.Endpoint(t.ctx(), bare.ID)
	require.NoError(t, err)
	requireSameEndpoint(t, bare, stored)
}

// Fan-out goes by the subscriptions as they are now. A store that keeps them in a table
// of their own must replace them together with the endpoint.
func putReplaces(t *trial) {
	e := t.endpoint("org_1", completed)
	other := t.endpoint("org_1", completed)
	e.URL, e.EventTypes, e.Secret, e.Description = "https://example.com/new", []string{invited}, "new", "new"
	e.Rate = 10_000
	t.put(&e)
	e.UpdatedAt = e.UpdatedAt.Add(time.Minute)
	t.put(&e)
	require.EqualValues(t, 3, e.Version)
	stored, err := t.store.Endpoint(t.ctx(), e.ID)
	require.NoError(t, err)
	requireSameEndpoint(t, e, stored)
	event := newEvent(t, "org_1", invited)
	t.enqueue(event, newEvent(t, "org_1", completed))
	require.Equal(t, map[string]int{e.ID: 1, other.ID: 1}, perEndpoint(t.claim(10)), "subscriptions are replaced, too")
}

// Two people may edit one endpoint. Whoever saves last must not undo the other's change
// without seeing it.
func putConflict(t *trial) {
	e := t.endpoint("org_1", completed)
	t.put(&e)
	for _, version := range []int64{0, 1, 3} {
		stale := e
		stale.Version, stale.URL, stale.EventTypes = version, "https://example.com/stale", []string{invited}
		require.ErrorIs(t, t.store.PutEndpoint(t.ctx(), stale), alotwebhook.ErrConflict, "version %d while 2 is stored", version)
	}
	stored, err := t.store.Endpoint(t.ctx(), e.ID)
	require.NoError(t, err)
	requireSameEndpoint(t, e, stored)
}

// Parked deliveries expire by that time. Somebody who edits the endpoint's description
// must not lengthen it, and a wrong clock of a dispatcher must not shorten it.
func putDisabledAt(t *trial) {
	before := time.Now()
	e := newEndpoint(t, "org_1", completed)
	e.Disabled, e.DisabledReason = true, alotwebhook.DisabledByUser
	e.DisabledAt = before.Add(-1000 * long)
	t.put(&e)
	at := t.stored(e.ID).DisabledAt
	require.WithinDuration(t, before, at, slack, "a new endpoint may be disabled")
	e.Description = "edited"
	t.put(&e)
	require.True(t, at.Equal(t.stored(e.ID).DisabledAt), "an edit leaves it")
	t.setDisabled(&e, false)
	require.True(t, t.stored(e.ID).DisabledAt.IsZero(), "enabling clears it")
	t.setDisabled(&e, true)
	again := t.stored(e.ID).DisabledAt
	require.WithinDuration(t, before, again, slack)
	require.False(t, again.Before(at), "it is disabled anew")
}

// failEndpoint stores an endpoint with one failed attempt, and returns it as it is then.
func (t *trial) failEndpoint() alotwebhook.Endpoint {
	t.Helper()
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	t.finish(retry(t.claimOne(), 0))
	return t.stored(e.ID)
}

// stored returns an endpoint as it is stored.
func (t *trial) stored(id string) alotwebhook.Endpoint {
	t.Helper()
	e, err := t.store.Endpoint(t.ctx(), id)
	require.NoError(t, err)
	return e
}

// discard discards deliveries of an endpoint, and returns how many.
func (t *trial) discard(e alotwebhook.Endpoint, before time.Time, limit int) int {
	t.Helper()
	n, err := t.store.Discard(t.ctx(), e.ID, before, limit)
	require.NoError(t, err)
	return n
}

// Somebody who enables an endpoint after a week may not want the week's events, which a
// receiver would take for news. But those of the last hour may be wanted, and the old ones
// after all.
func discard(t *trial) {
	e, other := t.endpoint("org_1", completed), t.endpoint("org_1", completed)
	old := t.emit("org_1", completed, 5)
	busy := alotwebhook.ClaimRequest{Limit: 2, Busy: map[string]int{other.ID: 1000}}
	c := t.claimAs(busy).Deliveries
	t.finish(retry(c[0], long), failed(c[1]))
	t.setDisabled(&e, true)
	t.setDisabled(&other, true)
	time.Sleep(2 * time.Millisecond) // the next ids have a later millisecond
	since := time.Now()
	recent := t.emit("org_1", completed, 2)
	ids := idsOf(old, e)

	require.Equal(t, 3, t.discard(e, since, 3), "no more than limit")
	require.Equal(t, 1, t.discard(e, since, 3), "one was failed already")
	require.Zero(t, t.discard(e, since, 3))
	for i, id := range ids {
		if i == 1 {
			continue
		}
		d := t.delivery(id)
		require.Equal(t, alotwebhook.StateFailed, d.State)
		require.Equal(t, alotwebhook.ReasonDiscarded, d.LastReason)
		require.False(t, d.FinishedAt.IsZero())
		require.Equal(t, []int{1, 1, 0, 0, 0}[i], d.AttemptCount)
	}
	require.Equal(t, alotwebhook.ReasonStatus, t.delivery(ids[1]).LastReason, "it had failed before")
	require.Equal(t, alotwebhook.Stats{Parked: 2 + 7}, t.stats(), "the other endpoint loses nothing")

	require.Equal(t, 1, t.redeliver(ids[4]))
	t.setDisabled(&e, false)
	require.ElementsMatch(t, append(idsOf(recent, e), ids[4]), claimedIDs(t.claim(10)))
}

// The request is under way and will have an outcome, which the history must show. A
// process that was killed leaves a lease, and nobody works on its delivery any more.
func discardLeased(t *trial) {
	e := t.endpoint("org_1", completed)
	ids := idsOf(t.emit("org_1", completed, 1), e)
	c := t.claimOne()
	t.emit("org_1", completed, 1)
	t.claimOneFor(brief)
	t.setDisabled(&e, true)
	soonest := time.Now().Add(long)
	t.await("the lease runs out", func() bool { return t.discard(e, soonest, 10) == 1 })
	t.requireState(ids[0], alotwebhook.StateParked)
	t.finish(delivered(c))
	t.requireState(ids[0], alotwebhook.StateDelivered)
}

// Two people may decide at the same moment. What one of them sends, the other must not
// discard.
func discardEnabled(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	require.Zero(t, t.discard(e, time.Now().Add(long), 10))
	require.Equal(t, alotwebhook.Stats{Pending: 1}, t.statsWithoutAge())
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), e.ID))
	_, err := t.store.Discard(t.ctx(), e.ID, time.Now().Add(long), 10)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
}

func (t *trial) statsWithoutAge() alotwebhook.Stats {
	t.Helper()
	st := t.stats()
	st.OldestDue = 0
	return st
}

// An attempt may end between the reading of an endpoint and the saving of its new
// description. To write an old FailingSince back would have a healthy endpoint disabled.
func putKeepsFailingSince(t *trial) {
	failing := t.failEndpoint()
	require.False(t, failing.FailingSince.IsZero())
	edited := failing
	edited.Description, edited.FailingSince = "edited", time.Time{}
	t.put(&edited)
	require.True(t, failing.FailingSince.Equal(t.stored(failing.ID).FailingSince), "an edit does not clear it")
	edited.FailingSince = failing.FailingSince
	t.setDisabled(&edited, true)
	require.True(t, failing.FailingSince.Equal(t.stored(failing.ID).FailingSince), "disabling does not clear it")
	t.setDisabled(&edited, false)
	require.True(t, t.stored(failing.ID).FailingSince.IsZero(), "enabling clears it")
}

// Whoever disables an endpoint because it has failed since a time must learn that it has
// succeeded since.
func putFailingSinceConflict(t *trial) {
	judged := t.failEndpoint()
	judged.Disabled, judged.DisabledReason = true, alotwebhook.DisabledFailing
	t.finish(retry(t.claimOne(), 0))
	other := judged
	other.FailingSince = other.FailingSince.Add(-time.Microsecond)
	require.ErrorIs(t, t.store.PutEndpoint(t.ctx(), other), alotwebhook.ErrConflict, "it has failed since another time")
	t.finish(delivered(t.claimOne()))
	require.ErrorIs(t, t.store.PutEndpoint(t.ctx(), judged), alotwebhook.ErrConflict, "it has succeeded since")
	require.False(t, t.stored(judged.ID).Disabled)
	require.Equal(t, judged.Version, t.stored(judged.ID).Version)
	require.True(t, t.stored(judged.ID).FailingSince.IsZero())
	t.emit("org_1", completed, 1)
	t.finish(failed(t.claimOne()))
	judged.FailingSince = t.stored(judged.ID).FailingSince
	t.put(&judged)
	require.True(t, t.stored(judged.ID).Disabled, "it has failed since the time that was given")
}

// Somebody who edits a deleted endpoint must not bring it back.
func putGone(t *trial) {
	e := t.endpoint("org_1", completed)
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), e.ID))
	require.ErrorIs(t, t.store.PutEndpoint(t.ctx(), e), alotwebhook.ErrNotFound)
	_, err := t.store.Endpoint(t.ctx(), e.ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
}

// A store that reads the version and writes afterwards, without a lock or a condition,
// lets two writers win.
func putConcurrently(t *trial) {
	e := t.endpoint("org_1", completed)
	for range 5 {
		errs := make([]error, 8)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { errs[i] = t.store.PutEndpoint(t.ctx(), e) })
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
				continue
			}
			require.ErrorIs(t, err, alotwebhook.ErrConflict)
		}
		require.Equal(t, 1, won, "exactly one of 8 writers wins")
		e.Version++
	}
	stored, err := t.store.Endpoint(t.ctx(), e.ID)
	require.NoError(t, err)
	require.Equal(t, e.Version, stored.Version)
}

// The settings pages and the API respond with 404 because of this error.
func endpointNotFound(t *trial) {
	gone := newEndpoint(t, "org_1", completed)
	_, err := t.store.Endpoint(t.ctx(), gone.ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	require.ErrorIs(t, t.store.DeleteEndpoint(t.ctx(), gone.ID), alotwebhook.ErrNotFound)
	t.put(&gone)
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), gone.ID))
	require.ErrorIs(t, t.store.DeleteEndpoint(t.ctx(), gone.ID), alotwebhook.ErrNotFound)
}

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

// An owner who disables an endpoint expects no further request, even with a long backlog.
// The pages count what waits.
func disableParks(t *trial) {
	e := t.endpoint("org_1", completed)
	t.enqueue(newEvents(t, "org_1", completed, 500)...)
	c := t.claim(2)
	t.finish(retry(c[0], long), delivered(c[1]))
	t.setDisabled(&e, true)
	require.Empty(t, t.claim(10))
	require.Len(t, t.list(alotwebhook.Filter{State: alotwebhook.StateParked}), 499)
	require.Empty(t, t.list(alotwebhook.Filter{State: alotwebhook.StatePending}))
	t.requireState(c[1].DeliveryID, alotwebhook.StateDelivered)
	require.Equal(t, alotwebhook.Stats{Parked: 499}, t.stats())
}

// Retries that were waiting must not all be sent at once when the endpoint is enabled:
// its receiver has only just recovered.
func enableFrees(t *trial) {
	e := t.endpoint("org_1", completed)
	ids := idsOf(t.emit("org_1", completed, 4), e)
	c := t.claim(2)
	t.finish(retry(c[0], long), retry(c[1], brief))
	t.setDisabled(&e, true)
	ids = append(ids, idsOf(t.emit("org_1", completed, 1), e)...)
	for _, id := range ids {
		t.requireState(id, alotwebhook.StateParked)
	}
	t.setDisabled(&e, false)
	for _, id := range ids {
		t.requireState(id, alotwebhook.StatePending)
	}
	var got []string
	t.await("the four that are due are claimed", func() bool {
		got = append(got, claimedIDs(t.claim(10))...)
		return len(got) >= 4
	})
	require.ElementsMatch(t, ids[1:], got)
	require.WithinDuration(t, time.Now().Add(long), t.delivery(ids[0]).NextAttemptAt, slack, "the retry in an hour still waits")
}

// After a change of the URL or the secret, the very next attempt must use the new one.
func claimSeesChanges(t *trial) {
	e := t.endpoint("org_1", completed)
	changes := 4 * t.values // so that some value claims after a change of another
	t.enqueue(newEvents(t, "org_1", completed, 1+changes)...)
	first := t.claim(1)[0]
	for i := range changes {
		e.URL, e.Secret = fmt.Sprintf("https://example.com/new/%d", i), alotwebhook.Secret(fmt.Sprint("new", i))
		t.put(&e)
		requireSameEndpoint(t, e, *t.claim(1)[0].Endpoint)
	}
	require.EqualValues(t, 1, first.Endpoint.Version, "the endpoint of an earlier claim does not change")
}

// The history must say why these events never arrived. The endpoint's attempts cannot be
// blamed for it.
func deleteFails(t *trial) {
	e, other := t.endpoint("org_1", completed), t.endpoint("org_1", completed)
	events := t.emit("org_1", completed, 4)
	ids := idsOf(events, e)
	busy := alotwebhook.ClaimRequest{Limit: 3, Busy: map[string]int{other.ID: 1000}}
	c := t.claimAs(busy).Deliveries
	require.Equal(t, ids[:3], claimedIDs(c))
	t.finish(delivered(c[0]), retry(c[1], long)) // ids[2] stays under lease, and ids[3] is due
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), e.ID))

	t.requireState(ids[0], alotwebhook.StateDelivered)
	for i, id := range ids[1:] {
		d := t.delivery(id)
		require.Equal(t, alotwebhook.StateFailed, d.State)
		require.Equal(t, alotwebhook.ReasonEndpointDeleted, d.LastReason)
		require.False(t, d.FinishedAt.IsZero())
		require.True(t, d.NextAttemptAt.IsZero())
		require.Equal(t, []int{1, 0, 0}[i], d.AttemptCount, "the deletion is not an attempt")
		require.Len(t, d.Attempts, d.AttemptCount)
		require.Equal(t, []int{503, 0, 0}[i], d.LastStatusCode, "that of the newest attempt")
	}
	require.Len(t, t.list(alotwebhook.Filter{EndpointID: e.ID}), 4, "its history stays readable")
	require.Equal(t, idsOf(events, other), claimedIDs(t.claim(100)), "the other endpoint loses nothing")
	_, err := t.store.Endpoint(t.ctx(), e.ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	listed, _ := t.listEndpoints(alotwebhook.EndpointFilter{})
	require.Equal(t, []string{other.ID}, listed)
}

// The delivery has ended by the deletion. A late outcome must not change what the history
// says.
func deleteLeased(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOne()
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), e.ID))
	require.Equal(t, []string{c.DeliveryID}, t.lost(delivered(c)))
	t.requireState(c.DeliveryID, alotwebhook.StateFailed)
	require.Equal(t, alotwebhook.Stats{}, t.stats())
}

// A customer who deletes an endpoint expects that no more of its data goes there.
func deleteStopsFanOut(t *trial) {
	e := t.endpoint("org_1", completed)
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), e.ID))
	event := t.emit("org_1", completed, 1)[0]
	require.Empty(t, t.list(alotwebhook.Filter{}))
	require.ErrorIs(t, t.store.EnqueueTo(t.ctx(), e.ID, event), alotwebhook.ErrNotFound)
}
