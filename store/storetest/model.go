package storetest

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var modelRules = []rule{
	{"RandomWalk", "In any sequence of calls, each call does what the contract says.", randomWalk},
}

// model computes what the contract says about a sequence of calls. Time plays no part:
// leases and waits last longer than the test.
type model struct {
	*trial
	rng        *rand.Rand
	endpoints  map[string]*alotwebhook.Endpoint
	failing    map[string]bool // by endpoint: the last attempt failed
	events     []alotwebhook.Event
	deliveries map[string]*modelDelivery
	held       []alotwebhook.Claimed // claimed and not yet finished; the endpoint may have been deleted
	stale      []alotwebhook.Claimed // finished or released
}

// modelDelivery is the expected state of a delivery.
type modelDelivery struct {
	endpoint string
	state    alotwebhook.DeliveryState // a parked delivery is pending here
	leased   bool
	waits    bool // for a retry
	attempts int
	tried    int // attempts before the last redelivery
	erased   bool
	reason   alotwebhook.FailureReason // of the end, or of the newest attempt
	attempt  alotwebhook.FailureReason // of the newest attempt
}

// due reports whether the delivery can be claimed if its endpoint is enabled.
func (d *modelDelivery) due() bool {
	return d.state == alotwebhook.StatePending && !d.leased && !d.waits
}

// The other rules try the sequences that somebody has thought of. The random walk compares random
// ones with a model, and logs the seed of the run.
func randomWalk(t *trial) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	m := &model{
		trial:      t,
		rng:        rand.New(rand.NewPCG(seed, 0)),
		endpoints:  map[string]*alotwebhook.Endpoint{},
		failing:    map[string]bool{},
		deliveries: map[string]*modelDelivery{},
	}
	m.addEndpoint()
	m.addEndpoint()
	steps := []struct {
		weight int
		step   func()
	}{
		{20, m.enqueue}, {30, m.claim}, {30, m.finish}, {10, m.finishStale}, {10, m.redeliver}, {3, m.cancel}, {2, m.erase},
		{8, m.toggle}, {2, m.addEndpoint}, {1, m.deleteEndpoint},
	}
	sum := 0
	for _, s := range steps {
		sum += s.weight
	}
	for i := range 400 {
		n := m.rng.IntN(sum)
		for _, s := range steps {
			if n -= s.weight; n < 0 {
				s.step()
				break
			}
		}
		if i%20 == 19 {
			m.compare()
		}
	}
	for range 5 {
		m.erase()
	}
	m.compare()
}

var modelOrganizations = []string{"org_1", "org_2"}
var modelTypes = []string{completed, invited}

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

// somebody returns a random endpoint. It sorts them first, so that the seed alone
// determines the choice.
func (m *model) somebody() *alotwebhook.Endpoint {
	all := make([]*alotwebhook.Endpoint, 0, len(m.endpoints))
	for _, e := range m.endpoints {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *alotwebhook.Endpoint) int { return cmp.Compare(a.ID, b.ID) })
	return pick(m.rng, all)
}

// addEndpoint stores an endpoint with one or both event types.
func (m *model) addEndpoint() {
	types := modelTypes
	if m.rng.IntN(3) == 0 {
		types = []string{pick(m.rng, modelTypes)}
	}
	e := m.trial.endpoint(pick(m.rng, modelOrganizations), types...)
	m.endpoints[e.ID] = &e
}

// toggle disables or enables a random endpoint.
func (m *model) toggle() {
	e := m.somebody()
	if m.setDisabled(e, !e.Disabled); !e.Disabled {
		m.failing[e.ID] = false
	}
}

// deleteEndpoint deletes a random endpoint, and leaves at least two.
func (m *model) deleteEndpoint() {
	if len(m.endpoints) < 3 {
		return
	}
	e := m.somebody()
	require.NoError(m, m.store.DeleteEndpoint(m.ctx(), e.ID))
	delete(m.endpoints, e.ID)
	for _, d := range m.deliveries {
		if d.endpoint == e.ID && d.state == alotwebhook.StatePending {
			d.fail(alotwebhook.ReasonEndpointDeleted)
		}
	}
}

// fail ends a delivery without an attempt.
func (d *modelDelivery) fail(reason alotwebhook.FailureReason) {
	d.state, d.leased, d.waits, d.reason = alotwebhook.StateFailed, false, false, reason
}

// enqueue stores a few events. Some may be stored already.
func (m *model) enqueue() {
	var batch []alotwebhook.Event
	for range 1 + m.rng.IntN(4) {
		if len(m.events) > 0 && m.rng.IntN(4) == 0 {
			batch = append(batch, pick(m.rng, m.events))
			continue
		}
		event := newEvent(m, pick(m.rng, modelOrganizations), pick(m.rng, modelTypes))
		m.events = append(m.events, event)
		batch = append(batch, event)
		for _, e := range m.endpoints {
			if e.OrganizationID == event.OrganizationID && e.Subscribes(event.Type) {
				m.deliveries[alotwebhook.DeliveryID(event.ID, e.ID)] = &modelDelivery{endpoint: e.ID, state: alotwebhook.StatePending}
			}
		}
	}
	m.trial.enqueue(batch...)
}

// claim makes a random claim, and checks its result.
func (m *model) claim() {
	c := alotwebhook.ClaimRequest{Limit: 1 + m.rng.IntN(12), PerEndpoint: 1 + m.rng.IntN(5), Lease: long, Busy: map[string]int{}}
	for range m.rng.IntN(3) {
		c.Busy[m.somebody().ID] = m.rng.IntN(6)
	}
	possible := m.claimable(c)
	result := m.claimAs(c)
	want := 0
	for _, n := range possible {
		want += n
	}
	require.Len(m, result.Deliveries, min(want, c.Limit), "a claim returns every due delivery with a free slot, up to Limit")
	for id, n := range perEndpoint(result.Deliveries) {
		require.LessOrEqual(m, n, possible[id], "more deliveries of %s than it has free slots", id)
	}
	for _, got := range result.Deliveries {
		m.take(got)
	}
	if len(result.Deliveries) == 0 {
		m.requireNextIn(c, result.NextIn)
	}
}

// requireNextIn checks the NextIn of a claim that returned nothing. An endpoint that is changing hands
// is known to none of several stores for a moment.
func (m *model) requireNextIn(c alotwebhook.ClaimRequest, nextIn time.Duration) {
	if m.values > 1 {
		if m.waiting() && nextIn <= 0 {
			m.await("a store says when the next delivery falls due", func() bool { return m.claimAs(c).NextIn > 0 })
		}
		return
	}
	require.Equal(m, m.waiting(), nextIn > 0, "NextIn is %v", nextIn)
}

// claimable returns how many deliveries of each endpoint a claim may return.
func (m *model) claimable(c alotwebhook.ClaimRequest) map[string]int {
	due := map[string]int{}
	for _, d := range m.deliveries {
		if e := m.endpoints[d.endpoint]; e != nil && !e.Disabled && d.due() {
			due[e.ID]++
		}
	}
	for id, n := range due {
		due[id] = max(min(n, c.PerEndpoint-c.Busy[id]), 0)
	}
	return due
}

// waiting reports whether a delivery of an enabled endpoint will fall due later.
func (m *model) waiting() bool {
	for _, d := range m.deliveries {
		if e := m.endpoints[d.endpoint]; e != nil && !e.Disabled && (d.leased || d.waits) {
			return true
		}
	}
	return false
}

// take notes a claimed delivery, and checks that it was due.
func (m *model) take(got alotwebhook.Claimed) {
	d := m.deliveries[got.DeliveryID]
	require.NotNil(m, d, "%s was never stored", got.DeliveryID)
	require.True(m, d.due(), "%s is not due: %+v", got.DeliveryID, *d)
	require.Equal(m, []int{d.attempts + 1, d.attempts - d.tried + 1, 1}, []int{got.Attempt, got.Try, got.Claims}, "Attempt, Try and Claims")
	require.Equal(m, m.endpoints[d.endpoint].Version, got.Endpoint.Version)
	d.leased = true
	m.held = append(m.held, got)
}

// finish stores random outcomes for a few of the claims held.
func (m *model) finish() {
	var outcomes []alotwebhook.Outcome
	var wantLost []string
	for range min(len(m.held), 1+m.rng.IntN(6)) {
		i := m.rng.IntN(len(m.held))
		c := m.held[i]
		m.held = slices.Delete(m.held, i, i+1)
		m.stale = append(m.stale, c)
		o := pick(m.rng, []alotwebhook.Outcome{delivered(c), failed(c), retry(c, 0), retry(c, long), release(c)})
		outcomes = append(outcomes, o)
		if d := m.deliveries[c.DeliveryID]; d.leased {
			d.settle(o)
			if o.Attempt.Number != 0 {
				m.failing[d.endpoint] = o.State != alotwebhook.StateDelivered
			}
		} else {
			wantLost = append(wantLost, c.DeliveryID) // it was canceled, or the endpoint deleted
		}
	}
	require.ElementsMatch(m, wantLost, m.lost(outcomes...))
}

// settle applies an outcome.
func (d *modelDelivery) settle(o alotwebhook.Outcome) {
	d.leased, d.state, d.waits = false, o.State, o.NextAttemptIn > 0
	if o.Attempt.Number != 0 {
		d.attempts++
		d.reason, d.attempt = o.Attempt.Reason, o.Attempt.Reason
	}
}

// finishStale stores an outcome for a claim that has been finished before.
func (m *model) finishStale() {
	if len(m.stale) > 0 {
		c := pick(m.rng, m.stale)
		require.Equal(m, []string{c.DeliveryID}, m.lost(delivered(c)), "the claim of %s was finished before", c.DeliveryID)
	}
}

// redeliver redelivers a few random deliveries.
func (m *model) redeliver() {
	for _, id := range m.someDeliveries() {
		d, want := m.deliveries[id], 0
		if m.endpoints[d.endpoint] == nil || d.due() || !d.leased && !d.erased && m.underWay(id) {
			continue // the endpoint was deleted, or the delivery is due, or it was canceled during an attempt
		}
		if !d.leased && !d.erased {
			want = 1
			if d.state != alotwebhook.StatePending {
				d.state, d.tried, d.reason = alotwebhook.StatePending, d.attempts, d.attempt
			}
			d.waits = false
		}
		require.Equal(m, want, m.trial.redeliver(id), "the result for a delivery that was %+v", *d)
	}
}

// someDeliveries returns the ids of a few random deliveries.
func (m *model) someDeliveries() (some []string) {
	ids := slices.Sorted(maps.Keys(m.deliveries))
	for range min(len(ids), 1+m.rng.IntN(3)) {
		some = append(some, pick(m.rng, ids))
	}
	return some
}

// underWay reports whether the outcome of a claim of the delivery is still to come.
func (m *model) underWay(id string) bool {
	return slices.ContainsFunc(m.held, func(c alotwebhook.Claimed) bool { return c.DeliveryID == id })
}

// cancel cancels a few random deliveries.
func (m *model) cancel() {
	ids, want := m.someDeliveries(), 0
	for _, id := range ids {
		if d := m.deliveries[id]; d.state == alotwebhook.StatePending {
			want++
			d.fail(alotwebhook.ReasonCanceled)
		}
	}
	require.Equal(m, want, m.trial.cancel(ids...))
}

// erase erases a random event, and so all of its deliveries.
func (m *model) erase() {
	if len(m.events) == 0 {
		return
	}
	event := pick(m.rng, m.events)
	m.trial.erase(ofEvent(event))
	m.requireErased(event)
	for id, d := range m.deliveries {
		if e := alotwebhook.DeliveryID(event.ID, d.endpoint); e != id {
			continue
		}
		if d.erased = true; d.state == alotwebhook.StatePending {
			d.fail(alotwebhook.ReasonErased)
		}
	}
}

// compare compares all of the store with the model.
func (m *model) compare() {
	var want alotwebhook.Stats
	listed := m.list(alotwebhook.Filter{Limit: 1000})
	require.Len(m, listed, len(m.deliveries))
	for _, got := range listed {
		d := m.deliveries[got.ID]
		require.NotNil(m, d, "%s was never stored", got.ID)
		state := d.state
		if state == alotwebhook.StatePending {
			if m.endpoints[d.endpoint].Disabled {
				state = alotwebhook.StateParked
				want.Parked++
			} else {
				want.Pending++
			}
		}
		require.Equal(m, state, got.State, "%s is %+v", got.ID, *d)
		require.Equal(m, d.attempts, got.AttemptCount, "attempts of %s", got.ID)
		require.Equal(m, d.reason, got.LastReason, "reason of %s", got.ID)
		require.Equal(m, got.State == alotwebhook.StateDelivered || got.State == alotwebhook.StateFailed, !got.FinishedAt.IsZero(), "FinishedAt of %s", got.ID)
	}
	for id, e := range m.endpoints {
		if e.Disabled {
			want.DisabledEndpoints++
		} else if m.failing[id] {
			want.FailingEndpoints++
		}
	}
	st := m.stats()
	st.OldestDue, st.OldestDueFailing = 0, 0
	if m.values > 1 { // each records its own outcomes of one call, in any order
		want.FailingEndpoints = st.FailingEndpoints
	}
	require.Equal(m, want, st)
}
