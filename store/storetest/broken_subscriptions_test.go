package storetest_test

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/alot/alotwebhook"
)

func subscriptionMutants() map[string]mutant {
	all := func(is []string) func(alotwebhook.Store) alotwebhook.Store {
		return func(s alotwebhook.Store) alotwebhook.Store {
			return &subscribing{Store: s, instead: map[string][]string{"*": is}}
		}
	}
	return map[string]mutant{
		"StarIsAType": {all([]string{"ping"}), []string{"Subscriptions/All"}},
		"StarIncludesOperations": {
			all([]string{"*", string(alotwebhook.OpEndpointFailing), string(alotwebhook.OpDeliveryExhausted)}),
			[]string{"Subscriptions/NotOperations"},
		},
		"BeginningIsText": {
			func(s alotwebhook.Store) alotwebhook.Store {
				return &subscribing{Store: s, instead: map[string][]string{"candidate.*": {"candidate.*", "candidate", "candidates.x"}}}
			},
			[]string{"Subscriptions/Beginning"},
		},
		"BeginningIsOneWord": {
			func(s alotwebhook.Store) alotwebhook.Store {
				return &subscribing{Store: s, instead: map[string][]string{"candidate.*": {"candidate.completed", "candidate.invited"}}}
			},
			[]string{"Subscriptions/Beginning"},
		},
		"OncePerSubscription": {
			func(s alotwebhook.Store) alotwebhook.Store { return oncePerSubscription{s} },
			[]string{"Subscriptions/Once"},
		},
		"PayloadVersionLost": {
			func(s alotwebhook.Store) alotwebhook.Store { return withoutPayloadVersion{s} },
			[]string{"Endpoints/KeepsAllFields", "Endpoints/Replaces", "Endpoints/ClaimSeesChanges"},
		},
		"BlamelessCounts": {
			func(s alotwebhook.Store) alotwebhook.Store { return blaming{s} },
			[]string{"Finish/Blameless"},
		},
		"StarsStay": {
			func(s alotwebhook.Store) alotwebhook.Store { return &starsStay{Store: s} },
			[]string{"Subscriptions/Changed"},
		},
	}
}

// subscribing stores other subscriptions instead of some.
type subscribing struct {
	alotwebhook.Store
	instead map[string][]string
}

func (s *subscribing) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	var types []string
	for _, name := range e.EventTypes {
		if others, ok := s.instead[name]; ok {
			types = append(types, others...)
		} else {
			types = append(types, name)
		}
	}
	e.EventTypes = types
	return s.Store.PutEndpoint(ctx, e, ops...)
}

// oncePerSubscription stores a delivery for each subscription that includes an event.
type oncePerSubscription struct{ alotwebhook.Store }

func (s oncePerSubscription) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	if err := s.Store.Enqueue(ctx, events); err != nil || len(events) == 0 {
		return err
	}
	found, _, err := s.Endpoints(ctx, alotwebhook.EndpointFilter{OrganizationID: events[0].OrganizationID})
	if err != nil {
		return err
	}
	for _, event := range events {
		names := alotwebhook.Subscriptions(event.Type)
		for _, e := range found {
			for i, name := range e.EventTypes {
				if i > 0 && slices.Contains(names, name) {
					again, err := alotwebhook.NewEvent(event.Type, event.OrganizationID, event.Data)
					if err != nil {
						return err
					}
					if err := s.EnqueueTo(ctx, e.ID, again); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// starsStay keeps the stars that an endpoint has had.
type starsStay struct {
	alotwebhook.Store
	had sync.Map
}

func (s *starsStay) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	for _, name := range e.EventTypes {
		if strings.HasSuffix(name, "*") {
			s.had.Store(e.ID, name)
		}
	}
	if name, ok := s.had.Load(e.ID); ok && !slices.Contains(e.EventTypes, name.(string)) {
		e.EventTypes = append(slices.Clone(e.EventTypes), name.(string))
	}
	return s.Store.PutEndpoint(ctx, e, ops...)
}

// withoutPayloadVersion forgets which version of payloads an endpoint gets.
type withoutPayloadVersion struct{ alotwebhook.Store }

func (s withoutPayloadVersion) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	e.PayloadVersion = ""
	return s.Store.PutEndpoint(ctx, e, ops...)
}

// blaming takes every failure for the receiver's.
type blaming struct{ alotwebhook.Store }

func (s blaming) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	outcomes = slices.Clone(outcomes)
	for i := range outcomes {
		outcomes[i].Blameless = false
	}
	return s.Store.Finish(ctx, outcomes)
}
