package shards_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/shards"
)

// BenchmarkClaimFinish claims and finishes batches of 256 of 50,000 deliveries to 300
// endpoints; one operation is one delivery. Beside the store in memory alone, the difference
// is what shards cost a dispatcher.
func BenchmarkClaimFinish(b *testing.B) {
	for _, n := range []int{0, 1, 3} {
		b.Run(fmt.Sprintf("shards=%d", n), func(b *testing.B) {
			store := benchStore(b, n)
			for i := range 300 {
				put(b, store, fmt.Sprintf("org_%d", i))
			}
			fill := func() {
				for i := range 300 {
					enqueue(b, store, fmt.Sprintf("org_%d", i), 170)
				}
			}
			b.ReportAllocs()
			for done, queued := 0, 0; done < b.N; {
				if queued < 1000 {
					b.StopTimer()
					fill()
					queued += 300 * 170
					b.StartTimer()
				}
				claims := claim(b, store, 256)
				for sh, part := range byShard(store, claims) {
					lost, err := store.Finish(b.Context(), delivered(part...))
					require.NoError(b, err, sh)
					require.Empty(b, lost)
				}
				done, queued = done+len(claims), queued-len(claims)
			}
		})
	}
}

// byShard parts claims as a dispatcher does.
func byShard(store alotwebhook.Store, claims []alotwebhook.Claimed) map[int][]alotwebhook.Claimed {
	s, ok := store.(*shards.Store)
	if !ok {
		return map[int][]alotwebhook.Claimed{0: claims}
	}
	parts := map[int][]alotwebhook.Claimed{}
	for _, c := range claims {
		at := s.PartOf(c.DeliveryID)
		parts[at] = append(parts[at], c)
	}
	return parts
}

func benchStore(b *testing.B, n int) alotwebhook.Store {
	b.Helper()
	if n == 0 {
		return memory.New()
	}
	stores := map[string]alotwebhook.Store{}
	for i := range n {
		stores[fmt.Sprint(i)] = memory.New()
	}
	return newStore(b, stores, shards.Config{})
}

// BenchmarkEnqueue stores batches of 100 events of one organization; one operation is one
// event.
func BenchmarkEnqueue(b *testing.B) {
	for _, n := range []int{0, 3} {
		b.Run(fmt.Sprintf("shards=%d", n), func(b *testing.B) {
			store := benchStore(b, n)
			put(b, store, "org_1")
			events := make([]alotwebhook.Event, b.N)
			for i := range events {
				events[i] = newEvent(b, "org_1")
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < len(events); i += 100 {
				require.NoError(b, store.Enqueue(b.Context(), events[i:min(i+100, len(events))]))
			}
		})
	}
}
