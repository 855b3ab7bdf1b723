package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// failEndpoint stores an endpoint with one failed attempt, and returns it as it is then.
func (t *trial) failEndpoint() alotwebhook.Endpoint {
	t.Helper()
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	t.finish(retry(t.claimOne(), 0))
	return t.stored(e.ID)
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

// The dispatcher disables an endpoint that has failed for days, and pages show since
// when. If this changed the version, an owner who edits a failing endpoint could never
// save.
func finishFailingSince(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	stored := func() alotwebhook.Endpoint {
		t.Helper()
		got, err := t.store.Endpoint(t.ctx(), e.ID)
		require.NoError(t, err)
		require.Equal(t, e.Version, got.Version, "FailingSince does not change Version")
		return got
	}
	first := retry(t.claimOne(), 0)
	first.Attempt.StartedAt = time.Date(2026, 5, 25, 14, 23, 0, 123456000, time.UTC)
	t.finish(first)
	require.True(t, first.Attempt.StartedAt.Equal(stored().FailingSince), "FailingSince is when the first failed attempt began")
	c := t.claimOne()
	require.True(t, first.Attempt.StartedAt.Equal(c.Endpoint.FailingSince), "a claim has it, too")
	t.finish(retry(c, 0))
	require.True(t, first.Attempt.StartedAt.Equal(stored().FailingSince), "a later failure does not change it")
	c = t.claimOne()
	t.finish(release(c))
	require.False(t, stored().FailingSince.IsZero(), "a release does not change it")
	t.finish(delivered(t.claimOne()))
	require.True(t, stored().FailingSince.IsZero(), "a success clears it")
	t.emit("org_1", completed, 1)
	t.finish(failed(t.claimOne()))
	require.False(t, stored().FailingSince.IsZero(), "a failure that ends the delivery sets it, too")
	t.put(&e) // the version is still the one that was read first
}

// The dispatcher says by the state of an outcome whether it was a success. A store must not judge
// by the reason or the status code.
func finishSuccessByState(t *trial) {
	e := t.endpoint("org_1", completed)
	failing := func() bool {
		t.Helper()
		stored, err := t.store.Endpoint(t.ctx(), e.ID)
		require.NoError(t, err)
		return !stored.FailingSince.IsZero()
	}
	t.emit("org_1", completed, 1)
	t.finish(outcome(t.claimOne(), alotwebhook.StatePending, 204, ""))
	require.True(t, failing(), "a delivery that is pending again has failed")
	t.finish(outcome(t.claimOne(), alotwebhook.StateDelivered, 500, alotwebhook.ReasonStatus))
	require.False(t, failing(), "a delivery that is delivered has not")
	t.emit("org_1", completed, 2)
	c := t.claim(2)
	t.finish(outcome(c[0], alotwebhook.StateFailed, 200, ""), release(c[1]))
	require.True(t, failing(), "one that failed has")
	t.finish(outcome(t.claimOne(), alotwebhook.StateDelivered, 0, ""))
	require.False(t, failing())
}

// A fault of the host's must not have a customer's endpoint disabled.
func finishBlameless(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 2)
	claims := t.claim(2)
	again, ends := retry(claims[0], 0), failed(claims[1])
	again.Blameless, ends.Blameless = true, true
	t.finish(again, ends)
	require.True(t, t.stored(e.ID).FailingSince.IsZero(), "nobody has failed")
	require.Equal(t, 1, t.delivery(ends.DeliveryID).AttemptCount)
	require.Equal(t, alotwebhook.ReasonStatus, t.delivery(again.DeliveryID).LastReason)

	t.finish(retry(t.claimOne(), 0))
	since := t.stored(e.ID).FailingSince
	require.False(t, since.IsZero(), "now the receiver has")
	blameless := retry(t.claimOne(), 0)
	blameless.Blameless = true
	t.finish(blameless)
	require.True(t, since.Equal(t.stored(e.ID).FailingSince), "it does not heal either")
	t.finish(delivered(t.claimOne()))
	require.True(t, t.stored(e.ID).FailingSince.IsZero())

	t.emit("org_1", completed, 2)
	claims = t.claim(2)
	first, second := retry(claims[0], 0), retry(claims[1], 0)
	first.Blameless = true
	second.Attempt.StartedAt = second.Attempt.StartedAt.Add(time.Second)
	t.finish(first, second)
	require.True(t, second.Attempt.StartedAt.Equal(t.stored(e.ID).FailingSince), "of a batch, the one that is not Blameless counts")
}
