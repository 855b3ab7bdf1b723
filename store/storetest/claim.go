package storetest

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var claimRules = []rule{
	{"CarriesAll", "A claim carries all that an attempt needs: ids, type, payload, endpoint with its secrets, and a token that is not 0.", carriesAll},
	{"Limit", "Never more than Limit in all.", claimLimit},
	{"PerEndpoint", "Of one endpoint never more than PerEndpoint − Busy[its id].", claimPerEndpoint},
	{"BusyExcludes", "A value of PerEndpoint or more in Busy excludes the endpoint.", busyExcludes},
	{"BusyUnknown", "Busy may hold endpoints that have nothing due, or that are gone.", busyUnknown},
	{"OldestFirst", "Within an endpoint, those due longest first.", oldestFirst},
	{"OldestFirstWithRetries", "Within an endpoint, those due longest first: a retry counts from when it fell due.", oldestFirstWithRetries},
	{"NotDisabled", "Claim leases deliveries of endpoints that are not disabled.", notDisabled},
	{"NothingDue", "NextIn is 0 when no delivery waits.", nothingDue},
	{"NextIn", "NextIn is how long until the next delivery falls due that is not due yet, leased ones included.", nextIn},
	{"NextInNotForDisabled", "NextIn counts deliveries of enabled endpoints.", nextInNotForDisabled},
	{"NextInNotForSlots", "Deliveries that are due but were left for want of a slot do not count for NextIn.", nextInNotForSlots},
}

func carriesAll(t *trial) {
	e := newEndpoint(t, "org_1", completed)
	e.Secret, e.NextSecret = "sealed:v1:AAEC/+==\n\"'\\ é 😀", alotwebhook.Secret([]byte("第二の秘密 \u0001\u007f"))
	e.NextSecretAt = time.Date(2030, 1, 2, 3, 4, 5, 678901000, time.UTC)
	t.put(&e)
	event := newEvent(t, "org_1", completed)
	t.enqueue(event)
	c := t.claimOne()
	require.NotZero(t, c.Token)
	require.Equal(t, alotwebhook.Claimed{
		DeliveryID: alotwebhook.DeliveryID(event.ID, e.ID), Token: c.Token,
		Attempt: 1, Try: 1, Claims: 1,
		EventID: event.ID, EventType: completed, Payload: event.Payload(), Endpoint: c.Endpoint,
	}, c)
	requireSameEndpoint(t, e, *c.Endpoint)
}

func claimLimit(t *trial) {
	t.endpoint("org_1", completed)
	t.endpoint("org_1", completed)
	t.enqueue(newEvents(t, "org_1", completed, 5)...)
	var seen []string
	for _, want := range []int{3, 1, 4, 2, 0} { // of ten
		got := claimedIDs(t.claim(max(want, 1)))
		require.Len(t, got, want)
		seen = append(seen, got...)
	}
	slices.Sort(seen)
	require.Len(t, slices.Compact(seen), 10, "no delivery is claimed twice")
}

func claimPerEndpoint(t *trial) {
	a, b, c := t.endpoint("org_1", completed), t.endpoint("org_1", completed), t.endpoint("org_1", completed)
	t.enqueue(newEvents(t, "org_1", completed, 10)...)
	got := t.claimAs(alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 4, Busy: map[string]int{a.ID: 1, b.ID: 3}})
	require.Equal(t, map[string]int{a.ID: 3, b.ID: 1, c.ID: 4}, perEndpoint(got.Deliveries))
}

func busyExcludes(t *trial) {
	a, b, c := t.endpoint("org_1", completed), t.endpoint("org_1", completed), t.endpoint("org_1", completed)
	t.enqueue(newEvents(t, "org_1", completed, 3)...)
	got := t.claimAs(alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 4, Busy: map[string]int{a.ID: 4, b.ID: 7}})
	require.Equal(t, map[string]int{c.ID: 3}, perEndpoint(got.Deliveries))
	require.Len(t, t.claim(100), 6, "they come once their endpoints have slots")
}

func busyUnknown(t *trial) {
	t.endpoint("org_1", completed)
	idle, gone := t.endpoint("org_2", completed), newEndpoint(t, "org_3", completed)
	t.emit("org_1", completed, 1)
	got := t.claimAs(alotwebhook.ClaimRequest{Limit: 10, PerEndpoint: 4, Busy: map[string]int{idle.ID: 2, gone.ID: 9}})
	require.Len(t, got.Deliveries, 1)
}

func oldestFirst(t *trial) {
	e := t.endpoint("org_1", completed)
	want := idsOf(t.emit("org_1", completed, 12), e)
	var got []string
	for range 4 {
		got = append(got, claimedIDs(t.claim(3))...)
	}
	require.Equal(t, want, got)
}

func oldestFirstWithRetries(t *trial) {
	e := t.endpoint("org_1", completed)
	first := idsOf(t.emit("org_1", completed, 1), e)
	t.finish(retry(t.claimOne(), brief))
	t.await("the retry is due", func() bool { return t.stats().OldestDue > 0 })
	later := idsOf(t.emit("org_1", completed, 2), e)
	require.Equal(t, append(first, later...), claimedIDs(t.claim(10)))
}

func notDisabled(t *trial) {
	a, b := t.endpoint("org_1", completed), t.endpoint("org_1", completed)
	t.emit("org_1", completed, 2)
	t.setDisabled(&a, true)
	require.Equal(t, map[string]int{b.ID: 2}, perEndpoint(t.claim(10)))
}

func nothingDue(t *trial) {
	require.Zero(t, t.claimAs(alotwebhook.ClaimRequest{Limit: 10}).NextIn)
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	t.finish(delivered(t.claimOne()))
	result := t.claimAs(alotwebhook.ClaimRequest{Limit: 10})
	require.Empty(t, result.Deliveries)
	require.Zero(t, result.NextIn)
}

func nextIn(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 2)
	first := t.claimAs(alotwebhook.ClaimRequest{Limit: 1, Lease: 3 * time.Hour})
	requireNear(t, 3*time.Hour, first.NextIn, "the lease just taken counts")
	second := t.claimAs(alotwebhook.ClaimRequest{Limit: 1, Lease: 4 * time.Hour})
	requireNear(t, 3*time.Hour, second.NextIn, "the older lease runs out first")
	t.finish(retry(second.Deliveries[0], 2*time.Hour))
	requireNear(t, 2*time.Hour, t.claimAs(alotwebhook.ClaimRequest{Limit: 1}).NextIn, "the retry is due first")
	t.finish(delivered(first.Deliveries[0]))
	requireNear(t, 2*time.Hour, t.claimAs(alotwebhook.ClaimRequest{Limit: 1}).NextIn, "the retry is due next")
}

// requireNear allows for the time that passes between two calls.
func requireNear(t *trial, want, got time.Duration, why string) {
	t.Helper()
	require.LessOrEqual(t, got, want+time.Second, why)
	require.Greater(t, got, want-slack, why)
}

func nextInNotForDisabled(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	t.finish(retry(t.claimOne(), 2*time.Hour))
	t.setDisabled(&e, true)
	require.Zero(t, t.claimAs(alotwebhook.ClaimRequest{Limit: 1}).NextIn)
	t.setDisabled(&e, false)
	requireNear(t, 2*time.Hour, t.claimAs(alotwebhook.ClaimRequest{Limit: 1}).NextIn, "it waits again")
}

func nextInNotForSlots(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 3)
	c := alotwebhook.ClaimRequest{Limit: 10, PerEndpoint: 2, Busy: map[string]int{e.ID: 2}}
	require.Zero(t, t.claimAs(c).NextIn)
	c.Busy[e.ID] = 1
	requireNear(t, long, t.claimAs(c).NextIn, "only the lease counts")
}
