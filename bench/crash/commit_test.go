package crash

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// A process that loses its connection between a commit and the database's answer cannot know
// whether the commit took place. In this test it always did, and the process repeats the
// call:
//
//   - Emit with the same event changes nothing.
//   - Finish finds that its claims are finished, and changes nothing.
//   - Claim returns other deliveries. The first ones are under lease although no process
//     knows of it. They are sent once the lease has run out.
//
// So no delivery is lost, and none comes twice.
func TestCutCommits(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.DSN(t)
	where := inPostgres(t, dsn)
	ledger := newLedger(t)
	store := openStore(t, where)
	registerEndpoints(t, store, ledger.url)
	emits, emitter := where.through(t, dsn)
	claims, claimer := where.through(t, dsn)
	finishes, finisher := where.through(t, dsn)
	emitting := newHost(t, emitter, "emitter")
	// Every other one, so that the same call is not cut again and again; far
	// fewer claims, since each costs deliveries a lease.
	emits.cutEvery.Store(2)
	claims.cutEvery.Store(16)
	finishes.cutEvery.Store(2)

	delivering := newHost(t, divided{Store: claimer.(*postgres.Store), finishes: finisher}, "dispatcher")
	delivering.run(t)
	enough := func() bool {
		e, c, f := emitting.store.of("enqueue"), delivering.store.of("claim"), delivering.store.of("finish")
		return 10*e.failed >= 4**cuts && 10*c.failed >= 2**cuts && 10*f.failed >= 4**cuts
	}
	acknowledged := emitUntil(t, emitting, time.Millisecond, enough)
	claims.cutEvery.Store(0)
	awaitEmpty(t, store)
	delivering.stop()

	sum := ledger.tally(t, acknowledged)
	t.Logf("connections cut: %d after emitting, %d after claiming, %d after finishing; %d events, %d deliveries: %d lost, %d duplicated",
		emits.cuts.Load(), claims.cuts.Load(), finishes.cuts.Load(), len(acknowledged), sum.deliveries, sum.lost, sum.duplicates)
	t.Logf("failed calls: emitting %v, delivering %v", emitting.store, delivering.store)
	again, late := review(t, store, len(endpointPaths)*len(acknowledged))
	t.Logf("%d deliveries waited for the end of a lease that nobody knew of; %d attempts failed and were repeated", late, again)
	require.Zero(t, sum.lost)
	require.Zero(t, sum.unreported, "every event must be acknowledged in the end")
	require.LessOrEqual(t, sum.duplicates, again, "only attempts that the history shows as repeated may come twice")
	require.NotContains(t, delivering.log.String(), "another process took over", "there is no other process")
	require.Positive(t, late, "no cut claim had leased a delivery")
}

// emitUntil emits events in four goroutines, with a pause after each, until enough returns
// true. It returns the ids of the events.
func emitUntil(t *testing.T, h *host, pause time.Duration, enough func() bool) (acknowledged []string) {
	var mu sync.Mutex
	var emitters sync.WaitGroup
	for range 4 {
		emitters.Go(func() {
			for i := 0; i == 0 || !enough(); i++ {
				event, err := newEvent(i)
				if err == nil {
					err = emit(t.Context(), h.Dispatcher, event)
				}
				if t.Context().Err() != nil {
					return // the test has failed
				}
				if err != nil {
					t.Errorf("emit: %v", err)
					return
				}
				mu.Lock()
				acknowledged = append(acknowledged, event.ID)
				mu.Unlock()
				time.Sleep(pause) // the pace of the host, so that its commits are spread over the cuts
			}
		})
	}
	emitters.Wait()
	return acknowledged
}

// review requires that the history holds n deliveries, all delivered. It
// counts the attempts beyond the first, which a busy machine may make fail, and
// the deliveries that took longer than a lease.
func review(t *testing.T, store alotwebhook.Store, n int) (again, late int) {
	filter := alotwebhook.Filter{Limit: 1000}
	for more := true; more; more = filter.Cursor != "" {
		page, next, err := store.Deliveries(t.Context(), filter)
		require.NoError(t, err)
		for _, d := range page {
			require.Equal(t, alotwebhook.StateDelivered, d.State)
			again += d.AttemptCount - 1
			if d.FinishedAt.Sub(d.CreatedAt) > lease {
				late++
			}
		}
		n -= len(page)
		filter.Cursor = next
	}
	require.Zero(t, n, "the history has another number of deliveries")
	return again, late
}

// through opens a store through a proxy of its own.
func (p place) through(t *testing.T, dsn string) (*proxy, alotwebhook.Store) {
	between, through := newProxy(t, dsn)
	return between, openStore(t, place{DSN: "postgres:" + through, Schema: p.Schema})
}

// divided is a store whose Finish goes through another one.
type divided struct {
	*postgres.Store
	finishes alotwebhook.Store
}

// Finish implements [alotwebhook.Queue].
func (d divided) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	return d.finishes.Finish(ctx, outcomes)
}
