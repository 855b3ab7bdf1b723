package storetest

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// RunShared tests each rule of [alotwebhook.Store] on several Store values over one
// database, as several processes have them. Whatever a value knows by itself, such as a
// cache, a lock in memory or who has which turn, shows here and not in [Run]. It calls open
// once for each rule, from several goroutines at the same time. Each call must return at
// least two Store values over one database that is new and empty, and close them by
// tb.Cleanup.
//
// Each call of a method goes to another value, with two exceptions that the contract makes:
// Finish goes to the value whose Claim gave the delivery, and nothing counts as not due
// before the Claim of every value has returned nothing.
func RunShared(t *testing.T, open func(tb testing.TB) []alotwebhook.Store) {
	t.Helper()
	withoutTurns := slices.DeleteFunc(slices.Clone(topics), func(t topic) bool { return t.name == "Fairness" })
	runRules(t, withoutTurns, func(tb testing.TB) *trial {
		tb.Helper()
		values := open(tb)
		require.Greater(tb, len(values), 1, "RunShared needs several Store values; for one there is Run")
		return &trial{store: share(values), values: len(values)}
	})
}

// share returns a store that passes each call on to one of the values.
func share(values []alotwebhook.Store) *shared {
	return &shared{values: values, choice: rand.New(rand.NewPCG(1, 2)), claims: map[claimKey]int{}}
}

// shared is a store over several others.
type shared struct {
	values []alotwebhook.Store

	mu     sync.Mutex
	choice *rand.Rand       // chooses the value for each call
	turns  int              // how many claims began
	claims map[claimKey]int // the value that gave each claim
}

// claimKey names a claim of a delivery.
type claimKey struct {
	deliveryID string
	token      int64
}

// next returns the value for the next call: any one, as a rhythm might meet that of a test.
func (s *shared) next() alotwebhook.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[s.choice.IntN(len(s.values))]
}

// firstAsked returns the value that the next claim asks first. Claims take turns, so that
// each value's endpoints have theirs.
func (s *shared) firstAsked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turns++
	return s.turns
}

// patientLease is the shortest lease under which a claim goes on to the other values when
// it has some deliveries already: a shorter one might run out meanwhile.
const patientLease = time.Second

// emptyRounds is after how many rounds in which no value gave anything nothing counts as due:
// while a value hands on its part of the queue, one that was asked before may be given it.
const emptyRounds = 2

// Claim asks one value until it gives no more, as a dispatcher does, and then the others in
// the same way. With a Limit of 0 it asks all of them.
func (s *shared) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (all alotwebhook.ClaimResult, err error) {
	c.Busy = maps.Clone(c.Busy)
	if c.Busy == nil {
		c.Busy = map[string]int{}
	}
	last := c.Limit <= 0
	first := s.firstAsked()
	for empty := 0; empty < emptyRounds; {
		before := len(all.Deliveries)
		all.NextIn = 0
		for i := range s.values {
			nextIn, err := s.claimFrom(ctx, (first+i)%len(s.values), &c, &all.Deliveries)
			if err != nil {
				return all, err
			}
			if nextIn > 0 && (all.NextIn == 0 || nextIn < all.NextIn) {
				all.NextIn = nextIn
			}
			if !last && c.Limit <= 0 || c.Lease < patientLease && len(all.Deliveries) > 0 {
				return all, nil
			}
		}
		if last {
			break
		}
		if empty++; len(all.Deliveries) > before {
			empty = 0
		}
	}
	return all, nil
}

// leave has all values write down what they have under way: the next call needs to know it.
func (s *shared) leave(ctx context.Context) error {
	_, err := s.Claim(ctx, alotwebhook.ClaimRequest{PerEndpoint: 1, Lease: time.Minute})
	return err
}

// claimFrom claims from one value until it gives no more. It appends to got, and lowers the
// slots of c by what it got.
func (s *shared) claimFrom(ctx context.Context, value int, c *alotwebhook.ClaimRequest, got *[]alotwebhook.Claimed) (nextIn time.Duration, err error) {
	for {
		more, err := s.values[value].Claim(ctx, *c)
		if err != nil {
			return 0, err
		}
		s.note(value, more.Deliveries)
		for _, d := range more.Deliveries {
			if _, listed := c.Busy[d.Endpoint.ID]; !listed {
				c.Busy[d.Endpoint.ID] = c.PerEndpoint - c.Free(d.Endpoint.ID, "")
			}
			c.Busy[d.Endpoint.ID]++
		}
		c.Limit -= len(more.Deliveries)
		*got = append(*got, more.Deliveries...)
		if len(more.Deliveries) == 0 || c.Limit <= 0 || c.Lease < patientLease {
			return more.NextIn, nil
		}
	}
}

// note keeps which value gave these claims.
func (s *shared) note(value int, claims []alotwebhook.Claimed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range claims {
		s.claims[claimKey{c.DeliveryID, c.Token}] = value
	}
}

// Finish hands each outcome to the value that gave its claim, and all other outcomes to the
// value of the first one that has one.
func (s *shared) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) (lost []string, err error) {
	order, parts := s.partition(outcomes)
	for _, value := range order {
		some, partErr := s.values[value].Finish(ctx, parts[value])
		lost = append(lost, some...)
		err = errors.Join(err, partErr)
	}
	if err != nil {
		return nil, err
	}
	return lost, nil
}

// partition returns the values that the outcomes belong to, in the order of the outcomes,
// and the outcomes of each.
func (s *shared) partition(outcomes []alotwebhook.Outcome) (order []int, parts map[int][]alotwebhook.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	anybody := s.choice.IntN(len(s.values))
	for _, o := range outcomes {
		if value, ok := s.claims[claimKey{o.DeliveryID, o.Token}]; ok {
			anybody = value
			break
		}
	}
	parts = map[int][]alotwebhook.Outcome{}
	for _, o := range outcomes {
		value, ok := s.claims[claimKey{o.DeliveryID, o.Token}]
		if !ok {
			value = anybody
		}
		if parts[value] == nil {
			order = append(order, value)
		}
		parts[value] = append(parts[value], o)
	}
	if len(order) == 0 {
		order = []int{anybody} // an empty batch is a call, too
	}
	return order, parts
}

func (s *shared) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	return s.next().Enqueue(ctx, events)
}

func (s *shared) EnqueueTo(ctx context.Context, endpointID string, event alotwebhook.Event) error {
	return s.next().EnqueueTo(ctx, endpointID, event)
}

func (s *shared) Redeliver(ctx context.Context, ids []string) (int, error) {
	return s.next().Redeliver(ctx, ids)
}

func (s *shared) Cancel(ctx context.Context, ids []string) (int, error) {
	return s.next().Cancel(ctx, ids)
}

func (s *shared) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	return s.next().PutEndpoint(ctx, e, ops...)
}

func (s *shared) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	return s.next().Endpoint(ctx, id)
}

func (s *shared) Endpoints(ctx context.Context, f alotwebhook.EndpointFilter) ([]alotwebhook.Endpoint, string, error) {
	return s.next().Endpoints(ctx, f)
}

func (s *shared) DeleteEndpoint(ctx context.Context, id string, ops ...alotwebhook.Operation) error {
	return s.next().DeleteEndpoint(ctx, id, ops...)
}

func (s *shared) Discard(ctx context.Context, endpointID string, before time.Time, limit int) (int, error) {
	if err := s.leave(ctx); err != nil {
		return 0, err
	}
	return s.next().Discard(ctx, endpointID, before, limit)
}

func (s *shared) PutRecovery(ctx context.Context, r alotwebhook.Recovery, ops ...alotwebhook.Operation) error {
	return s.next().PutRecovery(ctx, r, ops...)
}

func (s *shared) Recoveries(ctx context.Context, f alotwebhook.RecoveryFilter) ([]alotwebhook.Recovery, string, error) {
	return s.next().Recoveries(ctx, f)
}

func (s *shared) Operations(ctx context.Context, f alotwebhook.OperationFilter) ([]alotwebhook.Operation, string, error) {
	return s.next().Operations(ctx, f)
}

func (s *shared) ClaimOperations(ctx context.Context, limit int, lease time.Duration) ([]alotwebhook.Operation, error) {
	return s.next().ClaimOperations(ctx, limit, lease)
}

func (s *shared) FinishOperations(ctx context.Context, ids []string, again time.Duration) error {
	return s.next().FinishOperations(ctx, ids, again)
}

func (s *shared) Event(ctx context.Context, id string) (alotwebhook.Event, error) {
	return s.next().Event(ctx, id)
}

func (s *shared) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	return s.next().Deliveries(ctx, f)
}

func (s *shared) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	return s.next().Delivery(ctx, id)
}

func (s *shared) Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (int, string, error) {
	return s.next().Erase(ctx, r, limit)
}

func (s *shared) Remove(ctx context.Context, organizationID string, limit int) (int, error) {
	return s.next().Remove(ctx, organizationID, limit)
}

func (s *shared) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	if err := s.leave(ctx); err != nil {
		return alotwebhook.PurgeResult{}, err
	}
	return s.next().Purge(ctx, p)
}

func (s *shared) Stats(ctx context.Context) (alotwebhook.Stats, error) {
	return s.next().Stats(ctx)
}
