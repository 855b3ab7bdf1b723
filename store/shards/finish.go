package shards

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

// Finish implements [alotwebhook.Queue]. The outcomes go to the shards that they were
// claimed from. A batch for one shard is stored whole or not at all, and so is a batch for
// several if one of them is known to fail. Otherwise each shard stores its part: after an
// error, those that have done so tell of their outcomes as lost when the batch comes again.
//
// A dispatcher gives the outcomes of each shard by themselves: see [Store.Parts].
func (s *Store) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) (lost []string, err error) {
	if sh := s.soleShard(outcomes); sh != nil {
		return s.finish(ctx, sh, outcomes)
	}
	parts, strays := s.partsOf(outcomes)
	list := keys(parts)
	if err := ended(ctx); err != nil {
		return nil, err
	}
	if err := s.refuse(list); err != nil {
		return nil, err
	}
	lists, err := answersOf(ctx, list, func(ctx context.Context, sh *shard) ([]string, error) {
		return s.finish(ctx, sh, parts[sh])
	})
	if err != nil {
		return nil, err
	}
	astray, err := s.finishStrays(ctx, strays)
	return append(slices.Concat(lists...), astray...), err
}

// soleShard returns the shard that all outcomes were claimed from, or nil.
func (s *Store) soleShard(outcomes []alotwebhook.Outcome) (sole *shard) {
	for i := range outcomes {
		c, ok := s.claimed.get(outcomes[i].DeliveryID)
		if !ok || sole != nil && sole != c.shard {
			return nil
		}
		sole = c.shard
	}
	return sole
}

// partsOf returns the outcomes by the shard that they were claimed from. Strays are those
// that were not claimed here, or long ago.
func (s *Store) partsOf(outcomes []alotwebhook.Outcome) (parts map[*shard][]alotwebhook.Outcome, strays []alotwebhook.Outcome) {
	parts = map[*shard][]alotwebhook.Outcome{}
	for _, o := range outcomes {
		if c, ok := s.claimed.get(o.DeliveryID); ok {
			parts[c.shard] = append(parts[c.shard], o)
		} else {
			strays = append(strays, o)
		}
	}
	return parts, strays
}

// refuse returns an error if one of the shards has failed to take outcomes lately.
func (s *Store) refuse(list []*shard) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range list {
		if sh.claims.isDoubtful(time.Now()) {
			return sh.explain(errors.New("takes no outcomes at the moment, so those of other shards must come by themselves"))
		}
	}
	return nil
}

// finish stores outcomes in one shard.
func (s *Store) finish(ctx context.Context, sh *shard, outcomes []alotwebhook.Outcome) ([]string, error) {
	end := s.beginFinish(sh)
	lost, err := sh.store.Finish(ctx, outcomes)
	end(err)
	if err != nil {
		return nil, sh.explain(err)
	}
	for i := range outcomes {
		if o := &outcomes[i]; !o.Held && (len(lost) == 0 || !slices.Contains(lost, o.DeliveryID)) {
			s.claimed.drop(o.DeliveryID, func(c claim) bool { return c.token == o.Token })
		}
	}
	return lost, nil
}

// finishStrays offers outcomes to all shards: one of them may know the token.
func (s *Store) finishStrays(ctx context.Context, strays []alotwebhook.Outcome) (lost []string, err error) {
	if len(strays) == 0 {
		return nil, nil
	}
	lists, err := answersOf(ctx, s.shards, func(ctx context.Context, sh *shard) ([]string, error) {
		return sh.store.Finish(ctx, strays)
	})
	if err != nil {
		return nil, err
	}
	lost = lists[0]
	for _, others := range lists[1:] {
		lost = slices.DeleteFunc(lost, func(id string) bool { return !slices.Contains(others, id) })
	}
	return lost, nil
}

// beginFinish notes that outcomes go to a shard. The returned function notes how that ended.
func (s *Store) beginFinish(sh *shard) (end func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &sh.claims
	c.numbered++
	number, began := c.numbered, time.Now()
	c.finishes[number] = began
	return func(err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(c.finishes, number)
		switch {
		case err == nil:
			c.failed = 0
		case time.Since(began) > longFailed:
			c.failed = manyFailed
		default:
			c.failed++
		}
	}
}

const (
	// manyFailed is how many calls of Finish may fail in a row before the shard is in doubt.
	// One outcome that is at fault by itself makes some fail: a batch with it is halved until
	// it is alone.
	manyFailed = 12
	// longFinish is how long a call of Finish may last before the shard is in doubt, and
	// longFailed how long one that fails in the end.
	longFinish, longFailed = 5 * time.Second, time.Second
)

// isDoubtful reports whether the shard seems to take no outcomes. The caller holds Store.mu.
func (c *claims) isDoubtful(now time.Time) bool {
	for _, began := range c.finishes {
		if now.Sub(began) > longFinish {
			return true
		}
	}
	return c.failed >= manyFailed
}

// Parts returns the number of shards. A dispatcher records the outcomes of each of them by
// themselves, so that a shard that takes none holds up no others.
func (s *Store) Parts() int { return len(s.shards) }

// PartOf returns the number of the shard that a delivery was claimed from last, from 0 in
// the order of the names; 0 if it is not known.
func (s *Store) PartOf(deliveryID string) int {
	if c, ok := s.claimed.get(deliveryID); ok {
		return c.shard.index
	}
	return 0
}

// noteClaim notes where a delivery was claimed.
func (s *Store) noteClaim(deliveryID string, c claim) { s.claimed.put(deliveryID, c) }
