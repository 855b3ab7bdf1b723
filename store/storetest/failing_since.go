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
