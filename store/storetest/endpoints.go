package storetest

import (
	"fmt"
	"math"
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
	{"Failing", "Failing selects the enabled endpoints whose FailingSince is not zero, Disabled those that are disabled; with both, either will do.", endpointsFailingOrDisabled},
	{"URLPart", "URLPart selects the endpoints whose URL has that part, wherever it stands; ASCII letters match in either case, and no others.", endpointsByURLPart},
	{"URLPartLiteral", "Every character of URLPart stands for itself.", endpointsByLiteralPart},
	{"FiltersTogether", "An endpoint has to match all fields of the filter.", endpointFiltersTogether},
	{"FilterPages", "A page of few endpoints among many that do not match is full.", endpointFilterPages},
	{"DisableParks", "Disabling parks the endpoint's pending deliveries; it takes effect at once.", disableParks},
	{"EnableFrees", "Enabling makes the parked deliveries pending again, with the due times that they had.", enableFrees},
	{"Discard", "Discard fails parked deliveries of events before a time with ReasonDiscarded, which is not an attempt, and leaves all others.", discard},
	{"DiscardLeased", "Discard leaves a delivery that is leased, and takes one whose lease has run out.", discardLeased},
	{"DiscardLimit", "Discard fails up to limit deliveries, none if that is 0 or less, and all if it is the largest number.", discardLimit},
	{"DiscardEnabled", "Discard fails nothing while the endpoint is enabled, and returns ErrNotFound if it is gone.", discardEnabled},
	{"Credentials", "PutEndpoint replaces the credentials, also by none, and nothing is left of them after DeleteEndpoint.", putClears},
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
	require.Equal(t, string(want.Credentials), string(got.Credentials), "the credentials are kept as they are")
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
	e.URLs = 7
	e.URL, e.Description = "https://example.com:8443/p%20q?x=1&y='2'", `Jane's "ATS" \ 日本`
	e.Secret, e.NextSecret = "v1.sealed/+==\x01\x7f 😀", "\n second \t"
	e.Credentials = "{\"headers\":[\"X-Jane's\"],\n\"sealed\":\"\\\\ é 😀 \x01\x7f\"} \t"
	e.NextSecretAt = time.Date(2031, 1, 2, 3, 4, 5, 678901000, time.UTC)
	e.Rate, e.Ordered, e.Warned, e.PayloadVersion = 0.1, true, 2, "2026-11-29_b.c"
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
	other := newEndpoint(t, "org_1", completed)
	other.Credentials = "of the other"
	t.put(&other)
	e.URL, e.EventTypes, e.Secret, e.Description = "https://example.com/new", []string{invited}, "new", "new"
	e.Rate, e.Warned, e.Credentials, e.PayloadVersion = 10_000, 1, "new", "1"
	t.put(&e)
	e.UpdatedAt = e.UpdatedAt.Add(time.Minute)
	t.put(&e)
	require.EqualValues(t, 3, e.Version)
	stored, err := t.store.Endpoint(t.ctx(), e.ID)
	require.NoError(t, err)
	requireSameEndpoint(t, e, stored)
	requireSameEndpoint(t, other, t.stored(other.ID))
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

// stored returns an endpoint as it is stored.
func (t *trial) stored(id string) alotwebhook.Endpoint {
	t.Helper()
	e, err := t.store.Endpoint(t.ctx(), id)
	require.NoError(t, err)
	return e
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

// The settings pages and the API respond with 404 because of ErrNotFound.
func endpointNotFound(t *trial) {
	gone := newEndpoint(t, "org_1", completed)
	_, err := t.store.Endpoint(t.ctx(), gone.ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	require.ErrorIs(t, t.store.DeleteEndpoint(t.ctx(), gone.ID), alotwebhook.ErrNotFound)
	t.put(&gone)
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), gone.ID))
	require.ErrorIs(t, t.store.DeleteEndpoint(t.ctx(), gone.ID), alotwebhook.ErrNotFound)
}

// Credentials that were given up must be gone: ” is a value like any other.
func putClears(t *trial) {
	e := newEndpoint(t, "org_1", completed)
	e.Credentials = "given"
	t.put(&e)
	e.Credentials = ""
	t.put(&e)
	requireSameEndpoint(t, e, t.stored(e.ID))
	e.Credentials = "given again"
	t.put(&e)
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), e.ID))
	e.Version, e.Credentials = 0, ""
	t.put(&e)
	requireSameEndpoint(t, e, t.stored(e.ID))
}

// After a change of the URL or the secret, the very next attempt must use the new one.
func claimSeesChanges(t *trial) {
	e := t.endpoint("org_1", completed)
	changes := 4 * t.values // so that some value claims after a change of another
	t.enqueue(newEvents(t, "org_1", completed, 1+changes)...)
	first := t.claim(1)[0]
	for i := range changes {
		e.URL, e.Secret = fmt.Sprintf("https://example.com/new/%d", i), alotwebhook.Secret(fmt.Sprint("new", i))
		e.PayloadVersion = fmt.Sprint("v", i)
		e.Credentials = e.Secret + " of the headers"
		t.put(&e)
		requireSameEndpoint(t, e, *t.claim(1)[0].Endpoint)
	}
	require.EqualValues(t, 1, first.Endpoint.Version, "the endpoint of an earlier claim does not change")
}

// Whoever discards in pages may compute what is left to be done.
func discardLimit(t *trial) {
	e := t.endpoint("org_1", completed)
	t.setDisabled(&e, true)
	t.emit("org_1", completed, 6)
	for _, c := range []struct{ limit, want int }{{0, 0}, {-1, 0}, {math.MinInt, 0}, {2, 2}, {1, 1}, {math.MaxInt, 3}, {math.MaxInt32, 0}} {
		n, err := t.store.Discard(t.ctx(), e.ID, time.Now().Add(time.Hour), c.limit)
		require.NoError(t, err)
		require.Equal(t, c.want, n, "with the limit %d", c.limit)
	}
}
