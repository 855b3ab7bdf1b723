package storetest_test

import (
	"context"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
)

// testsAs stores tests as the function changes them.
type testsAs struct {
	alotwebhook.Store
	change func(*alotwebhook.Event)
}

func (s testsAs) EnqueueTo(ctx context.Context, endpointID string, event alotwebhook.Event) error {
	s.change(&event)
	return s.Store.EnqueueTo(ctx, endpointID, event)
}

// claimsAs gives what the function makes of each claimed delivery.
type claimsAs struct {
	alotwebhook.Store
	change func(*alotwebhook.Claimed)
}

func (s claimsAs) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	for i := range r.Deliveries {
		s.change(&r.Deliveries[i])
	}
	return r, err
}

// filtersAs lists by a filter that the function has changed.
type filtersAs struct {
	alotwebhook.Store
	change func(*alotwebhook.Filter)
}

func (s filtersAs) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	s.change(&f)
	return s.Store.Deliveries(ctx, f)
}

// testsFailEndpoints has the failure of a test tell of its endpoint.
type testsFailEndpoints struct {
	alotwebhook.Store
	mu      sync.Mutex
	tests   map[string]string // the endpoints of tests by delivery
	failing map[string]time.Time
}

func (s *testsFailEndpoints) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range r.Deliveries {
		if d.Test {
			s.tests[d.DeliveryID] = d.Endpoint.ID
		}
	}
	return r, err
}

func (s *testsFailEndpoints) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	s.mu.Lock()
	for _, o := range outcomes {
		if e := s.tests[o.DeliveryID]; e != "" && o.Attempt.Reason != "" {
			s.failing[e] = o.Attempt.StartedAt
		}
	}
	s.mu.Unlock()
	return s.Store.Finish(ctx, outcomes)
}

func (s *testsFailEndpoints) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	e, err := s.Store.Endpoint(ctx, id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.failing[id]; e.FailingSince.IsZero() {
		e.FailingSince = at
	}
	return e, err
}

// testsCount has Stats count what is under way.
type testsCount struct{ testsAs }

func (s testsCount) Stats(ctx context.Context) (alotwebhook.Stats, error) {
	st, err := s.Store.Stats(ctx)
	list, _, _ := s.Store.Deliveries(ctx, alotwebhook.Filter{OnlyTests: true, State: alotwebhook.StateUnfinished})
	st.Pending += int64(len(list))
	return st, err
}

// testMutants are stores with a fault in what they make of tests.
func testMutants() map[string]mutant {
	as := func(change func(*alotwebhook.Event), found ...string) mutant {
		return mutant{func(s alotwebhook.Store) alotwebhook.Store { return testsAs{s, change} }, found}
	}
	claims := func(change func(*alotwebhook.Claimed), found ...string) mutant {
		return mutant{func(s alotwebhook.Store) alotwebhook.Store { return claimsAs{s, change} }, found}
	}
	filters := func(change func(*alotwebhook.Filter)) mutant {
		return mutant{func(s alotwebhook.Store) alotwebhook.Store { return filtersAs{s, change} }, []string{"Tests/Filters"}}
	}
	return map[string]mutant{
		"TestForgotten": as(func(e *alotwebhook.Event) { e.Test = false }, "Tests/Kept", "Tests/WhileDisabled", "Tests/Beside", "Tests/FailingSince", "Tests/Ordered",
			"Tests/NotCounted", "Tests/NotDiscarded", "Tests/DisabledMeanwhile", "Tests/Deleted", "Tests/Ended", "Tests/LeaseEnds", "Tests/Removed"),
		"AllAreTests":        as(func(e *alotwebhook.Event) { e.Test = true }, "Tests/Kept", "Enqueue/ToDisabledEndpoint"),
		"TestNotClaimed":     claims(func(c *alotwebhook.Claimed) { c.Test = false }, "Tests/Kept", "Tests/WhileDisabled"),
		"TestOfFirstAttempt": claims(func(c *alotwebhook.Claimed) { c.Test = c.Test && c.Attempt == 1 }, "Tests/Kept", "Tests/WhileDisabled"),
		"OnlyTestsIgnored":   filters(func(f *alotwebhook.Filter) { f.OnlyTests = false }),
		"NoTestsIgnored":     filters(func(f *alotwebhook.Filter) { f.NoTests = false }),
		"TestsFailEndpoints": {func(s alotwebhook.Store) alotwebhook.Store {
			return &testsFailEndpoints{Store: s, tests: map[string]string{}, failing: map[string]time.Time{}}
		}, []string{"Tests/FailingSince"}},
		"TestsCount": {func(s alotwebhook.Store) alotwebhook.Store {
			return testsCount{testsAs{s, func(*alotwebhook.Event) {}}}
		}, []string{"Tests/NotCounted"}},
	}
}
