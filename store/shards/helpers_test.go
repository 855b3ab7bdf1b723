package shards_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/shards"
)

func newEvent(tb testing.TB, organization string) alotwebhook.Event {
	tb.Helper()
	event, err := alotwebhook.NewEvent("candidate.completed", organization, json.RawMessage(`{"score":82}`))
	require.NoError(tb, err)
	return event
}

// newEndpoint returns an endpoint that is not stored.
func newEndpoint(tb testing.TB, organization string) alotwebhook.Endpoint {
	tb.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	return alotwebhook.Endpoint{
		ID: "wh_" + strings.TrimPrefix(newEvent(tb, organization).ID, "evt_"), OrganizationID: organization, URL: "https://example.com/hook",
		EventTypes: []string{"candidate.completed"}, Secret: "a secret of some length", CreatedAt: now, UpdatedAt: now,
	}
}

// put stores a new endpoint.
func put(tb testing.TB, s alotwebhook.Store, organization string) alotwebhook.Endpoint {
	tb.Helper()
	e := newEndpoint(tb, organization)
	require.NoError(tb, s.PutEndpoint(tb.Context(), e))
	e.Version = 1
	return e
}

// enqueue stores n events of an organization.
func enqueue(tb testing.TB, s alotwebhook.Store, organization string, n int) (events []alotwebhook.Event) {
	tb.Helper()
	for range n {
		events = append(events, newEvent(tb, organization))
	}
	require.NoError(tb, s.Enqueue(tb.Context(), events))
	return events
}

func claim(tb testing.TB, s alotwebhook.Store, limit int) []alotwebhook.Claimed {
	tb.Helper()
	return claimAs(tb, s, alotwebhook.ClaimRequest{Limit: limit})
}

func claimAs(tb testing.TB, s alotwebhook.Store, c alotwebhook.ClaimRequest) []alotwebhook.Claimed {
	tb.Helper()
	c.Lease = time.Hour
	if c.PerEndpoint == 0 {
		c.PerEndpoint = 1000
	}
	got, err := s.Claim(tb.Context(), c)
	require.NoError(tb, err)
	return got.Deliveries
}

func delivered(claims ...alotwebhook.Claimed) []alotwebhook.Outcome {
	outcomes := make([]alotwebhook.Outcome, len(claims))
	for i, c := range claims {
		outcomes[i] = alotwebhook.Outcome{
			DeliveryID: c.DeliveryID, Token: c.Token, State: alotwebhook.StateDelivered,
			Attempt: alotwebhook.Attempt{Number: c.Attempt, StartedAt: time.Now().UTC(), StatusCode: 204},
		}
	}
	return outcomes
}

// pair is a store over the shards a and b, both of which can be ill.
type pair struct {
	*shards.Store
	a, b *ill
}

func newPair(tb testing.TB, patience time.Duration) *pair {
	tb.Helper()
	p := &pair{a: newIll(), b: newIll()}
	p.Store = newStore(tb, map[string]alotwebhook.Store{"a": p.a, "b": p.b}, shards.Config{Places: byPrefix, Patience: patience})
	return p
}

// filledPair returns a pair with an endpoint of org_a and one of org_b, and so many events to each.
func filledPair(t *testing.T, ofA, ofB int) *pair {
	t.Helper()
	p := newPair(t, patient)
	put(t, p, "org_a")
	put(t, p, "org_b")
	enqueue(t, p, "org_a", ofA)
	enqueue(t, p, "org_b", ofB)
	return p
}
