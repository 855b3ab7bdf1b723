package storetest

import (
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var subscriptionRules = []rule{
	{"All", "An endpoint that subscribes to \"*\" gets the events of all types, of its organization alone.", subscribesToAll},
	{"Beginning", "An endpoint that subscribes to \"candidate.*\" gets the events of each type that begins with the word candidate and a dot, and no others.", subscribesToBeginning},
	{"Once", "An endpoint gets an event once, however many of its subscriptions include it.", subscribesTwice},
	{"NotOperations", "No subscription with a star includes the types of operations.", subscribesNotToOperations},
	{"Changed", "A subscription with a star that is taken away, or comes later, counts from then on.", subscribesLater},
}

// starry returns a batch with an event of each type. Stores may store one event, a few and many in
// different ways.
func (t *trial) starry(org string, types ...string) (events []alotwebhook.Event) {
	for _, eventType := range types {
		events = append(events, newEvent(t, org, eventType))
	}
	return events
}

// requireSent enqueues one event of each type alone, then a few and many of each, and requires that
// the endpoint gets those of the types that are wanted, each once.
func (t *trial) requireSent(e alotwebhook.Endpoint, types []string, wanted ...string) {
	t.Helper()
	for range 2 { // the second time, the store may know who gets it
		for _, batch := range t.batches(e.OrganizationID, types) {
			want := map[string]int{}
			for _, event := range batch {
				want[event.Type] = 0
			}
			t.enqueue(batch...)
			for _, name := range wanted {
				for _, event := range batch {
					if event.Type == name {
						want[name]++
					}
				}
			}
			got := map[string]int{}
			for name := range want {
				got[name] = 0
			}
			for _, c := range t.deliverAll() {
				if c.Endpoint.ID == e.ID {
					got[c.EventType]++
				}
			}
			require.Equal(t, want, got, "deliveries by event type to an endpoint that subscribes to %q", e.EventTypes)
		}
	}
}

// deliverAll claims and delivers until nothing is due, and returns all claims.
func (t *trial) deliverAll() (all []alotwebhook.Claimed) {
	for {
		claims := t.claim(1000)
		if len(claims) == 0 {
			return all
		}
		t.finishAll(claims)
		all = append(all, claims...)
	}
}

// batches returns one event of each type alone, all together, and a hundred and more together.
func (t *trial) batches(org string, types []string) (batches [][]alotwebhook.Event) {
	for _, eventType := range types {
		batches = append(batches, newEvents(t, org, eventType, 1))
	}
	batches = append(batches, t.starry(org, types...))
	var many []alotwebhook.Event
	for range 120/len(types) + 1 {
		many = append(many, t.starry(org, types...)...)
	}
	return append(batches, many)
}

// Somebody who wants to hear of everything does not want to come back for each new type.
func subscribesToAll(t *trial) {
	all, other := t.endpoint("org_1", "*"), t.endpoint("org_1", invited)
	t.endpoint("org_2", "*")
	types := []string{completed, invited, "ping", "candidate.offer.signed"}
	t.requireSent(all, types, types...)
	t.requireSent(other, types, invited)
}

// A store that compares texts alone sends an endpoint for candidate.* what is of candidates.*.
func subscribesToBeginning(t *trial) {
	types := []string{completed, "candidate.offer.signed", "candidate", "candidates.x", "candidate_x.y", "my.candidate.x", "assessment.published"}
	t.requireSent(t.endpoint("org_1", "candidate.*"), types, completed, "candidate.offer.signed")
	t.requireSent(t.endpoint("org_2", "candidate.offer.*", "assessment.published"), types, "candidate.offer.signed", "assessment.published")
}

// A dispatcher refuses such subscriptions, but not every writer is a dispatcher, and the catalogue changes.
func subscribesTwice(t *trial) {
	t.requireSent(t.endpoint("org_1", "*", completed, "candidate.*"), []string{completed, invited}, completed, invited)
}

// An endpoint that fails would be told of that, and fail again.
func subscribesNotToOperations(t *trial) {
	types := []string{string(alotwebhook.OpEndpointFailing), string(alotwebhook.OpDeliveryExhausted), completed}
	t.requireSent(t.endpoint("org_1", "*"), types, completed)
	t.requireSent(t.endpoint("org_2", "endpoint.*"), append(types, "endpoint.own"), "endpoint.own")
	t.requireSent(t.endpoint("org_3", "*", types[0]), types, types[0], completed)
}

// What a store remembers of subscriptions must not outlive them.
func subscribesLater(t *trial) {
	e := t.endpoint("org_1", invited)
	t.requireSent(e, []string{completed}, []string{}...)
	e.EventTypes = []string{"candidate.*"}
	t.put(&e)
	t.requireSent(e, []string{completed}, completed)
	late := t.endpoint("org_1", "*")
	t.requireSent(late, []string{completed}, completed)
	e.EventTypes = []string{invited}
	t.put(&e)
	t.requireSent(e, []string{completed}, []string{}...)
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), late.ID))
	t.requireSent(late, []string{completed}, []string{}...)
}

// Most events are emitted in a transaction, which may have ways of its own to find who gets them.
func txSubscriptions(t *trial) {
	one, all := t.endpoint("org_1", "candidate.*"), t.endpoint("org_1", "*", completed)
	for _, batch := range [][]alotwebhook.Event{
		newEvents(t, "org_1", completed, 1), newEvents(t, "org_1", completed, 1),
		t.starry("org_1", completed, "candidates.x"), newEvents(t, "org_1", "candidates.x", 1),
	} {
		tx := t.begin()
		t.enqueueIn(tx, batch...)
		require.NoError(t, tx.Commit())
		want := map[string]int{all.ID: len(batch)}
		if batch[0].Type == completed {
			want[one.ID] = 1
		}
		require.Equal(t, want, perEndpoint(t.deliverAll()))
	}
}
