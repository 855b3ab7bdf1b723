package shards

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/pace"
)

// tallies are what a shard could not be given yet.
type tallies struct {
	mu      sync.Mutex
	pending map[tallyKey]*alotwebhook.Tally
	out     int  // calls under way
	failing bool // the last call failed, or was not in time
	episode pace.Episode
}

type tallyKey struct {
	endpointID string
	hour       int64 // Unix time
}

// maxTallies bounds the memory of what a shard could not be given.
const maxTallies = 50_000

// AddTallies implements [alotwebhook.Tallier]. What a shard does not take, or not in time,
// is kept in memory and goes with the next call, so that it is neither lost nor counted
// twice in the others. An error says that nothing was stored or kept, because an endpoint
// could not be found out about. A shard that is no Tallier gets none.
func (s *Store) AddTallies(ctx context.Context, list []alotwebhook.Tally) error {
	if err := ended(ctx); err != nil {
		return err
	}
	at := map[*shard][]alotwebhook.Tally{}
	for _, t := range list {
		sh, err := s.tallyPlace(ctx, t.EndpointID)
		if err != nil {
			return err
		}
		at[sh] = append(at[sh], t)
	}
	waiting := map[*shard]<-chan struct{}{}
	for _, sh := range s.shards {
		if part := at[sh]; sh.tallier != nil && (len(part) > 0 || sh.tallies.some()) {
			waiting[sh] = sh.addTallies(ctx, part)
		}
	}
	// The end of ctx leaves nothing open: what is under way is stored, or kept for later.
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.patience)
	defer cancel()
	for sh, done := range waiting {
		select {
		case <-done:
		case <-patience.Done():
			sh.tallies.slow()
		}
	}
	return nil
}

// tallyPlace returns the shard for the tallies of an endpoint: its home, or any if nobody
// knows the endpoint.
func (s *Store) tallyPlace(ctx context.Context, endpointID string) (*shard, error) {
	list, err := s.placesOfEndpoint(ctx, endpointID)
	if err != nil {
		return nil, err
	}
	if _, known := s.organizations.get(endpointID); known {
		return list[0], nil
	}
	h := fnv.New32a()
	h.Write([]byte(endpointID))
	return s.shards[h.Sum32()%uint32(len(s.shards))], nil
}

// addTallies adds to the tallies of a shard, together with what it could not be given
// before. The channel is closed when that has ended; an error keeps all for later.
func (sh *shard) addTallies(ctx context.Context, part []alotwebhook.Tally) <-chan struct{} {
	done := make(chan struct{})
	batch := sh.tallies.take(part)
	if batch == nil {
		close(done)
		return done
	}
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		sh.tallies.ended(batch, sh.tallier.AddTallies(ctx, batch))
	}()
	return done
}

// slow notes that a call was not in time.
func (t *tallies) slow() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failing = t.out > 0
}

func (t *tallies) some() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.pending) > 0
}

// take returns a part with what is pending. While the shard fails and a call is under way,
// it keeps all and returns nil.
func (t *tallies) take(part []alotwebhook.Tally) []alotwebhook.Tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failing && t.out > 0 {
		t.keep(part)
		return nil
	}
	batch := slices.Clone(part)
	for _, pending := range t.pending {
		batch = append(batch, *pending)
	}
	clear(t.pending)
	t.out++
	return batch
}

// keep adds tallies to what is pending. The caller holds mu.
func (t *tallies) keep(list []alotwebhook.Tally) {
	for _, one := range list {
		key := tallyKey{one.EndpointID, one.Hour.Unix()}
		switch sum := t.pending[key]; {
		case sum != nil:
			sum.Add(one)
		case len(t.pending) < maxTallies:
			one.Reasons = maps.Clone(one.Reasons)
			t.pending[key] = &one
		}
	}
}

// ended notes how a call has ended.
func (t *tallies) ended(batch []alotwebhook.Tally, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out--
	t.failing = err != nil
	if err != nil {
		t.episode.Failed(err)
		t.keep(batch)
		return
	}
	t.episode.Over()
}

// Tallies implements [alotwebhook.Tallier]. The error is an [errors.ErrUnsupported] if no
// shard is one.
func (s *Store) Tallies(ctx context.Context, endpointIDs []string, since time.Time) ([]alotwebhook.Tally, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	at, err := s.tallyPlaces(ctx, endpointIDs)
	if err != nil {
		return nil, err
	}
	lists, err := gather(ctx, keys(at), func(ctx context.Context, sh *shard) ([]alotwebhook.Tally, error) {
		return sh.tallier.Tallies(ctx, at[sh], since)
	})
	if err != nil {
		return nil, err
	}
	return sumTallies(lists), nil
}

// tallyPlaces returns which endpoints to ask of which shards.
func (s *Store) tallyPlaces(ctx context.Context, endpointIDs []string) (map[*shard][]string, error) {
	supported := slices.ContainsFunc(s.shards, func(sh *shard) bool { return sh.tallier != nil })
	if !supported {
		return nil, fmt.Errorf("alotwebhook: shards: no shard keeps tallies: %w", errors.ErrUnsupported)
	}
	at := map[*shard][]string{}
	for _, id := range endpointIDs {
		list, err := s.placesOfEndpoint(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, sh := range list {
			if sh.tallier != nil {
				at[sh] = append(at[sh], id)
			}
		}
	}
	return at, nil
}

// sumTallies adds up the tallies of several shards.
func sumTallies(lists [][]alotwebhook.Tally) []alotwebhook.Tally {
	if len(lists) == 1 {
		return lists[0]
	}
	sums := map[tallyKey]*alotwebhook.Tally{}
	for _, t := range slices.Concat(lists...) {
		key := tallyKey{t.EndpointID, t.Hour.Unix()}
		if sum := sums[key]; sum != nil {
			sum.Add(t)
			continue
		}
		sums[key] = &t
	}
	all := make([]alotwebhook.Tally, 0, len(sums))
	for _, t := range sums {
		all = append(all, *t)
	}
	slices.SortFunc(all, func(a, b alotwebhook.Tally) int {
		return cmp.Or(cmp.Compare(a.EndpointID, b.EndpointID), a.Hour.Compare(b.Hour))
	})
	return all
}
