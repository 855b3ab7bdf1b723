package storetest

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

const (
	completed = "candidate.completed"
	invited   = "candidate.invited"

	// long is a lease or a wait that never ends during a test.
	long = time.Hour
	// brief is a lease or a wait whose end a test waits for.
	brief = 100 * time.Millisecond
	// slack is how far a time may be off for all that happened in between: enough
	// for any machine, and nothing beside the hours that leases and waits have.
	slack = 10 * time.Minute
)

// patience bounds every wait, so that a slow machine passes and a broken store
// ends: half of the time that the tests still have, and at most ten minutes.
func (t *trial) patience() time.Duration {
	if deadline, ok := t.Deadline(); ok {
		return min(slack, time.Until(deadline)/2)
	}
	return slack
}

// trial is the test of one rule, with its store. Most methods call a method of the store,
// and fail the test on an error.
type trial struct {
	*testing.T
	store  alotwebhook.Store
	values int             // how many Store values store consists of
	host   Host            // in RunTx; its Store is store
	bound  context.Context // in RunTx, where a call may wait for the test itself; otherwise nil
}

func (t *trial) ctx() context.Context {
	if t.bound != nil {
		return t.bound
	}
	return t.Context()
}

// endpoint stores a new endpoint.
func (t *trial) endpoint(org string, eventTypes ...string) alotwebhook.Endpoint {
	t.Helper()
	e := newEndpoint(t, org, eventTypes...)
	t.put(&e)
	return e
}

// newEndpoint returns an endpoint that is not stored.
func newEndpoint(tb testing.TB, org string, eventTypes ...string) alotwebhook.Endpoint {
	tb.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	return alotwebhook.Endpoint{
		ID:             "wh_" + newSuffix(tb),
		OrganizationID: org,
		URL:            "https://example.com/alot",
		EventTypes:     eventTypes,
		Secret:         "It's a Secret to Everybody",
		CreatedAt:      now,
		UpdatedAt:      now,
	}
}

// put stores e and adds one to its version, as the store does.
func (t *trial) put(e *alotwebhook.Endpoint) {
	t.Helper()
	require.NoError(t, t.store.PutEndpoint(t.ctx(), *e))
	e.Version++
}

func (t *trial) setDisabled(e *alotwebhook.Endpoint, disabled bool) {
	t.Helper()
	e.Disabled, e.DisabledReason = disabled, ""
	if disabled {
		e.DisabledReason = alotwebhook.DisabledByUser
	}
	t.put(e)
}

// newSuffix returns a new TypeID without its prefix. It is greater than all before it.
func newSuffix(tb testing.TB) string {
	tb.Helper()
	event, err := alotwebhook.NewEvent(completed, "org", json.RawMessage(`{}`))
	require.NoError(tb, err)
	return strings.TrimPrefix(event.ID, "evt_")
}

func newEvent(tb testing.TB, org, eventType string) alotwebhook.Event {
	tb.Helper()
	event, err := alotwebhook.NewEvent(eventType, org, json.RawMessage(`{"score":82}`))
	require.NoError(tb, err)
	return event
}

func newEvents(tb testing.TB, org, eventType string, n int) []alotwebhook.Event {
	tb.Helper()
	events := make([]alotwebhook.Event, n)
	for i := range events {
		events[i] = newEvent(tb, org, eventType)
	}
	return events
}

func (t *trial) enqueue(events ...alotwebhook.Event) {
	t.Helper()
	require.NoError(t, t.store.Enqueue(t.ctx(), events))
}

// emit stores n new events, each in a call of its own, so that they are due in this order.
func (t *trial) emit(org, eventType string, n int) []alotwebhook.Event {
	t.Helper()
	events := newEvents(t, org, eventType, n)
	for _, event := range events {
		t.enqueue(event)
	}
	return events
}

// claim claims up to limit deliveries with a long lease.
func (t *trial) claim(limit int) []alotwebhook.Claimed {
	t.Helper()
	return t.claimAs(alotwebhook.ClaimRequest{Limit: limit}).Deliveries
}

// claimAs claims with c. PerEndpoint and Lease have defaults.
func (t *trial) claimAs(c alotwebhook.ClaimRequest) alotwebhook.ClaimResult {
	t.Helper()
	if c.PerEndpoint == 0 {
		c.PerEndpoint = 1000
	}
	if c.Lease == 0 {
		c.Lease = long
	}
	result, err := t.store.Claim(t.ctx(), c)
	require.NoError(t, err)
	return result
}

// claimOne claims with a long lease. Exactly one delivery must be due.
func (t *trial) claimOne() alotwebhook.Claimed {
	t.Helper()
	return t.claimOneFor(long)
}

// claimOneFor is claimOne with another lease.
func (t *trial) claimOneFor(lease time.Duration) alotwebhook.Claimed {
	t.Helper()
	got := t.claimAs(alotwebhook.ClaimRequest{Limit: 100, Lease: lease}).Deliveries
	require.Len(t, got, 1, "exactly one delivery is due")
	return got[0]
}

// awaitDue claims again and again until a delivery is due.
func (t *trial) awaitDue(lease time.Duration) []alotwebhook.Claimed {
	t.Helper()
	var got []alotwebhook.Claimed
	t.await("a delivery falls due by itself", func() bool {
		got = t.claimAs(alotwebhook.ClaimRequest{Limit: 100, Lease: lease}).Deliveries
		return len(got) > 0
	})
	return got
}

// await calls ok until it returns true, and fails after patience.
func (t *trial) await(what string, ok func() bool) {
	t.Helper()
	patience := t.patience()
	for deadline := time.Now().Add(patience); !ok(); {
		require.True(t, time.Now().Before(deadline), "waited %v in vain: %s", patience, what)
		time.Sleep(5 * time.Millisecond) // nothing tells when it is true, so this polls
	}
}

// finish stores outcomes. None may be lost.
func (t *trial) finish(outcomes ...alotwebhook.Outcome) {
	t.Helper()
	require.Empty(t, t.lost(outcomes...), "no outcome may be lost: each has the token of the newest claim")
}

// lost stores outcomes, and returns the ids of those that are lost.
func (t *trial) lost(outcomes ...alotwebhook.Outcome) []string {
	t.Helper()
	lost, err := t.store.Finish(t.ctx(), outcomes)
	require.NoError(t, err)
	return lost
}

func delivered(c alotwebhook.Claimed) alotwebhook.Outcome {
	return outcome(c, alotwebhook.StateDelivered, 204, "")
}

func failed(c alotwebhook.Claimed) alotwebhook.Outcome {
	return outcome(c, alotwebhook.StateFailed, 500, alotwebhook.ReasonStatus)
}

// retry returns the outcome of a failed attempt after which another is due.
func retry(c alotwebhook.Claimed, in time.Duration) alotwebhook.Outcome {
	o := outcome(c, alotwebhook.StatePending, 503, alotwebhook.ReasonStatus)
	o.NextAttemptIn = in
	return o
}

// release returns the outcome that gives a delivery back without an attempt.
func release(c alotwebhook.Claimed) alotwebhook.Outcome {
	return alotwebhook.Outcome{DeliveryID: c.DeliveryID, Token: c.Token, State: alotwebhook.StatePending}
}

func outcome(c alotwebhook.Claimed, state alotwebhook.DeliveryState, status int, reason alotwebhook.FailureReason) alotwebhook.Outcome {
	return alotwebhook.Outcome{
		DeliveryID: c.DeliveryID,
		Token:      c.Token,
		State:      state,
		Attempt: alotwebhook.Attempt{
			Number:     c.Attempt,
			StartedAt:  time.Now().UTC().Truncate(time.Microsecond),
			Duration:   12 * time.Millisecond,
			StatusCode: status,
			Reason:     reason,
		},
	}
}

func (t *trial) delivery(id string) alotwebhook.Delivery {
	t.Helper()
	d, err := t.store.Delivery(t.ctx(), id)
	require.NoError(t, err)
	return d
}

// requireState requires that a delivery has a state.
func (t *trial) requireState(id string, want alotwebhook.DeliveryState) {
	t.Helper()
	require.Equal(t, want, t.delivery(id).State, "the state of %s", id)
}

// endless is a number of pages that no listing in these tests has.
const endless = 5000

// list returns the deliveries that match f, from all pages.
func (t *trial) list(f alotwebhook.Filter) []alotwebhook.Delivery {
	t.Helper()
	var all []alotwebhook.Delivery
	for range endless {
		page, next, err := t.store.Deliveries(t.ctx(), f)
		require.NoError(t, err)
		all = append(all, page...)
		if next == "" {
			return all
		}
		f.Cursor = next
	}
	require.FailNow(t, "a listing has no end", "filter %+v", f)
	return nil
}

func (t *trial) stats() alotwebhook.Stats {
	t.Helper()
	st, err := t.store.Stats(t.ctx())
	require.NoError(t, err)
	return st
}

func (t *trial) redeliver(ids ...string) int {
	t.Helper()
	n, err := t.store.Redeliver(t.ctx(), ids)
	require.NoError(t, err)
	return n
}

func claimedIDs(claims []alotwebhook.Claimed) []string {
	ids := make([]string, len(claims))
	for i, c := range claims {
		ids[i] = c.DeliveryID
	}
	return ids
}

func deliveryIDs(deliveries []alotwebhook.Delivery) []string {
	ids := make([]string, len(deliveries))
	for i, d := range deliveries {
		ids[i] = d.ID
	}
	return ids
}

// idsOf returns the ids of the deliveries of events to an endpoint.
func idsOf(events []alotwebhook.Event, e alotwebhook.Endpoint) []string {
	ids := make([]string, len(events))
	for i, event := range events {
		ids[i] = alotwebhook.DeliveryID(event.ID, e.ID)
	}
	return ids
}

// newestFirst returns ids in the order of a listing.
func newestFirst(ids []string) []string {
	ids = slices.Sorted(slices.Values(ids))
	slices.Reverse(ids)
	return ids
}

// perEndpoint returns the number of claims of each endpoint.
func perEndpoint(claims []alotwebhook.Claimed) map[string]int {
	n := map[string]int{}
	for _, c := range claims {
		n[c.Endpoint.ID]++
	}
	return n
}

// allDelivered returns the outcomes of claims that were delivered.
func allDelivered(claims []alotwebhook.Claimed) []alotwebhook.Outcome {
	outcomes := make([]alotwebhook.Outcome, len(claims))
	for i, c := range claims {
		outcomes[i] = delivered(c)
	}
	return outcomes
}

// finishAll finishes all claims as delivered.
func (t *trial) finishAll(claims []alotwebhook.Claimed) {
	t.Helper()
	t.finish(allDelivered(claims)...)
}
