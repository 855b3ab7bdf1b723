package memory_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// filled returns a store with one endpoint and n deliveries to it.
func filled(tb testing.TB, n int) (*memory.Store, alotwebhook.Endpoint) {
	tb.Helper()
	store, e := memory.New(), benchEndpoint(0)
	require.NoError(tb, store.PutEndpoint(tb.Context(), e))
	require.NoError(tb, store.Enqueue(tb.Context(), benchEvents(tb, n)))
	return store, e
}

func benchEndpoint(n int) alotwebhook.Endpoint {
	return alotwebhook.Endpoint{
		ID:             fmt.Sprintf("wh_%026d", n),
		OrganizationID: "org_123",
		URL:            "https://example.com/alot",
		EventTypes:     []string{"candidate.completed"},
		Secret:         "It's a Secret to Everybody",
	}
}

func benchEvents(tb testing.TB, n int) []alotwebhook.Event {
	tb.Helper()
	data := json.RawMessage(`{"sessionId":"sess_123","assessmentId":"asm_456","candidateName":"Jane Smith","score":82}`)
	events := make([]alotwebhook.Event, n)
	for i := range events {
		var err error
		events[i], err = alotwebhook.NewEvent("candidate.completed", "org_123", data)
		require.NoError(tb, err)
	}
	return events
}

// BenchmarkClaimFinish measures claim and finish together; one operation is one
// delivery. The cost should not grow with the backlog or the endpoints.
func BenchmarkClaimFinish(b *testing.B) {
	for _, backlog := range []int{1_000, 100_000, 1_000_000} {
		for _, endpoints := range []int{1, 1_000} {
			b.Run(fmt.Sprintf("backlog=%d/endpoints=%d", backlog, endpoints), func(b *testing.B) {
				benchmarkClaimFinish(b, backlog, endpoints)
			})
		}
	}
}

func benchmarkClaimFinish(b *testing.B, backlog, endpoints int) {
	ctx, store := b.Context(), memory.New()
	fill := func(n int) {
		for i, event := range benchEvents(b, n) {
			require.NoError(b, store.EnqueueTo(ctx, benchEndpoint(i%endpoints).ID, event))
		}
	}
	for i := range endpoints {
		require.NoError(b, store.PutEndpoint(ctx, benchEndpoint(i)))
	}
	fill(backlog)
	b.ReportAllocs()
	b.ResetTimer()
	for done, queued := 0, backlog; done < b.N; {
		if queued < backlog/2 || queued < 256 {
			b.StopTimer()
			fill(backlog)
			queued += backlog
			b.StartTimer()
		}
		n := claimFinish(b, store)
		done, queued = done+n, queued-n
	}
}

// claimFinish claims and finishes one batch and returns its size.
func claimFinish(tb testing.TB, store alotwebhook.Store) int {
	claim, err := store.Claim(context.Background(), alotwebhook.ClaimRequest{Limit: 256, PerEndpoint: 256, Lease: time.Minute})
	require.NoError(tb, err)
	outcomes := make([]alotwebhook.Outcome, len(claim.Deliveries))
	for i, d := range claim.Deliveries {
		outcomes[i] = alotwebhook.Outcome{
			DeliveryID: d.DeliveryID,
			Token:      d.Token,
			Attempt:    alotwebhook.Attempt{Number: d.Attempt, StartedAt: time.Now(), Duration: time.Millisecond, StatusCode: 204},
			State:      alotwebhook.StateDelivered,
		}
	}
	lost, err := store.Finish(context.Background(), outcomes)
	require.NoError(tb, err)
	require.Empty(tb, lost)
	return len(outcomes)
}

// BenchmarkEnqueue stores events in batches of 100; one operation is one event.
func BenchmarkEnqueue(b *testing.B) {
	store, _ := filled(b, 0)
	events := benchEvents(b, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < len(events); i += 100 {
		require.NoError(b, store.Enqueue(b.Context(), events[i:min(i+100, len(events))]))
	}
}

// BenchmarkDeliveries reads one page of 100,000 deliveries: the newest, one from
// the middle, and one for which no delivery matches.
func BenchmarkDeliveries(b *testing.B) {
	store, e := filled(b, 100_000)
	middle := ""
	for range 500 {
		_, next, err := store.Deliveries(b.Context(), alotwebhook.Filter{EndpointID: e.ID, Cursor: middle})
		require.NoError(b, err)
		middle = next
	}
	for name, f := range map[string]alotwebhook.Filter{
		"newest":  {EndpointID: e.ID},
		"middle":  {EndpointID: e.ID, Cursor: middle},
		"nowhere": {EndpointID: e.ID, State: alotwebhook.StateFailed},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _, err := store.Deliveries(b.Context(), f)
				require.NoError(b, err)
			}
		})
	}
}
