package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// BenchmarkClaim measures a claim of 10 deliveries beside 200, 2,000 and 20,000 others: due,
// waiting for their next attempt, finished, or parked for disabled endpoints. The three
// lines of each kind should be the same, but for what a cache and the depth of an index
// make of it: the cost of a claim depends on the batch. It calls open once for each line.
//
//	func BenchmarkStore(b *testing.B) {
//		storetest.BenchmarkClaim(b, open)
//	}
//
// Run it with -bench Store -benchtime 200x. Most of its time goes into making the others.
func BenchmarkClaim(b *testing.B, open func(tb testing.TB) alotwebhook.Store) {
	for _, kind := range []struct {
		name string
		make func(c *crowd)
	}{
		{"due", func(*crowd) {}},
		{"waiting", func(c *crowd) { c.end(func(d alotwebhook.Claimed) alotwebhook.Outcome { return retry(d, long) }) }},
		{"finished", func(c *crowd) { c.end(delivered) }},
		{"parked", (*crowd).park},
	} {
		for _, others := range []int{200, 2000, 20_000} {
			b.Run(fmt.Sprintf("%s/%d", kind.name, others), func(b *testing.B) {
				c := &crowd{B: b, store: open(b)}
				c.emit("other", others)
				kind.make(c)
				c.emit("due", 400)
				for b.Loop() {
					c.claimTen()
				}
			})
		}
	}
}

// crowd is a store in a benchmark.
type crowd struct {
	*testing.B
	store     alotwebhook.Store
	endpoints []alotwebhook.Endpoint // as they are stored
}

// emit stores n deliveries to 20 new endpoints, of an organization each.
func (c *crowd) emit(prefix string, n int) {
	c.Helper()
	const endpoints = 20
	var events []alotwebhook.Event
	for i := range endpoints {
		org := fmt.Sprintf("%s_%d", prefix, i)
		e := newEndpoint(c, org, completed)
		require.NoError(c, c.store.PutEndpoint(c.Context(), e))
		e.Version++
		c.endpoints = append(c.endpoints, e)
		for range n / endpoints {
			events = append(events, newEvent(c, org, completed))
		}
	}
	for len(events) > 0 {
		some := min(len(events), 1000)
		require.NoError(c, c.store.Enqueue(c.Context(), events[:some]))
		events = events[some:]
	}
}

// end claims all that is due, and finishes it.
func (c *crowd) end(as func(alotwebhook.Claimed) alotwebhook.Outcome) {
	c.Helper()
	for {
		claims := c.claim(1000)
		if len(claims) == 0 {
			return
		}
		c.finish(claims, as)
	}
}

// park disables all endpoints.
func (c *crowd) park() {
	c.Helper()
	for i := range c.endpoints {
		e := &c.endpoints[i]
		e.Disabled, e.DisabledReason = true, alotwebhook.DisabledByUser
		require.NoError(c, c.store.PutEndpoint(c.Context(), *e))
		e.Version++
	}
}

func (c *crowd) claim(limit int) []alotwebhook.Claimed {
	c.Helper()
	r, err := c.store.Claim(c.Context(), alotwebhook.ClaimRequest{Limit: limit, PerEndpoint: 1000, Lease: long})
	require.NoError(c, err)
	return r.Deliveries
}

func (c *crowd) finish(claims []alotwebhook.Claimed, as func(alotwebhook.Claimed) alotwebhook.Outcome) {
	c.Helper()
	outcomes := make([]alotwebhook.Outcome, len(claims))
	for i, d := range claims {
		outcomes[i] = as(d)
	}
	lost, err := c.store.Finish(c.Context(), outcomes)
	require.NoError(c, err)
	require.Empty(c, lost)
}

// claimTen claims ten deliveries, and gives them back while the clock of the benchmark
// stands.
func (c *crowd) claimTen() {
	c.Helper()
	claims := c.claim(10)
	c.StopTimer()
	require.Len(c, claims, 10)
	c.finish(claims, release)
	c.StartTimer()
}

// BenchmarkDeliver measures how many deliveries a second a dispatcher makes on a store, to
// 10 endpoints and to 1,000, with 200 attempts under way at once and payloads of about 200
// bytes. The receiver is in the same process, on loopback. The line raw is a loop of
// requests without a dispatcher or a store: what this machine and net/http give. Compare
// lines of one run only. It calls open several times for each line.
//
//	func BenchmarkStore(b *testing.B) {
//		storetest.BenchmarkDeliver(b, open)
//	}
//
// Run it with -bench Store -benchtime 20000x -count 3.
func BenchmarkDeliver(b *testing.B, open func(tb testing.TB) alotwebhook.Store) {
	b.Run("raw", func(b *testing.B) {
		rx := startReceiver(b)
		payload := newEvent(b, "org_1", completed).Payload()
		b.ResetTimer()
		rx.postAll(b, payload, b.N)
		reportRate(b)
	})
	for _, endpoints := range []int{10, 1000} {
		b.Run(fmt.Sprintf("%d_endpoints", endpoints), func(b *testing.B) {
			rx := startReceiver(b)
			d := rx.dispatcher(b, open(b))
			require.NoError(b, emitTo(b.Context(), d, rx.url, endpoints, b.N))
			b.ResetTimer()
			rx.deliver(b, d)
			reportRate(b)
			stats, err := d.Stats(b.Context())
			require.NoError(b, err)
			require.Zero(b, stats.Pending, "all are delivered")
		})
	}
}

func reportRate(b *testing.B) {
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
}

// emitTo stores endpoints of an organization each, and n events for them in turns.
func emitTo(ctx context.Context, d *alotwebhook.Dispatcher, url string, endpoints, n int) (err error) {
	for i := range endpoints {
		_, createErr := d.CreateEndpoint(ctx, alotwebhook.Endpoint{
			OrganizationID: fmt.Sprintf("org_%d", i), URL: fmt.Sprintf("%s/%d", url, i), EventTypes: []string{completed},
		})
		err = errors.Join(err, createErr)
	}
	var batch []alotwebhook.Event
	for i := 0; i < n && err == nil; i++ {
		event, newErr := alotwebhook.NewEvent(completed, fmt.Sprintf("org_%d", i%endpoints), map[string]int{"score": 82})
		err = errors.Join(err, newErr)
		if batch = append(batch, event); len(batch) == 1000 || i == n-1 {
			err = errors.Join(err, d.Emit(ctx, batch...))
			batch = batch[:0]
		}
	}
	return err
}
