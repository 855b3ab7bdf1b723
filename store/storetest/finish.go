package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var finishRules = []rule{
	{"Ends", "StateDelivered and StateFailed end the delivery.", finishEnds},
	{"Retry", "StatePending makes the delivery due again after NextAttemptIn.", finishRetry},
	{"RetryFallsDue", "StatePending makes the delivery due again by itself after NextAttemptIn, and not before.", finishRetryFallsDue},
	{"RetryAtOnce", "With StatePending and a NextAttemptIn of zero or less, the delivery can be claimed at once.", finishRetryAtOnce},
	{"Release", "An outcome with StatePending and without an attempt is a release: the delivery is as if it had not been claimed.", finishRelease},
	{"ReleaseGoesBehind", "A released delivery is due from now on: it goes behind those that were due before.", finishReleaseGoesBehind},
	{"ReleaseLater", "A released delivery is due again after NextAttemptIn.", finishReleaseLater},
	{"Held", "With Held, a delivery stays leased under its Token for NextAttemptIn from now; its next claim counts as the first.", finishHeld},
	{"FailsWithoutAttempt", "An outcome without an attempt adds nothing to the history.", finishFailsWithoutAttempt},
	{"ReasonWithoutAttempt", "If an outcome without an attempt ends the delivery, its Reason becomes the delivery's LastReason; without one, LastReason stays.", finishReasonWithoutAttempt},
	{"Twice", "An outcome ends the lease: the same outcome again changes nothing and is lost.", finishTwice},
	{"TwiceInOneCall", "If an outcome is in a batch twice, it is stored once; the second is lost.", finishTwiceInOneCall},
	{"Unknown", "The outcome of a delivery that does not exist is lost; the others of the batch are stored.", finishUnknown},
	{"WrongToken", "An outcome changes nothing if its Token is not that of the delivery's newest claim.", finishWrongToken},
	{"KeepsAttempts", "The history keeps every field of an attempt, with times and durations to the microsecond; the oldest attempt comes first.", finishKeepsAttempts},
	{"KeepsEveryCharacter", "The texts of an attempt hold every character but NUL, and the history keeps them.", finishKeepsEveryCharacter},
	{"RefusesAsAWhole", "A batch with an outcome that the store cannot take is stored as a whole or not at all; without that outcome it is stored.", finishRefusesAsAWhole},
	{"ForgetsOldAttempts", "A delivery keeps its newest attempts, at least KeptAttempts and at most twice as many; the numbers and AttemptCount go on counting all.", finishForgetsOldAttempts},
	{"FailingSince", "A failed attempt sets FailingSince to its StartedAt if FailingSince is zero; a successful one clears it. Neither changes Version.", finishFailingSince},
	{"Blameless", "An attempt that failed and is Blameless leaves FailingSince as it is, and is in the history as any other.", finishBlameless},
	{"SuccessByState", "An attempt is successful if the outcome's State is StateDelivered, whatever its Reason and StatusCode.", finishSuccessByState},
	{"WhileDisabled", "If an endpoint is disabled during an attempt, the attempt's outcome is stored.", finishWhileDisabled},
	{"Nothing", "An empty batch of outcomes is no error.", finishNothing},
}

// The history shows when and how a delivery ended, and a finished delivery must never be
// sent again by itself.
func finishEnds(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 2)
	before := time.Now()
	c := t.claim(2)
	t.finish(delivered(c[0]), failed(c[1]))
	require.Empty(t, t.claim(10))

	ok := t.delivery(c[0].DeliveryID)
	require.Equal(t, alotwebhook.StateDelivered, ok.State)
	require.WithinDuration(t, before, ok.FinishedAt, slack)
	require.True(t, ok.NextAttemptAt.IsZero(), "NextAttemptAt is zero for a finished delivery")
	require.Equal(t, 204, ok.LastStatusCode)
	require.Empty(t, ok.LastReason)

	bad := t.delivery(c[1].DeliveryID)
	require.Equal(t, alotwebhook.StateFailed, bad.State)
	require.False(t, bad.FinishedAt.IsZero())
	require.Equal(t, 500, bad.LastStatusCode)
	require.Equal(t, alotwebhook.ReasonStatus, bad.LastReason)
	require.Equal(t, 1, bad.AttemptCount)
}

// A receiver that fails needs time to recover. The retry schedule depends on the store to
// wait.
func finishRetry(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOne()
	t.finish(retry(c, 2*long))
	require.Empty(t, t.claim(10), "the retry is due in two hours")
	d := t.delivery(c.DeliveryID)
	require.Equal(t, alotwebhook.StatePending, d.State)
	require.True(t, d.FinishedAt.IsZero())
	require.WithinDuration(t, time.Now().Add(2*long), d.NextAttemptAt, slack)
	require.Equal(t, 1, d.AttemptCount)
	require.Equal(t, 503, d.LastStatusCode)
	require.Equal(t, alotwebhook.ReasonStatus, d.LastReason)
}

// A retry must be sent by itself when its time has come, even if no other delivery is
// due.
func finishRetryFallsDue(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOne()
	before := time.Now()
	t.finish(retry(c, brief))
	again := t.awaitDue(long)
	require.GreaterOrEqual(t, time.Since(before), brief-time.Millisecond, "it was claimed before NextAttemptIn had passed")
	require.Len(t, again, 1)
	require.Equal(t, 2, again[0].Attempt)
	require.Equal(t, 2, again[0].Try)
	require.Equal(t, 1, again[0].Claims)
}

// A retry policy may ask for an immediate retry.
func finishRetryAtOnce(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	for i, in := range []time.Duration{0, -time.Second} {
		c := t.claimOne()
		require.Equal(t, i+1, c.Attempt)
		t.finish(retry(c, in))
	}
	require.Equal(t, 3, t.claimOne().Attempt)
}

// A process that shuts down gives back the deliveries that it has not sent. That must not
// use up one of their attempts.
func finishRelease(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	first := t.claimOne()
	t.finish(release(first))
	d := t.delivery(first.DeliveryID)
	require.Equal(t, alotwebhook.StatePending, d.State)
	require.Empty(t, d.Attempts, "a release adds nothing to the history")
	require.Zero(t, d.AttemptCount)
	again := t.claimOne()
	require.NotEqual(t, first.Token, again.Token)
	again.Token = first.Token
	require.Equal(t, withoutEndpoint(first), withoutEndpoint(again), "the delivery is as if it had not been claimed")
}

// withoutEndpoint returns a claim without its endpoint.
func withoutEndpoint(c alotwebhook.Claimed) alotwebhook.Claimed {
	c.Endpoint = nil
	return c
}

// A released delivery becomes due at the present, as anything that becomes due now. It gives up the
// earlier place in the line that it had.
func finishReleaseGoesBehind(t *trial) {
	e := t.endpoint("org_1", completed)
	ids := idsOf(t.emit("org_1", completed, 3), e)
	t.finish(release(t.claim(1)[0]))
	later := idsOf(t.emit("org_1", completed, 1), e)
	require.Equal(t, []string{ids[1], ids[2], ids[0], later[0]}, claimedIDs(t.claim(10)))
}

// A dispatcher may give back a delivery that cannot be sent for a while. To make it due at
// once would only have it claimed again and again.
func finishReleaseLater(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	o := release(t.claimOne())
	o.NextAttemptIn = long
	t.finish(o)
	require.Empty(t, t.claim(10))
	requireNear(t, long, t.nextIn, "the released delivery waits")
}

// A dispatcher that cannot store an outcome yet must not have the delivery sent again by
// another one, nor taken for poison.
func finishHeld(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOneFor(brief)
	again := t.awaitDue(brief)[0]
	require.Equal(t, c.DeliveryID, again.DeliveryID)
	require.Equal(t, 2, again.Claims)
	held := release(again)
	held.Held, held.NextAttemptIn = true, long
	t.finish(held)
	require.Empty(t, t.claim(10))
	requireNear(t, long, t.nextIn, "the lease was extended")
	require.Zero(t, t.redeliver(c.DeliveryID), "it is leased still")
	require.Empty(t, t.delivery(c.DeliveryID).Attempts)

	held.NextAttemptIn = brief
	t.finish(held)
	last := t.awaitDue(long)[0]
	require.Equal(t, 1, last.Claims)
	require.Equal(t, 1, last.Attempt)
	require.Equal(t, []string{c.DeliveryID}, t.lost(held), "it was claimed again")

	held.Token = last.Token
	t.finish(held)
	t.finish(delivered(last))
	require.Len(t, t.delivery(c.DeliveryID).Attempts, 1, "the outcome counts under the token that was held")
	require.Equal(t, []string{c.DeliveryID}, t.lost(held), "it has ended")
}

// A delivery may fail without a request, for example because its payload was erased. The
// history must not show a request that was never made.
func finishFailsWithoutAttempt(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOne()
	t.finish(alotwebhook.Outcome{DeliveryID: c.DeliveryID, Token: c.Token, State: alotwebhook.StateFailed})
	d := t.delivery(c.DeliveryID)
	require.Equal(t, alotwebhook.StateFailed, d.State)
	require.Empty(t, d.Attempts)
	require.Zero(t, d.AttemptCount)
	stored, err := t.store.Endpoint(t.ctx(), e.ID)
	require.NoError(t, err)
	require.True(t, stored.FailingSince.IsZero(), "nothing was attempted, so nothing failed")
}

// The history must say why a delivery ended, also if nothing was tried for it.
func finishReasonWithoutAttempt(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 4)
	c := t.claim(4)
	ends := func(c alotwebhook.Claimed, reason alotwebhook.FailureReason) {
		t.finish(alotwebhook.Outcome{DeliveryID: c.DeliveryID, Token: c.Token, State: alotwebhook.StateFailed, Attempt: alotwebhook.Attempt{Reason: reason}})
	}
	t.finish(retry(c[2], 0), retry(c[3], 0))
	again := t.claim(2)
	ends(c[0], alotwebhook.ReasonPoison)
	ends(c[1], "")
	ends(again[0], alotwebhook.ReasonPoison)
	ends(again[1], "")
	for i, want := range []alotwebhook.FailureReason{alotwebhook.ReasonPoison, "", alotwebhook.ReasonPoison, alotwebhook.ReasonStatus} {
		d := t.delivery([]string{c[0].DeliveryID, c[1].DeliveryID, again[0].DeliveryID, again[1].DeliveryID}[i])
		require.Equal(t, want, d.LastReason)
		require.Equal(t, i/2, d.AttemptCount)
		require.Len(t, d.Attempts, i/2)
		require.Equal(t, []int{0, 503}[i/2], d.LastStatusCode, "that of the newest attempt")
	}
}

// If the connection breaks during a commit, the dispatcher repeats the outcomes. The
// attempt must not appear twice in the history.
func finishTwice(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 2)
	c := t.claim(2)
	outcomes := []alotwebhook.Outcome{delivered(c[0]), retry(c[1], 0)}
	t.finish(outcomes...)
	require.ElementsMatch(t, claimedIDs(c), t.lost(outcomes...))
	require.Len(t, t.delivery(c[0].DeliveryID).Attempts, 1)
	require.Len(t, t.delivery(c[1].DeliveryID).Attempts, 1)
	require.Equal(t, c[1].DeliveryID, t.claimOne().DeliveryID)
}

// A store that writes a batch with one statement must not store the attempt twice, or
// fail all of the batch.
func finishTwiceInOneCall(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOne()
	require.Equal(t, []string{c.DeliveryID}, t.lost(delivered(c), delivered(c)))
	d := t.delivery(c.DeliveryID)
	require.Equal(t, alotwebhook.StateDelivered, d.State)
	require.Len(t, d.Attempts, 1)
}

// A delivery may have been purged, or deleted by hand, before its outcome comes. One such outcome
// must not prevent the others of the batch from being stored.
func finishUnknown(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOne()
	unknown := c
	unknown.DeliveryID = alotwebhook.DeliveryID(newEvent(t, "org_1", completed).ID, e.ID)
	require.Equal(t, []string{unknown.DeliveryID}, t.lost(delivered(unknown), delivered(c)))
	t.requireState(c.DeliveryID, alotwebhook.StateDelivered)
}

// The store must compare the token itself, and not only whether the delivery is under
// lease.
func finishWrongToken(t *trial) {
	e := t.endpoint("org_1", completed)
	unclaimed := idsOf(t.emit("org_1", completed, 1), e)[0]
	zero := alotwebhook.Claimed{DeliveryID: unclaimed, Attempt: 1}
	require.Equal(t, []string{unclaimed}, t.lost(delivered(zero)), "the delivery was never claimed")
	c := t.claimOne()
	wrong := c
	wrong.Token++
	require.Equal(t, []string{unclaimed}, t.lost(delivered(wrong), delivered(zero))[:1])
	t.requireState(unclaimed, alotwebhook.StatePending)
	t.finish(delivered(c))
}

// When an endpoint is disabled, requests to it may be under way and will have outcomes. To lose one
// would mean to send the event again once the endpoint is enabled.
func finishWhileDisabled(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 2)
	c := t.claim(2)
	t.setDisabled(&e, true)
	t.finish(delivered(c[0]), retry(c[1], 0))
	t.requireState(c[0].DeliveryID, alotwebhook.StateDelivered)
	t.requireState(c[1].DeliveryID, alotwebhook.StateParked)
	require.Empty(t, t.claim(10))
	t.setDisabled(&e, false)
	require.Equal(t, 2, t.claimOne().Attempt)
}

// A caller need not check for an empty batch.
func finishNothing(t *trial) {
	require.Empty(t, t.lost())
}
