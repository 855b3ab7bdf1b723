package postgres_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// processes returns n stores on one new schema, each with a pool and a memory of its own, as
// in several processes, and a pool for the test.
func processes(t *testing.T, n int) (stores []*postgres.Store, pool *pgxpool.Pool) {
	t.Helper()
	pool = postgrestest.Pool(t, small)
	opts := &postgres.Options{Schema: postgrestest.Schema(t, pool), Migrate: true}
	for range n {
		store, err := postgres.New(t.Context(), postgrestest.Pool(t, small), opts)
		require.NoError(t, err)
		stores = append(stores, store)
	}
	return stores, pool
}

// claimSome claims up to limit deliveries, perEndpoint of each endpoint.
func claimSome(t testing.TB, s alotwebhook.Store, limit, perEndpoint int, lease time.Duration) []alotwebhook.Claimed {
	t.Helper()
	r, err := s.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: limit, PerEndpoint: perEndpoint, Lease: lease})
	require.NoError(t, err)
	return r.Deliveries
}

// awaitClaims claims until it has n deliveries, none of them twice.
func awaitClaims(t testing.TB, s alotwebhook.Store, n, perEndpoint int, lease time.Duration) (claimed []alotwebhook.Claimed) {
	t.Helper()
	require.Eventually(t, func() bool {
		claimed = append(claimed, claimSome(t, s, n-len(claimed), perEndpoint, lease)...)
		return len(claimed) == n
	}, patience, 5*time.Millisecond)
	require.Len(t, idsOf(claimed), n, "claimed twice")
	return claimed
}

// stopClaiming says that the process claims no more.
func stopClaiming(t testing.TB, s alotwebhook.Store) {
	t.Helper()
	require.Empty(t, claimSome(t, s, 0, 1, time.Minute))
}

// idsOf returns the ids of the claimed deliveries in order, each once.
func idsOf(claimed []alotwebhook.Claimed) []string {
	ids := map[string]bool{}
	for _, c := range claimed {
		ids[c.DeliveryID] = true
	}
	return slices.Sorted(maps.Keys(ids))
}

// finishAll records a success of each delivery and returns which were lost, in order.
func finishAll(t testing.TB, s alotwebhook.Store, claimed []alotwebhook.Claimed) []string {
	t.Helper()
	lost, err := s.Finish(t.Context(), outcomesOf(claimed))
	require.NoError(t, err)
	slices.Sort(lost)
	return lost
}

// again returns outcomes by which the deliveries are due again at once after a failure.
func again(claimed []alotwebhook.Claimed) []alotwebhook.Outcome {
	outcomes := outcomesOf(claimed)
	for i := range outcomes {
		outcomes[i].State = alotwebhook.StatePending
		outcomes[i].Attempt.StatusCode, outcomes[i].Attempt.Reason = 500, alotwebhook.ReasonStatus
	}
	return outcomes
}

func pendingOf(t testing.TB, s alotwebhook.Store) int {
	t.Helper()
	stats, err := s.Stats(t.Context())
	require.NoError(t, err)
	return int(stats.Pending)
}

// A process that is gone loses its slots when its lease has run out. What it had under way
// comes once more, and that counts; what it had not claimed comes as if nothing had happened. Its
// own outcomes change nothing from then on.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	stores, _ := processes(t, 2)
	a, b := stores[0], stores[1]
	const endpoints = 40
	enqueueAll(t, a, putEndpoints(t, a, endpoints), 3*endpoints)
	stale := awaitClaims(t, a, 2*endpoints, 2, 200*time.Millisecond)
	fresh := awaitClaims(t, b, 3*endpoints, 2, time.Hour)
	claims := map[string]int{}
	for _, c := range fresh {
		claims[c.DeliveryID] = c.Claims
	}
	for _, c := range stale {
		require.Equal(t, 2, claims[c.DeliveryID], "it was under way")
		delete(claims, c.DeliveryID)
	}
	for id, n := range claims {
		require.Equal(t, 1, n, "nobody had claimed %s", id)
	}
	require.Empty(t, claimSome(t, b, 10, 10, time.Hour))

	lost, err := a.Finish(t.Context(), again(stale[:10]))
	require.NoError(t, err)
	require.Len(t, lost, 10)
	require.Equal(t, idsOf(stale), finishAll(t, a, stale))
	require.Equal(t, 3*endpoints, pendingOf(t, b))
	require.Empty(t, claimSome(t, b, 10, 10, time.Hour), "a stale outcome has made nothing due")
	require.Empty(t, finishAll(t, b, fresh))
	require.Equal(t, idsOf(stale), finishAll(t, a, stale))
	requireDelivered(t, b, 3*endpoints)
}

// A delivery that was under way in each of five processes when they died has been claimed six
// times. What nobody has claimed is not taken for poison, however often its slot was taken over.
func TestPoisonIsFound(t *testing.T) {
	t.Parallel()
	stores, _ := processes(t, 6)
	enqueueAll(t, stores[0], putEndpoints(t, stores[0], 1), 3)
	poison := ""
	for died, s := range stores[:5] {
		c := awaitClaims(t, s, 1, 1, 50*time.Millisecond)[0]
		require.Equal(t, died+1, c.Claims)
		if died == 0 {
			poison = c.DeliveryID
		}
		require.Equal(t, poison, c.DeliveryID)
	}
	last := awaitClaims(t, stores[5], 3, 1, time.Hour)
	require.Equal(t, poison, last[0].DeliveryID)
	require.Equal(t, []int{6, 1, 1}, []int{last[0].Claims, last[1].Claims, last[2].Claims})
}

// A process that claims no more hands over at once what it does not have under way. That it
// finishes itself.
func TestHandOver(t *testing.T) {
	t.Parallel()
	stores, pool := processes(t, 2)
	a, b := stores[0], stores[1]
	const endpoints = 20
	put := putEndpoints(t, a, endpoints)
	enqueueAll(t, a, put, 3*endpoints)
	underWay := awaitClaims(t, a, endpoints, 1, time.Hour)
	stopClaiming(t, a)
	rest := claimSome(t, b, 100, 100, time.Hour)
	require.Len(t, idsOf(rest), 2*endpoints)
	require.Empty(t, claimSome(t, b, 100, 100, time.Hour))
	for _, c := range rest {
		require.Equal(t, 1, c.Claims)
	}
	require.Empty(t, finishAll(t, b, rest))
	half, err := a.Finish(t.Context(), again(underWay[:endpoints/2]))
	require.NoError(t, err)
	require.Empty(t, half)
	require.Empty(t, finishAll(t, a, underWay[endpoints/2:]))
	require.Equal(t, idsOf(underWay), finishAll(t, a, underWay), "these claims have ended")

	retried := awaitClaims(t, b, endpoints/2, 1, time.Hour)
	require.Equal(t, idsOf(underWay[:endpoints/2]), idsOf(retried))
	for _, c := range retried {
		require.Equal(t, []int{2, 1}, []int{c.Attempt, c.Claims})
	}
	require.Empty(t, finishAll(t, b, retried))
	stopClaiming(t, b)
	require.Zero(t, count(t, pool, a.Schema()+".owners"))

	enqueueAll(t, a, put, endpoints)
	require.Len(t, claimSome(t, a, 100, 100, time.Hour), endpoints, "with a Limit it claims anew")
}

// A lease that was handed over, and runs out without an outcome, is a claim that was lost.
func TestHandedOverLeaseRunsOut(t *testing.T) {
	t.Parallel()
	stores, _ := processes(t, 2)
	a, b := stores[0], stores[1]
	enqueueAll(t, a, putEndpoints(t, a, 1), 1)
	stale := awaitClaims(t, a, 1, 1, 100*time.Millisecond)
	stopClaiming(t, a)
	fresh := awaitClaims(t, b, 1, 1, time.Hour)
	require.Equal(t, idsOf(stale), idsOf(fresh))
	require.Equal(t, 2, fresh[0].Claims)
	require.Equal(t, idsOf(stale), finishAll(t, a, stale))
	require.Empty(t, finishAll(t, b, fresh))
}

// A process that joins gets its share of the endpoints. While they move, deliveries are under
// way in both, and none is claimed twice or lost.
func TestJoiningProcessGetsItsShare(t *testing.T) {
	t.Parallel()
	stores, _ := processes(t, 2)
	const endpoints = 100
	put := putEndpoints(t, stores[0], endpoints)
	var underWay [2][]alotwebhook.Claimed
	seen := map[string]bool{}
	emitted := 0
	round := func(of ...int) (shares [2]map[string]bool) {
		enqueueAll(t, stores[0], put, endpoints)
		emitted += endpoints
		for _, i := range of {
			before := underWay[i]
			underWay[i] = claimSome(t, stores[i], 10*endpoints, 10, time.Hour)
			shares[i] = map[string]bool{}
			for _, c := range underWay[i] {
				require.False(t, seen[c.DeliveryID], "claimed twice")
				require.Equal(t, 1, c.Claims)
				seen[c.DeliveryID] = true
				shares[i][c.Endpoint.ID] = true
			}
			require.Empty(t, finishAll(t, stores[i], before), "what was under way while slots moved")
		}
		return shares
	}
	require.Len(t, round(0)[0], endpoints)
	var shares [2]map[string]bool
	require.Eventually(t, func() bool {
		shares = round(0, 1)
		return len(shares[0]) > endpoints/5 && len(shares[1]) > endpoints/5
	}, patience, 20*time.Millisecond)
	for {
		shares = round(0, 1)
		for id := range shares[0] {
			require.False(t, shares[1][id], "each endpoint is served by one")
		}
		if len(seen) == emitted {
			break
		}
	}
	for i, s := range stores {
		require.Empty(t, finishAll(t, s, underWay[i]))
	}
	require.Zero(t, pendingOf(t, stores[0]))
}

// A process that is alive, but claims no more without a word, keeps its slots for as long as
// its lease lasts. After that its outcomes still count until another takes over.
func TestSilentOwner(t *testing.T) {
	t.Parallel()
	stores, pool := processes(t, 2)
	a, b := stores[0], stores[1]
	put := putEndpoints(t, a, 8)
	enqueueAll(t, a, put, 8)
	silent := awaitClaims(t, a, 4, 1, time.Hour)
	for range 20 {
		require.Empty(t, claimSome(t, b, 10, 10, time.Hour))
	}
	tag, err := pool.Exec(t.Context(), `UPDATE `+a.Schema()+`.owners SET until = clock_timestamp() WHERE id = (SELECT min(id) FROM `+a.Schema()+`.owners)`)
	require.NoError(t, err)
	require.EqualValues(t, 1, tag.RowsAffected())
	require.Empty(t, finishAll(t, a, silent[:1]))
	got := awaitClaims(t, b, 7, 1, time.Hour)
	require.Subset(t, idsOf(got), idsOf(silent[1:]))
	require.Equal(t, idsOf(silent), finishAll(t, a, silent))

	require.Empty(t, claimSome(t, a, 10, 10, time.Hour), "it begins anew, and all is under way")
	require.Empty(t, finishAll(t, b, got))
	enqueueAll(t, a, put, 80)
	served := 0
	require.Eventually(t, func() bool { // they share the slots
		for _, s := range stores {
			some := claimSome(t, s, 100, 100, time.Hour)
			require.Empty(t, finishAll(t, s, some))
			served += len(some)
		}
		return served == 80
	}, patience, 20*time.Millisecond)
}

// ledger notes which attempts were claimed, and demands that each is once.
type ledger struct {
	mu       sync.Mutex
	attempts map[string]int
	twice    []string
	lost     []string
	ended    atomic.Int64
}

// note notes claims, and returns the outcomes: due again at once until the last attempt.
func (l *ledger) note(claimed []alotwebhook.Claimed, attempts int) []alotwebhook.Outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	outcomes := again(claimed)
	for i, c := range claimed {
		if l.attempts[c.DeliveryID]++; l.attempts[c.DeliveryID] != c.Attempt || c.Claims != 1 {
			l.twice = append(l.twice, fmt.Sprintf("%s: attempt %d, claim %d", c.DeliveryID, c.Attempt, c.Claims))
		}
		if c.Attempt == attempts {
			outcomes[i] = outcomesOf(claimed[i : i+1])[0]
		}
	}
	return outcomes
}

// send claims and finishes on a store until n deliveries have ended, each with its last
// attempt, in small batches.
func (l *ledger) send(ctx context.Context, s alotwebhook.Store, n, attempts int, pauses func() error) error {
	for int(l.ended.Load()) < n && ctx.Err() == nil {
		r, err := s.Claim(ctx, alotwebhook.ClaimRequest{Limit: 1 + rand.IntN(20), PerEndpoint: 5, Lease: time.Hour})
		if err != nil {
			return err
		}
		outcomes := l.note(r.Deliveries, attempts)
		if err := pauses(); err != nil {
			return err
		}
		lost, err := s.Finish(ctx, outcomes)
		if err != nil {
			return err
		}
		l.mu.Lock()
		l.lost = append(l.lost, lost...)
		l.mu.Unlock()
		for _, o := range outcomes {
			if o.State == alotwebhook.StateDelivered {
				l.ended.Add(1)
			}
		}
	}
	return ctx.Err()
}

// run has workers send on each store until n deliveries have ended, and requires that no
// attempt was claimed twice and no outcome lost.
func (l *ledger) run(t *testing.T, stores []*postgres.Store, workers, n, attempts int, pauses func(*postgres.Store) error) {
	t.Helper()
	l.attempts = map[string]int{}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	results := make(chan error, workers*len(stores))
	for _, s := range stores {
		for range workers {
			go func() { results <- l.send(ctx, s, n, attempts, func() error { return pauses(s) }) }()
		}
	}
	for range cap(results) {
		if err := <-results; err != nil {
			cancel()
			require.NoError(t, err, "%d of %d have ended; twice: %v; lost: %v", l.ended.Load(), n, l.twice, l.lost)
		}
	}
	require.Empty(t, l.twice)
	require.Empty(t, l.lost)
	require.Zero(t, pendingOf(t, stores[0]))
}

// A claim may have read a row before a Finish changed it. Then it does not give that delivery
// again: each attempt is claimed once, although all are due again at once.
func TestFinishOvertakesClaims(t *testing.T) {
	t.Parallel()
	stores, _ := processes(t, 1)
	const events, attempts = 300, 6
	enqueueAll(t, stores[0], putEndpoints(t, stores[0], 5), events)
	new(ledger).run(t, stores, 8, events, attempts, func(*postgres.Store) error { return nil })
}

// Processes join and leave all the time, so that slots move between all of them at once.
// Nobody fails or waits for ever, and each attempt is claimed once.
func TestSlotsMoveAllTheTime(t *testing.T) {
	t.Parallel()
	stores, _ := processes(t, 4)
	const events, attempts = 1000, 3
	enqueueAll(t, stores[0], putEndpoints(t, stores[0], 50), events)
	new(ledger).run(t, stores, 2, events, attempts, func(s *postgres.Store) error {
		if rand.IntN(8) > 0 {
			return nil
		}
		_, err := s.Claim(context.Background(), alotwebhook.ClaimRequest{PerEndpoint: 5, Lease: time.Hour})
		return err
	})
}

// disable stores the endpoint as disabled.
func disable(t testing.TB, s alotwebhook.Store, id string) {
	t.Helper()
	e, err := s.Endpoint(t.Context(), id)
	require.NoError(t, err)
	e.Disabled = true
	require.NoError(t, s.PutEndpoint(t.Context(), e))
}

// To discard what is parked, a process asks the one that sends to the endpoint what is under
// way. That stays, and the rest is discarded.
func TestDiscardAsksTheOwner(t *testing.T) {
	t.Parallel()
	stores, _ := processes(t, 2)
	a, b := stores[0], stores[1]
	put := putEndpoints(t, a, 1)
	enqueueAll(t, a, put, 5)
	underWay := awaitClaims(t, a, 2, 2, time.Hour)
	disable(t, b, put[0].ID)
	type result struct {
		n   int
		err error
	}
	var got []int
	for len(got) == 0 || got[len(got)-1] > 0 { // a call that got no answer in time discards none
		discarded := make(chan result, 1)
		go func() {
			n, err := b.Discard(context.Background(), put[0].ID, time.Now().Add(time.Hour), 100)
			discarded <- result{n, err}
		}()
		var r result
		require.Eventually(t, func() bool {
			require.Empty(t, claimSome(t, a, 10, 10, time.Hour), "it is disabled")
			select {
			case r = <-discarded:
				return true
			default:
				return false
			}
		}, patience, 10*time.Millisecond)
		require.NoError(t, r.err)
		if r.n > 0 || len(got) > 0 {
			got = append(got, r.n)
		}
	}
	require.Equal(t, []int{3, 0}, got)
	require.Empty(t, finishAll(t, a, underWay))
	requireStates(t, b, map[alotwebhook.DeliveryState]int{alotwebhook.StateDelivered: 2, alotwebhook.StateFailed: 3})
}

// If the process that sends to the endpoint does not answer, whatever it may have under way is
// left alone. What came after the endpoint was disabled it cannot.
func TestDiscardWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	stores, _ := processes(t, 2)
	a, b := stores[0], stores[1]
	put := putEndpoints(t, a, 1)
	enqueueAll(t, a, put, 5)
	underWay := awaitClaims(t, a, 2, 2, time.Hour)
	disable(t, b, put[0].ID)
	enqueueAll(t, b, put, 4)
	n, err := b.Discard(t.Context(), put[0].ID, time.Now().Add(time.Hour), 100)
	require.NoError(t, err)
	require.Equal(t, 4, n)
	require.Empty(t, finishAll(t, a, underWay))
	stopClaiming(t, a) // it is nobody's now
	n, err = b.Discard(t.Context(), put[0].ID, time.Now().Add(time.Hour), 100)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	requireStates(t, b, map[alotwebhook.DeliveryState]int{alotwebhook.StateDelivered: 2, alotwebhook.StateFailed: 7})
}

// requireStates requires that the deliveries, at most 100, have these states.
func requireStates(t testing.TB, s alotwebhook.Store, want map[alotwebhook.DeliveryState]int) {
	t.Helper()
	page, next, err := s.Deliveries(t.Context(), alotwebhook.Filter{Limit: 100})
	require.NoError(t, err)
	require.Empty(t, next)
	got := map[alotwebhook.DeliveryState]int{}
	for _, d := range page {
		got[d.State]++
	}
	require.Equal(t, want, got)
}

// A claim writes nothing: it neither changes nor locks a row of the queue, and but for once a
// second, when the process extends its lease, there is nothing new in the write-ahead log.
func TestClaimWritesNothing(t *testing.T) {
	t.Parallel()
	cluster := postgrestest.New(t, "autovacuum = off", "wal_level = minimal", "max_wal_senders = 0", "checkpoint_timeout = '1h'", "max_wal_size = '4GB'")
	store, pool := openAt(t, cluster.DSN(), small)
	const n, claims = 1000, 20
	putEndpoints(t, store, 50)
	fillQueue(t, pool, store.Schema(), n*(claims+1), 50)
	run(t, pool, `VACUUM`) // sets the hints of all rows, which reading would otherwise
	require.Len(t, claimSome(t, store, n, n, time.Hour), n, "which makes it the owner")
	var rows, position string
	read := func() (wal int64, rowsNow string) {
		var now string
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT md5(string_agg(concat_ws(' ', ctid, xmin, xmax, next_at, token, claims), ',' ORDER BY id)) FROM `+store.Schema()+`.queue`).Scan(&rowsNow))
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT pg_current_wal_insert_lsn()::text`).Scan(&now))
		if position != "" {
			require.NoError(t, pool.QueryRow(t.Context(), `SELECT pg_wal_lsn_diff($1::text::pg_lsn, $2::text::pg_lsn)::bigint`, now, position).Scan(&wal))
		}
		position = now
		return wal, rowsNow
	}
	_, rows = read()
	least := int64(1 << 62)
	for range claims {
		require.Len(t, claimSome(t, store, n, n, time.Hour), n)
		wal, rowsNow := read()
		require.Equal(t, rows, rowsNow)
		least = min(least, wal)
	}
	require.Zero(t, least)
	require.Empty(t, claimSome(t, store, n, n, time.Hour), "all are under way")
}
