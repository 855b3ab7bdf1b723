package shards

import (
	"context"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/pace"
)

// takeBack keeps what a shard gave after Claim had left it, for the next claim. The caller
// holds mu.
func (s *Store) takeBack(c *call) {
	c.shard.claims.out--
	switch {
	case c.shard.claims.leaving:
		s.giveBack(c.shard, c.got.Deliveries)
		s.leaveLate(c.shard, c.lease)
	case len(c.got.Deliveries) > 0:
		fresh := c.lease / 4
		s.late = append(s.late, late{c.shard, c.got.Deliveries, c.began.Add(fresh)})
		time.AfterFunc(time.Until(c.began.Add(fresh)), s.dropStale)
	}
	s.wakeAll()
}

// takeLate hands out what came late. What is left waits for the next claim.
func (k *claiming) takeLate() {
	k.s.dropStale()
	k.s.mu.Lock()
	waiting := k.s.late
	k.s.late = nil
	k.s.mu.Unlock()
	for i := range waiting {
		l := &waiting[i]
		n := min(k.room(), len(l.list))
		k.s.giveBack(l.shard, k.hand(l.shard, l.list[:n]))
		if l.list = l.list[n:]; len(l.list) > 0 {
			k.s.mu.Lock()
			k.s.late = append(k.s.late, *l)
			k.s.mu.Unlock()
		}
	}
}

// dropStale gives back what nobody has claimed for too long.
func (s *Store) dropStale() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var fresh []late
	for _, l := range s.late {
		if time.Now().Before(l.stale) {
			fresh = append(fresh, l)
		} else {
			s.giveBack(l.shard, l.list)
		}
	}
	s.late = fresh
}

// giveBack releases deliveries that nobody has got: they are as if never claimed. If that
// fails, their leases run out.
func (s *Store) giveBack(sh *shard, list []alotwebhook.Claimed) {
	if len(list) == 0 {
		return
	}
	outcomes := make([]alotwebhook.Outcome, len(list))
	for i := range list {
		outcomes[i] = alotwebhook.Outcome{DeliveryID: list[i].DeliveryID, Token: list[i].Token, State: alotwebhook.StatePending}
		if list[i].Endpoint.Ordered && !list[i].Test { // a test has no part in the order
			outcomes[i].HoldsUp = 1 // it keeps its place
		}
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
		defer cancel()
		_, _ = sh.store.Finish(ctx, outcomes)
		s.wake()
	}()
}

// leave tells all shards that there are no more claims for now, and gives back what came
// late. It does not wait for a shard that fails.
func (s *Store) leave(ctx context.Context, c alotwebhook.ClaimRequest) error {
	s.mu.Lock()
	var free []*shard
	for _, sh := range s.shards {
		sh.claims.leaving = true
		if sh.claims.out == 0 {
			free = append(free, sh)
		}
	}
	for _, l := range s.late {
		s.giveBack(l.shard, l.list)
	}
	s.late = nil
	s.mu.Unlock()
	well, ill := s.byHealth(free)
	for _, sh := range ill {
		s.leaveLate(sh, c.Lease)
	}
	wait, cancel := context.WithTimeout(ctx, max(leaveTimeout, s.patience))
	defer cancel()
	answers := ask(context.WithoutCancel(ctx), well, inTime(func(ctx context.Context, sh *shard) (struct{}, error) {
		return struct{}{}, sh.leave(ctx, c.Lease)
	}))
	for range well {
		select {
		case <-answers: // an error changes nothing: what the shard holds ends by itself
		case <-wait.Done():
			return ctx.Err()
		}
	}
	return nil
}

// leave is a claim without a limit.
func (sh *shard) leave(ctx context.Context, lease time.Duration) error {
	_, err := sh.store.Claim(ctx, alotwebhook.ClaimRequest{PerEndpoint: 1, Lease: lease})
	return err
}

// leaveLate is leave for a shard that nobody waits for.
func (s *Store) leaveLate(sh *shard, lease time.Duration) {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), claimTimeout)
		defer cancel()
		_ = sh.leave(ctx, lease)
	}()
}

// wake has those that listen claim: something came late, or a shard may be asked again.
func (s *Store) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakeAll()
}

// wakeAll is wake for a caller that holds mu.
func (s *Store) wakeAll() {
	for c := range s.listeners {
		pace.Wake(c)
	}
}
