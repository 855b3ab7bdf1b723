package shards

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/pace"
)

// Operations implements [alotwebhook.Operations].
func (s *Store) Operations(ctx context.Context, f alotwebhook.OperationFilter) ([]alotwebhook.Operation, string, error) {
	list, err := s.selected(f.OrganizationID)
	if f.OrganizationID == "" && f.EndpointID != "" {
		list, err = s.placesOfEndpoint(ctx, f.EndpointID)
	}
	if err != nil {
		return nil, "", err
	}
	pages, err := gather(ctx, list, func(ctx context.Context, sh *shard) (page[alotwebhook.Operation], error) {
		items, next, err := sh.store.Operations(ctx, f)
		return page[alotwebhook.Operation]{items, next, sh}, err
	})
	if err != nil {
		return nil, "", err
	}
	items, next := join(pages, merging[alotwebhook.Operation]{limit: f.Limit, descending: true, id: func(o *alotwebhook.Operation) string { return o.ID }})
	return items, next, nil
}

// operations is how the claims of a shard's operations fare. Store.mu guards it.
type operations struct {
	out     bool // a claim is under way that nobody waits for
	late    []alotwebhook.Operation
	stale   time.Time // when so much of the lease of what is late has passed that it must not be handled any more
	episode pace.Episode
}

// operationClaim is a claim of one shard's operations.
type operationClaim struct {
	shard *shard
	limit int
	got   []alotwebhook.Operation
	err   error
	left  bool // nobody waits for it any more; Store.mu guards it
}

// ClaimOperations implements [alotwebhook.Operations]. It asks all shards at once, each for its
// share, and then those that had more for what the others left. A shard that does not answer is
// left after [Config.Patience]: what it gives later comes with the next claim. The error is that
// of all shards if none of them can be claimed from.
func (s *Store) ClaimOperations(ctx context.Context, limit int, lease time.Duration) (claimed []alotwebhook.Operation, err error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	claimed, asked := s.lateOperations(limit)
	answered := len(claimed) > 0 || len(asked) < len(s.shards)
	var errs []error
	for len(asked) > 0 && len(claimed) < limit {
		room := limit - len(claimed)
		now := asked[:min(len(asked), room)]
		asked = slices.Clone(asked[len(now):])
		for _, c := range s.askForOperations(ctx, now, max(1, room/(len(now)+len(asked))), lease) {
			if c.err != nil {
				errs = append(errs, c.shard.explain(c.err))
				continue
			}
			answered = true
			if claimed = added(claimed, c.got); len(c.got) == c.limit {
				asked = append(asked, c.shard)
			}
		}
	}
	if !answered {
		return nil, joined(errs)
	}
	slices.SortFunc(claimed, func(a, b alotwebhook.Operation) int { return cmp.Compare(a.ID, b.ID) })
	return claimed, nil
}

// added returns all with more. An operation whose lease has run out meanwhile may be in both.
func added(all, more []alotwebhook.Operation) []alotwebhook.Operation {
	for _, o := range more {
		all = slices.DeleteFunc(all, func(before alotwebhook.Operation) bool { return before.ID == o.ID })
		all = append(all, o)
	}
	return all
}

// lateOperations returns up to limit operations that came after their claim was left, and the
// shards that can be asked for more, beginning with another one each time.
func (s *Store) lateOperations(limit int) (late []alotwebhook.Operation, free []*shard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tellTurn++
	for i := range s.shards {
		sh := s.shards[(s.tellTurn+i)%len(s.shards)]
		o := &sh.operations
		if !time.Now().Before(o.stale) {
			o.late = nil
		}
		n := min(len(o.late), max(limit-len(late), 0))
		late, o.late = append(late, o.late[:n]...), o.late[n:]
		if !o.out {
			free = append(free, sh)
		}
	}
	return late, free
}

// askForOperations claims from these shards and returns the answers that come in time.
func (s *Store) askForOperations(ctx context.Context, of []*shard, limit int, lease time.Duration) (answers []*operationClaim) {
	came := make(chan *operationClaim, len(of))
	calls := make([]*operationClaim, len(of))
	for i, sh := range of {
		calls[i] = &operationClaim{shard: sh, limit: limit}
		go s.claimOperations(context.WithoutCancel(ctx), calls[i], lease, came)
	}
	patience := time.NewTimer(s.patience)
	defer patience.Stop()
	for range of {
		select {
		case c := <-came:
			answers = append(answers, c)
			continue
		case <-patience.C:
		case <-ctx.Done():
		}
		break
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range calls {
		if !slices.Contains(answers, c) {
			c.left, c.shard.operations.out = true, true
		}
	}
	for len(came) > 0 { // meanwhile
		c := <-came
		c.left, c.shard.operations.out = false, false
		answers = append(answers, c)
	}
	return answers
}

// claimOperations claims from one shard. What comes after the claim was left is kept for the
// next.
func (s *Store) claimOperations(ctx context.Context, c *operationClaim, lease time.Duration, came chan<- *operationClaim) {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	began := time.Now()
	c.got, c.err = c.shard.store.ClaimOperations(ctx, c.limit, lease)
	for i := range c.got {
		s.told.put(c.got[i].ID, c.shard)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &c.shard.operations
	if c.err != nil {
		o.episode.Failed(c.err)
	} else {
		o.episode.Over()
	}
	if !c.left {
		came <- c
		return
	}
	o.out, o.late, o.stale = false, append(o.late, c.got...), began.Add(lease/4)
}

// FinishOperations implements [alotwebhook.Operations]. The operations of a shard that does not
// answer in time are claimed again; the error then says so. All others are finished.
func (s *Store) FinishOperations(ctx context.Context, ids []string, again time.Duration) error {
	if err := ended(ctx); err != nil || len(ids) == 0 {
		return err
	}
	at := map[*shard][]string{}
	for _, id := range ids {
		if sh, ok := s.told.get(id); ok {
			at[sh] = append(at[sh], id)
			continue
		}
		for _, sh := range s.shards { // those that do not know it leave it alone
			at[sh] = append(at[sh], id)
		}
	}
	wait, cancel := context.WithTimeout(ctx, max(leaveTimeout, s.patience))
	defer cancel()
	_, err := answersOf(wait, keys(at), func(_ context.Context, sh *shard) (struct{}, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		return struct{}{}, sh.store.FinishOperations(ctx, at[sh], again)
	})
	return err
}
