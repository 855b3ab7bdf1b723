package storetest

import (
	"math"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var claimRules = []rule{
	{"CarriesAll", "A claim has everything that an attempt needs: ids, type, payload, endpoint with its secrets, and a token that is not 0.", carriesAll},
	{"Limit", "A claim returns at most Limit deliveries.", claimLimit},
	{"PerEndpoint", "A claim returns at most PerEndpoint − Busy[id] deliveries of an endpoint that Busy names.", claimPerEndpoint},
	{"BusyExcludes", "If Busy[id] is PerEndpoint or more, a claim returns no deliveries of the endpoint.", busyExcludes},
	{"BusyUnknown", "Busy may name endpoints without due deliveries, and deleted ones.", busyUnknown},
	{"Unlisted", "A claim returns at most Unlisted deliveries of an endpoint that Busy lacks, and none if that is negative.", unlistedEndpoints},
	{"Withheld", "A claim returns no deliveries of the endpoints of a withheld organization, and hides nobody behind them.", withheldOrganizations},
	{"OldestFirst", "The deliveries of an endpoint are claimed in the order of their due times.", oldestFirst},
	{"OldestFirstWithRetries", "The deliveries of an endpoint are claimed in the order of their due times, retries included.", oldestFirstWithRetries},
	{"NotDisabled", "A claim returns no deliveries of disabled endpoints.", notDisabled},
	{"NoLimit", "A claim with a Limit of 0 or less returns nothing.", claimNoLimit},
	{"NothingDue", "NextIn is 0 if a claim returned nothing and no delivery will fall due.", nothingDue},
	{"NextIn", "If a claim returned nothing, NextIn is the time until the next delivery falls due, among those that are not due yet; the end of a lease counts.", nextIn},
	{"NextInNotForDisabled", "NextIn does not count deliveries of disabled endpoints.", nextInNotForDisabled},
	{"NextInNotForSlots", "NextIn does not count deliveries that are due but lack a free slot.", nextInNotForSlots},
}

// The dispatcher sends a delivery with nothing but its claim: it makes no further query
// for each attempt.
func carriesAll(t *trial) {
	e := newEndpoint(t, "org_1", completed)
	e.Secret, e.NextSecret = "sealed:v1:AAEC/+==\n\"'\\ é 😀", alotwebhook.Secret([]byte("第二の秘密 \u0001\u007f"))
	e.Credentials = "{\"sealed\":\"é \\n 😀\"}\n"
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

// An endpoint that nothing is known of begins with a few attempts at once. When slots are
// scarce, it gets none.
func unlistedEndpoints(t *trial) {
	a, b, c := t.endpoint("org_1", completed), t.endpoint("org_1", completed), t.endpoint("org_1", completed)
	t.enqueue(newEvents(t, "org_1", completed, 10)...)
	request := alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 4, Busy: map[string]int{a.ID: 1}, Unlisted: 2}
	require.Equal(t, map[string]int{a.ID: 3, b.ID: 2, c.ID: 2}, perEndpoint(t.claimAs(request).Deliveries))
	request.Unlisted = -1
	require.Equal(t, map[string]int{a.ID: 3}, perEndpoint(t.claimAs(request).Deliveries))
	request.Unlisted = 0
	require.Equal(t, map[string]int{a.ID: 3, b.ID: 4, c.ID: 4}, perEndpoint(t.claimAs(request).Deliveries), "0 stands for PerEndpoint")
}

// An organization with many slow receivers must not keep the others waiting, however many
// endpoints it has. A store may learn an endpoint's organization by claiming: so each has
// been claimed from before.
func withheldOrganizations(t *trial) {
	for range 40 {
		t.endpoint("org_slow", completed)
	}
	t.enqueue(newEvents(t, "org_slow", completed, 10)...)
	other := t.endpoint("org_other", completed)
	t.enqueue(newEvents(t, "org_other", completed, 5)...)
	require.Len(t, perEndpoint(t.claimAs(alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 1}).Deliveries), 41)

	withheld := alotwebhook.ClaimRequest{Limit: 10, PerEndpoint: 100, Withheld: map[string]bool{"org_slow": true, "org_gone": true}}
	require.Equal(t, map[string]int{other.ID: 4}, perEndpoint(t.claimAs(withheld).Deliveries))
	require.Empty(t, t.claimAs(withheld).Deliveries)
	require.Len(t, t.claim(1000), 40*9, "they come once the organization is withheld no more")
}

// Limit is the number of free slots. A delivery beyond it would wait in memory while its
// lease runs out.
func claimLimit(t *trial) {
	t.endpoint("org_1", completed)
	t.endpoint("org_1", completed)
	t.enqueue(newEvents(t, "org_1", completed, 5)...)
	var seen []string
	for _, want := range []int{3, 1, 4, 2, 0} { // ten in all
		got := claimedIDs(t.claim(max(want, 1)))
		require.Len(t, got, want)
		seen = append(seen, got...)
	}
	slices.Sort(seen)
	require.Len(t, slices.Compact(seen), 10, "no delivery is claimed twice")
}

// A receiver must not get more requests at the same time than the host has configured,
// however many processes send.
func claimPerEndpoint(t *trial) {
	a, b, c := t.endpoint("org_1", completed), t.endpoint("org_1", completed), t.endpoint("org_1", completed)
	t.enqueue(newEvents(t, "org_1", completed, 10)...)
	got := t.claimAs(alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 4, Busy: map[string]int{a.ID: 1, b.ID: 3}})
	require.Equal(t, map[string]int{a.ID: 3, b.ID: 1, c.ID: 4}, perEndpoint(got.Deliveries))
}

// A dispatcher withholds all slots of an endpoint while its receiver asks for a pause.
func busyExcludes(t *trial) {
	a, b, c := t.endpoint("org_1", completed), t.endpoint("org_1", completed), t.endpoint("org_1", completed)
	t.enqueue(newEvents(t, "org_1", completed, 3)...)
	got := t.claimAs(alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 4, Busy: map[string]int{a.ID: 4, b.ID: 7}})
	require.Equal(t, map[string]int{c.ID: 3}, perEndpoint(got.Deliveries))
	require.Len(t, t.claim(100), 6, "the others can be claimed once their endpoints have slots")
}

// An endpoint may be deleted while its attempts are under way. The dispatcher still
// reports its slots as busy.
func busyUnknown(t *trial) {
	t.endpoint("org_1", completed)
	idle, gone := t.endpoint("org_2", completed), newEndpoint(t, "org_3", completed)
	t.emit("org_1", completed, 1)
	got := t.claimAs(alotwebhook.ClaimRequest{Limit: 10, PerEndpoint: 4, Busy: map[string]int{idle.ID: 2, gone.ID: 9}})
	require.Len(t, got.Deliveries, 1)
}

// Without this order, an event could wait as long as newer ones keep coming. It is no
// promise of order to receivers, because several deliveries are sent at the same time.
func oldestFirst(t *trial) {
	e := t.endpoint("org_1", completed)
	want := idsOf(t.emit("org_1", completed, 12), e)
	var got []string
	for range 4 {
		got = append(got, claimedIDs(t.claim(3))...)
	}
	require.Equal(t, want, got)
}

// A retry that always came after newer events would never be sent to a busy endpoint. One
// that came before older ones would overtake them.
func oldestFirstWithRetries(t *trial) {
	e := t.endpoint("org_1", completed)
	first := idsOf(t.emit("org_1", completed, 1), e)
	t.finish(retry(t.claimOne(), brief))
	t.await("the retry is due", func() bool { return t.stats().OldestDueFailing > 0 })
	later := idsOf(t.emit("org_1", completed, 2), e)
	require.Equal(t, append(first, later...), claimedIDs(t.claim(10)))
}

// A disabled endpoint must not get any request.
func notDisabled(t *trial) {
	a, b := t.endpoint("org_1", completed), t.endpoint("org_1", completed)
	t.emit("org_1", completed, 2)
	t.setDisabled(&a, true)
	require.Equal(t, map[string]int{b.ID: 2}, perEndpoint(t.claim(10)))
}

// The dispatcher takes NextIn for the time of its next claim. With a wrong one it would
// wake up without need.
func nothingDue(t *trial) {
	require.Zero(t, t.claimAs(alotwebhook.ClaimRequest{Limit: 10}).NextIn)
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	t.finish(delivered(t.claimOne()))
	result := t.claimAs(alotwebhook.ClaimRequest{Limit: 10})
	require.Empty(t, result.Deliveries)
	t.requireNothingNext(result.NextIn)
}

// requireNothingNext requires that a NextIn says that nothing will fall due. One of several
// values may come again all the same.
func (t *trial) requireNothingNext(in time.Duration) {
	t.Helper()
	if t.values == 1 {
		require.Zero(t, in)
	}
}

// The dispatcher sleeps for NextIn. With a NextIn that is too long, a retry or the
// takeover from a crashed process would be late.
func nextIn(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 2)
	first := t.claimAs(alotwebhook.ClaimRequest{Limit: 1, Lease: 3 * time.Hour}).Deliveries[0]
	second := t.claimAs(alotwebhook.ClaimRequest{Limit: 1, Lease: 4 * time.Hour}).Deliveries[0]
	requireNear(t, 3*time.Hour, t.nextIn, "the older lease runs out first")
	t.finish(retry(second, 2*time.Hour))
	requireNear(t, 2*time.Hour, t.nextIn, "the retry is due first")
	t.finish(delivered(first))
	requireNear(t, 2*time.Hour, t.nextIn, "the retry is due next")
	t.emit("org_1", completed, 1)
	t.claimAs(alotwebhook.ClaimRequest{Limit: 10, Lease: time.Hour})
	requireNear(t, time.Hour, t.nextIn, "the newest lease runs out first")
}

// nextIn makes a claim that must return nothing, and returns its NextIn.
func (t *trial) nextIn() time.Duration {
	t.Helper()
	result := t.claimAs(alotwebhook.ClaimRequest{Limit: 1})
	require.Empty(t, result.Deliveries)
	return result.NextIn
}

// requireNear requires that the next claim comes in want, or a little sooner, since time passes between
// two calls. One of several values may come again sooner, to hand on or to take over. While they do so,
// none may know of a next one for a moment; a dispatcher claims again all the same.
func requireNear(t *trial, want time.Duration, next func() time.Duration, why string) {
	t.Helper()
	got := next()
	for tries := 1; t.values > 1 && got == 0 && tries < 100; tries++ {
		time.Sleep(10 * time.Millisecond)
		got = next()
	}
	require.LessOrEqual(t, got, want+time.Second, why)
	if t.values > 1 {
		want = slack
	}
	require.Greater(t, got, want-slack, why)
}

// A retry of a disabled endpoint will not be claimed when it falls due. A dispatcher that
// waited for it would wake up for nothing, again and again.
func nextInNotForDisabled(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	t.finish(retry(t.claimOne(), 2*time.Hour))
	t.setDisabled(&e, true)
	t.requireNothingNext(t.nextIn())
	t.setDisabled(&e, false)
	requireNear(t, 2*time.Hour, t.nextIn, "it waits again")
}

// A delivery that lacks a slot becomes claimable when an attempt ends, and not after some
// time. A NextIn of nearly 0 would make the dispatcher claim in a busy loop.
func nextInNotForSlots(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 3)
	c := alotwebhook.ClaimRequest{Limit: 10, PerEndpoint: 2, Busy: map[string]int{e.ID: 2}}
	t.requireNothingNext(t.claimAs(c).NextIn)
	c.Busy[e.ID] = 1
	require.Len(t, t.claimAs(c).Deliveries, 1)
	c.Busy[e.ID] = 2
	requireNear(t, long, func() time.Duration { return t.claimAs(c).NextIn }, "only the lease counts")
}

// Whoever computes a Limit may get a negative one.
func claimNoLimit(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 3)
	for _, limit := range []int{0, -1, math.MinInt} {
		require.Empty(t, t.claimAs(alotwebhook.ClaimRequest{Limit: limit}).Deliveries)
	}
	require.Len(t, t.claimAs(alotwebhook.ClaimRequest{Limit: math.MaxInt}).Deliveries, 3)
}
