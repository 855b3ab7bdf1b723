package storetest_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
)

// storesBefore stores operations by themselves, ahead of what they come with: on an endpoint of
// its own that nobody sees.
type storesBefore struct{ alotwebhook.Store }

func (s storesBefore) before(ctx context.Context, ops []alotwebhook.Operation) error {
	if len(ops) == 0 {
		return nil
	}
	return s.Store.PutEndpoint(ctx, alotwebhook.Endpoint{ID: "wh_" + ops[0].ID, OrganizationID: "none"}, ops...)
}

func (s storesBefore) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	if err := s.before(ctx, ops); err != nil {
		return err
	}
	return s.Store.PutEndpoint(ctx, e)
}

func (s storesBefore) DeleteEndpoint(ctx context.Context, id string, ops ...alotwebhook.Operation) error {
	if err := s.before(ctx, ops); err != nil {
		return err
	}
	return s.Store.DeleteEndpoint(ctx, id)
}

func (s storesBefore) PutRecovery(ctx context.Context, r alotwebhook.Recovery, ops ...alotwebhook.Operation) error {
	if err := s.before(ctx, ops); err != nil {
		return err
	}
	return s.Store.PutRecovery(ctx, r)
}

func (s storesBefore) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	outcomes = slices.Clone(outcomes)
	for i := range outcomes {
		if o := &outcomes[i]; o.Operation != nil {
			if err := s.before(ctx, []alotwebhook.Operation{*o.Operation}); err != nil {
				return nil, err
			}
			o.Operation = nil
		}
	}
	return s.Store.Finish(ctx, outcomes)
}

// forgetsOperations stores none.
type forgetsOperations struct{ alotwebhook.Store }

func (s forgetsOperations) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, _ ...alotwebhook.Operation) error {
	return s.Store.PutEndpoint(ctx, e)
}

func (s forgetsOperations) DeleteEndpoint(ctx context.Context, id string, _ ...alotwebhook.Operation) error {
	return s.Store.DeleteEndpoint(ctx, id)
}

func (s forgetsOperations) PutRecovery(ctx context.Context, r alotwebhook.Recovery, _ ...alotwebhook.Operation) error {
	return s.Store.PutRecovery(ctx, r)
}

// operationsOfEnded stores the operations of deliveries that end alone.
type operationsOfEnded struct{ alotwebhook.Store }

func (s operationsOfEnded) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	outcomes = slices.Clone(outcomes)
	for i := range outcomes {
		if outcomes[i].State == alotwebhook.StatePending {
			outcomes[i].Operation = nil
		}
	}
	return s.Store.Finish(ctx, outcomes)
}

// cutsNotes keeps the first bytes of a note.
type cutsNotes struct{ alotwebhook.Store }

func (s cutsNotes) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	ops = slices.Clone(ops)
	for i := range ops {
		ops[i].Note = ops[i].Note[:min(len(ops[i].Note), 8)]
	}
	return s.Store.PutEndpoint(ctx, e, ops...)
}

// newOperationIDs stores an operation once more under another id.
type newOperationIDs struct {
	alotwebhook.Store
	seen sync.Map
}

func (s *newOperationIDs) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	ops = slices.Clone(ops)
	for i := range ops {
		if _, again := s.seen.LoadOrStore(ops[i].ID, true); again {
			ops[i].ID = "op_" + e.ID[len("wh_"):]
		}
	}
	return s.Store.PutEndpoint(ctx, e, ops...)
}

// operationFilter changes the filter of lists.
type operationFilter struct {
	alotwebhook.Store
	change func(*alotwebhook.OperationFilter)
}

func (s operationFilter) Operations(ctx context.Context, f alotwebhook.OperationFilter) ([]alotwebhook.Operation, string, error) {
	s.change(&f)
	return s.Store.Operations(ctx, f)
}

// operationClaims changes the claims of operations.
type operationClaims struct {
	alotwebhook.Store
	claim func(of alotwebhook.Store, ctx context.Context, limit int, lease time.Duration) ([]alotwebhook.Operation, error)
}

func (s operationClaims) ClaimOperations(ctx context.Context, limit int, lease time.Duration) ([]alotwebhook.Operation, error) {
	return s.claim(s.Store, ctx, limit, lease)
}

// operationsUnleased leases no operation.
func operationsUnleased(of alotwebhook.Store, ctx context.Context, limit int, _ time.Duration) ([]alotwebhook.Operation, error) {
	return of.ClaimOperations(ctx, limit, 0)
}

// operationsOnce never gives an operation again.
func operationsOnce(of alotwebhook.Store, ctx context.Context, limit int, _ time.Duration) ([]alotwebhook.Operation, error) {
	return of.ClaimOperations(ctx, limit, 1000*time.Hour)
}

// operationsReversed gives the newest first.
func operationsReversed(of alotwebhook.Store, ctx context.Context, limit int, lease time.Duration) ([]alotwebhook.Operation, error) {
	claimed, err := of.ClaimOperations(ctx, limit, lease)
	slices.Reverse(claimed)
	return claimed, err
}

// operationsUncounted does not count the claims of an operation.
func operationsUncounted(of alotwebhook.Store, ctx context.Context, limit int, lease time.Duration) ([]alotwebhook.Operation, error) {
	claimed, err := of.ClaimOperations(ctx, limit, lease)
	for i := range claimed {
		claimed[i].Claims = 1
	}
	return claimed, err
}

// operationsInOrder claims an operation only if all older ones are handled or leased.
func operationsInOrder(of alotwebhook.Store, ctx context.Context, limit int, lease time.Duration) ([]alotwebhook.Operation, error) {
	all, err := of.ClaimOperations(ctx, 1000, lease)
	for _, o := range all[min(len(all), limit):] {
		if err == nil {
			err = of.FinishOperations(ctx, []string{o.ID}, time.Nanosecond)
		}
	}
	return all[:min(len(all), limit)], err
}

// operationFinishes changes the finishing of operations.
type operationFinishes struct {
	alotwebhook.Store
	again func(time.Duration) time.Duration
}

func (s operationFinishes) FinishOperations(ctx context.Context, ids []string, again time.Duration) error {
	return s.Store.FinishOperations(ctx, ids, s.again(again))
}

// operationsReopened gives a handled operation again when it is asked to.
type operationsReopened struct {
	alotwebhook.Store
	mu       sync.Mutex
	handled  map[string]bool
	reopened []string
}

func (s *operationsReopened) FinishOperations(ctx context.Context, ids []string, again time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if s.handled[id] && again > 0 {
			s.reopened = append(s.reopened, id)
		}
		s.handled[id] = again <= 0
	}
	return s.Store.FinishOperations(ctx, ids, again)
}

func (s *operationsReopened) ClaimOperations(ctx context.Context, limit int, lease time.Duration) ([]alotwebhook.Operation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	claimed, err := s.Store.ClaimOperations(ctx, limit, lease)
	for _, id := range s.reopened {
		claimed = append(claimed, alotwebhook.Operation{ID: id, Claims: 2})
	}
	s.reopened = nil
	return claimed, err
}

// operationsKept purges none that nobody has handled.
type operationsKept struct{ alotwebhook.Store }

func (s operationsKept) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	if all, err := s.ClaimOperations(ctx, 1000, time.Nanosecond); err != nil || len(all) > 0 {
		p.History = 0
	}
	return s.Store.Purge(ctx, p)
}

// operationMutants are stores with a fault in their operations.
func operationMutants() map[string]mutant {
	claims := func(claim func(alotwebhook.Store, context.Context, int, time.Duration) ([]alotwebhook.Operation, error)) func(alotwebhook.Store) alotwebhook.Store {
		return func(s alotwebhook.Store) alotwebhook.Store { return operationClaims{s, claim} }
	}
	filter := func(change func(*alotwebhook.OperationFilter)) func(alotwebhook.Store) alotwebhook.Store {
		return func(s alotwebhook.Store) alotwebhook.Store { return operationFilter{s, change} }
	}
	return map[string]mutant{
		"OperationsBefore": {
			func(s alotwebhook.Store) alotwebhook.Store { return storesBefore{s} },
			[]string{"Operations/WithEndpoint", "Operations/WithDeletion", "Operations/WithRecovery", "Operations/WithOutcome", "Operations/CutShort"},
		},
		"OperationsForgotten": {
			func(s alotwebhook.Store) alotwebhook.Store { return forgetsOperations{s} },
			[]string{"Operations/KeepsAllFields", "Operations/WithDeletion", "Operations/WithRecovery"},
		},
		"OperationsOfEnded": {
			func(s alotwebhook.Store) alotwebhook.Store { return operationsOfEnded{s} },
			[]string{"Operations/WithOutcome"},
		},
		"NoteCut": {
			func(s alotwebhook.Store) alotwebhook.Store { return cutsNotes{s} },
			[]string{"Operations/KeepsAllFields"},
		},
		"OperationTwice": {
			func(s alotwebhook.Store) alotwebhook.Store { return &newOperationIDs{Store: s} },
			[]string{"Operations/SameID"},
		},
		"OperationTypeIgnored": {
			filter(func(f *alotwebhook.OperationFilter) { f.Type = "" }),
			[]string{"Operations/Filters", "Operations/Pages"},
		},
		"OperationOrganizationIgnored": {
			filter(func(f *alotwebhook.OperationFilter) {
				if f.EndpointID != "" {
					f.OrganizationID = ""
				}
			}),
			[]string{"Operations/Filters"},
		},
		"OperationUntilInclusive": {
			filter(func(f *alotwebhook.OperationFilter) {
				if !f.Until.IsZero() {
					f.Until = f.Until.Add(time.Millisecond)
				}
			}),
			[]string{"Operations/SinceUntil"},
		},
		"OperationSinceRoundedUp": {
			filter(func(f *alotwebhook.OperationFilter) {
				if !f.Since.IsZero() {
					f.Since = f.Since.Add(time.Millisecond - 1)
				}
			}),
			[]string{"Operations/SinceUntil"},
		},
		"OperationsOnOnePage": {
			filter(func(f *alotwebhook.OperationFilter) { f.Limit = 1000 }),
			[]string{"Operations/Pages"},
		},
		"OperationsUnleased":   {claims(operationsUnleased), []string{"Operations/Claim", "Operations/Lease", "Operations/Concurrently"}},
		"OperationsOnce":       {claims(operationsOnce), []string{"Operations/Lease"}},
		"OperationsReversed":   {claims(operationsReversed), []string{"Operations/Claim"}},
		"OperationsUncounted":  {claims(operationsUncounted), []string{"Operations/Claim", "Operations/Again"}},
		"OperationsOldestOnly": {claims(operationsInOrder), []string{"Operations/LongestDue"}},
		"OperationAgainAtOnce": {
			func(s alotwebhook.Store) alotwebhook.Store {
				return operationFinishes{s, func(again time.Duration) time.Duration { return min(again, 1) }}
			},
			[]string{"Operations/Again"},
		},
		"OperationAlwaysHandled": {
			func(s alotwebhook.Store) alotwebhook.Store {
				return operationFinishes{s, func(time.Duration) time.Duration { return 0 }}
			},
			[]string{"Operations/Again"},
		},
		"OperationNeverHandled": {
			func(s alotwebhook.Store) alotwebhook.Store {
				return operationFinishes{s, func(again time.Duration) time.Duration { return max(again, 1) }}
			},
			[]string{"Operations/Handled", "Operations/SameID"},
		},
		"OperationReopened": {
			func(s alotwebhook.Store) alotwebhook.Store {
				return &operationsReopened{Store: s, handled: map[string]bool{}}
			},
			[]string{"Operations/Again"},
		},
		"OperationsKept": {
			func(s alotwebhook.Store) alotwebhook.Store { return operationsKept{s} },
			[]string{"Operations/Purge"},
		},
		"WarnedForgotten": {
			func(s alotwebhook.Store) alotwebhook.Store { return warnedForgotten{s} },
			[]string{"Endpoints/KeepsAllFields"},
		},
	}
}

// warnedForgotten does not keep how often was warned.
type warnedForgotten struct{ alotwebhook.Store }

func (s warnedForgotten) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	e.Warned = 0
	return s.Store.PutEndpoint(ctx, e, ops...)
}
