package shards_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/shards"
)

func perEndpoint(claims []alotwebhook.Claimed) map[string]int {
	n := map[string]int{}
	for _, c := range claims {
		n[c.Endpoint.ID]++
	}
	return n
}

// A claim uses all of its limit, however the backlog is spread over the shards, and asks few
// times for it.
func TestClaimUsesItsLimit(t *testing.T) {
	t.Parallel()
	p := filledPair(t, 1000, 5)
	require.Len(t, claim(t, p, 1), 1)
	require.Len(t, claim(t, p, 100), 100)
	require.Len(t, claim(t, p, 100), 100)
	require.Len(t, claim(t, p, 1000), 804)
	require.Empty(t, claim(t, p, 1000))
	require.LessOrEqual(t, p.a.count("Claim")+p.b.count("Claim"), int64(15))
}

// tardy is a store that takes its time for a claim.
type tardy struct{ alotwebhook.Store }

func (s tardy) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	time.Sleep(5 * time.Millisecond)
	return s.Store.Claim(ctx, c)
}

// A claim that asks a shard again gets once more what it has got, if the lease of that has run out by
// then. It returns each delivery once, under its newest token, so that its outcome counts.
func TestClaimReturnsEachOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t, map[string]alotwebhook.Store{"a": tardy{memory.New()}, "b": tardy{memory.New()}}, shards.Config{Places: byPrefix, Patience: patient})
	put(t, s, "org_a")
	enqueue(t, s, "org_a", 40)
	got, err := s.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 60, PerEndpoint: 1000, Lease: time.Millisecond})
	require.NoError(t, err)
	claims := got.Deliveries
	seen := map[string]bool{}
	for _, c := range claims {
		require.False(t, seen[c.DeliveryID], c.DeliveryID)
		seen[c.DeliveryID] = true
	}
	require.Len(t, seen, 40)
	lost, err := s.Finish(t.Context(), delivered(claims...))
	require.NoError(t, err)
	require.Empty(t, lost)
}

// Endpoints take turns by their number, not by that of the shards: one alone in its shard
// does not get half of everything.
func TestClaimSharesByEndpoints(t *testing.T) {
	t.Parallel()
	p := newPair(t, patient)
	alone := put(t, p, "org_a")
	enqueue(t, p, "org_a", 2000)
	const many = 39
	for range many {
		put(t, p, "org_b")
	}
	enqueue(t, p, "org_b", 200)
	total := map[string]int{}
	for range 30 {
		for id, n := range perEndpoint(claim(t, p, 80)) {
			total[id] += n
		}
	}
	require.Len(t, total, 1+many)
	for id, n := range total {
		if id != alone.ID {
			require.Greater(t, n, 40, "of 60")
		}
	}
	require.Less(t, total[alone.ID], 600, "of 2,400")
}

// No endpoint gets more than its slots in one claim, though the claim asks a shard twice.
func TestClaimKeepsSlots(t *testing.T) {
	t.Parallel()
	p := newPair(t, patient)
	a, b, c := put(t, p, "org_a"), put(t, p, "org_a"), put(t, p, "org_b")
	enqueue(t, p, "org_a", 50)
	enqueue(t, p, "org_b", 50)
	busy := map[string]int{a.ID: 3}
	got := claimAs(t, p, alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 10, Busy: busy, Unlisted: 4})
	require.Equal(t, map[string]int{a.ID: 7, b.ID: 4, c.ID: 4}, perEndpoint(got))
	require.Equal(t, map[string]int{a.ID: 3}, busy)
	got = claimAs(t, p, alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 10, Unlisted: -1, Withheld: map[string]bool{"org_b": true}})
	require.Empty(t, got)
	got = claimAs(t, p, alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 10, Withheld: map[string]bool{"org_b": true}})
	require.Equal(t, map[string]int{a.ID: 10, b.ID: 10}, perEndpoint(got))
}

// heard counts what a listener hears.
func heard(t *testing.T, s *shards.Store) *atomic.Int64 {
	t.Helper()
	var n atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() { _ = s.Listen(ctx, func() { n.Add(1) }) }()
	return &n
}

// What a shard gives late comes with the next claim, and whoever listens hears of it. It is
// leased once.
func TestLateAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 50*time.Millisecond)
		put(t, p, "org_a")
		b := put(t, p, "org_b")
		enqueue(t, p, "org_a", 3)
		enqueue(t, p, "org_b", 3)
		words := heard(t, p.Store)
		synctest.Wait()
		before := words.Load()
		p.b.way.Store(slow)
		began := time.Now()
		require.Len(t, claim(t, p, 10), 3, "those of a")
		require.Equal(t, 50*time.Millisecond, time.Since(began))
		require.Empty(t, claim(t, p, 10))
		require.Equal(t, 50*time.Millisecond, time.Since(began), "it is not waited for again")
		require.EqualValues(t, 1, p.b.count("Claim"), "and not asked again meanwhile")
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		require.Greater(t, words.Load(), before)
		began = time.Now()
		got := claim(t, p, 10)
		require.Equal(t, map[string]int{b.ID: 3}, perEndpoint(got))
		require.Zero(t, time.Since(began), "the shard is asked again, and not waited for")
		require.NoError(t, errOf(p.Finish(t.Context(), delivered(got...))))
		stats, err := p.a.Stats(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 3, stats.Pending)
		time.Sleep(time.Second)
	})
}

// A late answer that nobody takes in time, or for which there is no slot any more, is given
// back: others can claim it at once.
func TestLateAnswerIsGivenBack(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, p *pair, e alotwebhook.Endpoint){
		"too late": func(t *testing.T, p *pair, _ alotwebhook.Endpoint) { time.Sleep(time.Hour / 4) },
		"no slot": func(t *testing.T, p *pair, e alotwebhook.Endpoint) {
			require.Empty(t, claimAs(t, p, alotwebhook.ClaimRequest{Limit: 10, PerEndpoint: 10, Busy: map[string]int{e.ID: 10}}))
		},
		"the end of a run": func(t *testing.T, p *pair, _ alotwebhook.Endpoint) {
			require.Empty(t, claimAs(t, p, alotwebhook.ClaimRequest{}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, 50*time.Millisecond)
				e := put(t, p, "org_b")
				enqueue(t, p, "org_b", 3)
				p.b.way.Store(slow)
				require.Empty(t, claim(t, p, 10))
				time.Sleep(time.Second)
				p.b.way.Store(well)
				require.Empty(t, claim(t, p.b, 10), "they are leased")
				end(t, p, e)
				time.Sleep(time.Second)
				got := claim(t, p.b, 10)
				require.Len(t, got, 3)
				require.Equal(t, 1, got[0].Claims, "as if never claimed")
			})
		})
	}
}

// The end of a run does not wait for a shard that hangs. What that gives later is given
// back.
func TestLeavingWhileAShardHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 50*time.Millisecond)
		put(t, p, "org_b")
		enqueue(t, p, "org_b", 3)
		p.b.way.Store(stubborn)
		require.Empty(t, claim(t, p, 10))
		began := time.Now()
		require.Empty(t, claimAs(t, p, alotwebhook.ClaimRequest{}))
		require.Zero(t, time.Since(began))
		time.Sleep(5 * time.Second)
		p.b.way.Store(well)
		close(p.b.cured)
		time.Sleep(time.Second)
		require.Len(t, claim(t, p.b, 10), 3)
	})
}

// While all shards fail, a claim does, too, and names them. It asks them more and more
// seldom, and again at once when that time is over.
func TestAllFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 50*time.Millisecond)
		put(t, p, "org_b")
		enqueue(t, p, "org_b", 1)
		words := heard(t, p.Store)
		p.a.way.Store(fails)
		p.b.way.Store(fails)
		for range 6000 {
			_, err := p.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 1, PerEndpoint: 1, Lease: time.Minute})
			require.ErrorIs(t, err, errDown)
			time.Sleep(10 * time.Millisecond)
		}
		_, err := p.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 10, PerEndpoint: 1, Lease: time.Minute})
		require.EqualError(t, err, `alotwebhook: shard "a": the database is away; shard "b": the database is away`)
		require.Less(t, p.b.count("Claim"), int64(60), "in a minute")
		p.b.way.Store(well)
		before := words.Load()
		time.Sleep(6 * time.Second)
		require.Greater(t, words.Load(), before)
		require.Len(t, claim(t, p, 10), 1)
	})
}

// Outcomes of several shards in one batch, which only a wrapped store gives: a shard that is
// known to take none has the whole batch refused, so that those of the others come by
// themselves; nothing is stored twice.
func TestFinishMixed(t *testing.T) {
	t.Parallel()
	p := filledPair(t, 3, 3)
	claims := claim(t, p, 10)
	require.Len(t, claims, 6)
	stale := claims[0]
	stale.Token++
	lost, err := p.Finish(t.Context(), delivered(stale, claims[5]))
	require.NoError(t, err)
	require.Equal(t, []string{stale.DeliveryID}, lost)

	p.b.way.Store(fails)
	outcomes := delivered(claims[:5]...)
	_, err = p.Finish(t.Context(), outcomes)
	require.ErrorIs(t, err, errDown)
	for i := range outcomes {
		for range 10 {
			_, _ = p.Finish(t.Context(), outcomes[i:i+1])
		}
	}
	stored := p.a.count("Finish")
	_, err = p.Finish(t.Context(), outcomes)
	require.ErrorContains(t, err, `shard "b": takes no outcomes at the moment`)
	require.Equal(t, stored, p.a.count("Finish"))
	p.b.way.Store(well)
	for i := range outcomes {
		_, err := p.Finish(t.Context(), outcomes[i:i+1])
		require.NoError(t, err)
	}
	require.NoError(t, errOf(p.Finish(t.Context(), outcomes)))
	list, _, err := p.Deliveries(t.Context(), alotwebhook.Filter{State: alotwebhook.StateDelivered})
	require.NoError(t, err)
	require.Len(t, list, 6)
	for _, d := range list {
		require.Equal(t, 1, d.AttemptCount)
	}
}

// Another Store value over the same shards may finish what this one has claimed, as far as
// the shards allow it: it asks all of them.
func TestFinishElsewhere(t *testing.T) {
	t.Parallel()
	stores := map[string]alotwebhook.Store{"a": memory.New(), "b": memory.New()}
	one, other := newStore(t, stores, shards.Config{Places: byPrefix}), newStore(t, stores, shards.Config{Places: byPrefix})
	for _, organization := range []string{"org_a", "org_b"} {
		put(t, one, organization)
		enqueue(t, one, organization, 2)
	}
	claims := claim(t, one, 10)
	require.Len(t, claims, 4)
	lost, err := other.Finish(t.Context(), delivered(claims...))
	require.NoError(t, err)
	require.Empty(t, lost)
	lost, err = other.Finish(t.Context(), delivered(claims...))
	require.NoError(t, err)
	require.Len(t, lost, 4)
}

// notifying is a shard that notifies. Listen ends with an error now and then.
type notifying struct {
	*memory.Store
	notified atomic.Int64
	heard    chan error
}

func (n *notifying) Notify() { n.notified.Add(1) }

func (n *notifying) Listen(ctx context.Context, heard func()) error {
	for {
		select {
		case err := <-n.heard:
			if err != nil {
				return err
			}
			heard()
		case <-ctx.Done():
			return nil
		}
	}
}

// wrapped is a store on top of another, and says so.
type wrapped struct{ alotwebhook.Store }

func (w wrapped) Unwrap() alotwebhook.Store { return w.Store }

// Notifications of every shard are heard, and one whose connection breaks is listened to
// again.
func TestNotify(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := &notifying{Store: memory.New(), heard: make(chan error)}, &notifying{Store: memory.New(), heard: make(chan error)}
		s := newStore(t, map[string]alotwebhook.Store{"a": a, "b": wrapped{b}, "c": memory.New()}, shards.Config{})
		s.Notify()
		require.EqualValues(t, 1, a.notified.Load())
		require.EqualValues(t, 1, b.notified.Load())
		words := heard(t, s)
		for i, say := range []func(){
			func() {}, func() { a.heard <- nil }, func() { b.heard <- nil },
			func() { a.heard <- errors.New("lost"); time.Sleep(time.Minute); a.heard <- nil },
		} {
			say()
			synctest.Wait()
			require.EqualValues(t, 1+i, words.Load(), fmt.Sprint(i))
		}
	})
}
