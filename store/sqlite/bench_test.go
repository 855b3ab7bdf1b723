package sqlite_test

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

// enqueue stores n events for the organizations from ≤ i < before, in turns.
func enqueue(tb testing.TB, s alotwebhook.Store, n, from, before int) {
	tb.Helper()
	for i := 0; i < n; {
		batch := make([]alotwebhook.Event, 0, 5000)
		for ; i < n && len(batch) < cap(batch); i++ {
			batch = append(batch, newEvent(tb, organization(from+i%(before-from))))
		}
		require.NoError(tb, s.Enqueue(context.Background(), batch))
	}
}

// meter counts the processor time between start and stop. Unlike the clock, it
// compares versions on a machine that does other things, too.
type meter struct{ used, since time.Duration }

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail for the own process
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (m *meter) start() { m.since = processorTime() }
func (m *meter) stop()  { m.used += processorTime() - m.since }

func (m *meter) perRow(b *testing.B, rows int) {
	b.ReportMetric(float64(m.used)/float64(rows), "cpu-ns/row")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkEnqueue stores events from one goroutine, in batches.
func BenchmarkEnqueue(b *testing.B) {
	for _, batch := range []int{1, 100, 1000, 10000} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			s := open(b, newPath(b))
			fleet(b, s, 10)
			rows := 0
			var m meter
			for b.Loop() {
				b.StopTimer()
				events := make([]alotwebhook.Event, batch)
				for i := range events {
					events[i] = newEvent(b, organization(i%10))
				}
				b.StartTimer()
				m.start()
				require.NoError(b, s.Enqueue(context.Background(), events))
				m.stop()
				rows += batch
			}
			m.perRow(b, rows)
		})
	}
}

// BenchmarkEnqueueTogether has many goroutines store one event each, so that they
// share commits.
func BenchmarkEnqueueTogether(b *testing.B) {
	s := open(b, newPath(b))
	fleet(b, s, 10)
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := s.Enqueue(context.Background(), []alotwebhook.Event{newEvent(b, organization(3))}); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkClaimFinish claims and finishes, a batch at a time.
func BenchmarkClaimFinish(b *testing.B) {
	for _, endpoints := range []int{10, 1000} {
		for _, batch := range []int{64, 128, 256, 500} {
			b.Run(fmt.Sprintf("endpoints=%d/batch=%d", endpoints, batch), func(b *testing.B) {
				s := open(b, newPath(b))
				fleet(b, s, endpoints)
				claimFinish(b, s, batch, func() { enqueue(b, s, 50_000, 0, endpoints) })
			})
		}
	}
}

// claimFinish claims and finishes batches. When the queue is empty, it calls more to
// fill it, off the clock.
func claimFinish(b *testing.B, s *sqlite.Store, batch int, more func()) {
	rows := 0
	var m meter
	m.start()
	for b.Loop() {
		claimed := claim(b, s, batch, nil)
		if len(claimed) < batch {
			m.stop()
			b.StopTimer()
			more()
			b.StartTimer()
			m.start()
		}
		finish(b, s, claimed)
		rows += len(claimed)
	}
	m.stop()
	m.perRow(b, rows)
}

// BenchmarkClaim shows that a claim costs the same whatever waits in the queue. The
// claimed deliveries stay leased, and are few beside the backlog.
func BenchmarkClaim(b *testing.B) {
	for _, backlog := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprintf("backlog=%d", backlog), func(b *testing.B) {
			s := open(b, newPath(b))
			fleet(b, s, 100)
			enqueue(b, s, backlog, 0, 100)
			for b.Loop() {
				claim(b, s, 100, nil)
			}
		})
	}
	b.Run("busy=1000000", func(b *testing.B) {
		s := open(b, newPath(b))
		fleet(b, s, 100)
		enqueue(b, s, 1_000_000, 0, 1)
		enqueue(b, s, 100_000, 1, 100)
		for b.Loop() {
			claim(b, s, 100, map[string]int{endpointID(0): 100})
		}
	})
	b.Run("disabled=1000000", func(b *testing.B) {
		s := open(b, newPath(b))
		fleet(b, s, 100)
		enqueue(b, s, 1_000_000, 0, 1)
		e, err := s.Endpoint(context.Background(), endpointID(0))
		require.NoError(b, err)
		e.Disabled = true
		require.NoError(b, s.PutEndpoint(context.Background(), e))
		enqueue(b, s, 100_000, 1, 100)
		for b.Loop() {
			claim(b, s, 100, nil)
		}
	})
	b.Run("idle/endpoints=100000", func(b *testing.B) {
		s := open(b, newPath(b))
		fleetAtOnce(b, s, 100_000)
		enqueue(b, s, 1000, 5000, 5010)
		claim(b, s, 1000, nil)
		for b.Loop() {
			claim(b, s, 100, nil)
		}
	})
}

// fleetAtOnce is fleet for very many endpoints: it makes 64 calls at the same time,
// which share commits.
func fleetAtOnce(tb testing.TB, s alotwebhook.Store, n int) {
	tb.Helper()
	const callers = 64
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := caller; i < n; i += callers {
				putEndpoint(tb, s, i, organization(i))
			}
		})
	}
	wg.Wait()
}

// BenchmarkStats counts a long queue.
func BenchmarkStats(b *testing.B) {
	const deliveries, endpoints = 1_000_000, 300
	s := open(b, newPath(b))
	fleet(b, s, endpoints)
	enqueue(b, s, deliveries, 0, endpoints)
	claim(b, s, 100, nil)
	var m meter
	for b.Loop() {
		m.start()
		_, err := s.Stats(context.Background())
		m.stop()
		require.NoError(b, err)
	}
	b.ReportMetric(float64(m.used.Milliseconds())/float64(b.N), "cpu-ms/op")
}

// BenchmarkDeliveries reads pages of a history by filters: the first page, and the
// page behind the newest finished delivery.
func BenchmarkDeliveries(b *testing.B) {
	const deliveries, endpoints = 1_000_000, 10
	s := open(b, newPath(b))
	fleet(b, s, endpoints)
	enqueue(b, s, deliveries, 0, endpoints)
	for n := 0; n < deliveries*8/10; n += 5000 {
		finishAs(b, s, claim(b, s, 5000, nil), func(i int) alotwebhook.DeliveryState {
			if i%1000 == 0 {
				return alotwebhook.StateFailed
			}
			return alotwebhook.StateDelivered
		})
	}
	e, err := s.Endpoint(context.Background(), endpointID(7))
	require.NoError(b, err)
	e.Disabled = true
	require.NoError(b, s.PutEndpoint(context.Background(), e))
	one, _, err := s.Deliveries(context.Background(), alotwebhook.Filter{State: alotwebhook.StateDelivered, Limit: 1})
	require.NoError(b, err)
	for name, f := range map[string]alotwebhook.Filter{
		"all":              {},
		"organization":     {OrganizationID: organization(3)},
		"endpoint":         {EndpointID: endpointID(3)},
		"type":             {EventType: completed},
		"event":            {EventID: one[0].EventID},
		"delivered":        {State: alotwebhook.StateDelivered},
		"failed":           {State: alotwebhook.StateFailed},
		"pending":          {State: alotwebhook.StatePending},
		"parked":           {State: alotwebhook.StateParked},
		"endpoint+failed":  {EndpointID: endpointID(3), State: alotwebhook.StateFailed},
		"endpoint+pending": {EndpointID: endpointID(3), State: alotwebhook.StatePending},
		"endpoint+type":    {EndpointID: endpointID(3), EventType: completed},
	} {
		b.Run(name+"/first", func(b *testing.B) { pages(b, s, f) })
		b.Run(name+"/late", func(b *testing.B) {
			f.Cursor = one[0].ID // the newest finished delivery
			pages(b, s, f)
		})
	}
}

func pages(b *testing.B, s alotwebhook.Store, f alotwebhook.Filter) {
	for b.Loop() {
		_, _, err := s.Deliveries(context.Background(), f)
		require.NoError(b, err)
	}
}
