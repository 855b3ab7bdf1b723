package storetest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/storetest"
)

// memoryTx is a transaction of a host's on a store in memory: it stores what it has
// gathered when it commits.
type memoryTx struct {
	store      alotwebhook.Store
	known      *sync.Map // the ids of the events that the store has
	mu         sync.Mutex
	events     []alotwebhook.Event
	erased     map[string]bool
	work, late []func() error // what a commit does, in this order
}

func (tx *memoryTx) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if slices.ContainsFunc(events, refused) {
		return errors.New("bad event")
	}
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.events = append(tx.events, events...)
	events = slices.Clone(events)
	tx.work = append(tx.work, func() error { return tx.store.Enqueue(context.Background(), events) })
	return nil
}

// refused reports whether the transaction refuses an event.
func refused(e alotwebhook.Event) bool {
	return !strings.HasPrefix(e.ID, "evt_0") || strings.Contains(e.OrganizationID, "\x00")
}

func (tx *memoryTx) commit() error {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	for _, step := range append(tx.work, tx.late...) {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (tx *memoryTx) rollback() error {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.events, tx.work, tx.late = nil, nil, nil
	return nil
}

// enqueuer is a function as an Enqueuer.
type enqueuer func(ctx context.Context, events []alotwebhook.Event) error

func (f enqueuer) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	return f(ctx, events)
}

// host returns a host whose transactions are as change makes them of good ones.
func host(store alotwebhook.Store, change func(of *memoryTx, tx *storetest.Tx)) storetest.Host {
	known := &sync.Map{}
	store = knowing{store, known}
	return storetest.Host{Store: store, Begin: func(context.Context) (storetest.Tx, error) {
		of := &memoryTx{store: store, known: known, erased: map[string]bool{}}
		tx := storetest.Tx{Enqueuer: of, Commit: of.commit, Rollback: of.rollback}
		if change != nil {
			change(of, &tx)
		}
		return tx, nil
	}}
}

// gated is a store whose claims wait for a lock.
type gated struct {
	alotwebhook.Store
	lock *ctxLock
}

func (s gated) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	if err := s.lock.take(ctx); err != nil {
		return alotwebhook.ClaimResult{}, err
	}
	defer s.lock.leave()
	return s.Store.Claim(ctx, c)
}

// ctxLock is a lock that is taken until a context ends.
type ctxLock struct{ c chan struct{} }

func (l *ctxLock) take(ctx context.Context) error {
	select {
	case l.c <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *ctxLock) leave() { <-l.c }

// old is a store that takes deliveries for older than they are.
type old struct{ alotwebhook.Store }

func (s old) Stats(ctx context.Context) (alotwebhook.Stats, error) {
	st, err := s.Store.Stats(ctx)
	if st.OldestDue > 0 {
		st.OldestDue += 300 * time.Millisecond // as long as the transaction was open before
	}
	return st, err
}

// orphaning is a store that leaves a delivery pending whose endpoint was deleted before
// the commit.
type orphaning struct {
	alotwebhook.Store
	gone *int64
}

func (s orphaning) DeleteEndpoint(ctx context.Context, id string, ops ...alotwebhook.Operation) error {
	*s.gone++
	return s.Store.DeleteEndpoint(ctx, id, ops...)
}

func (s orphaning) Stats(ctx context.Context) (alotwebhook.Stats, error) {
	st, err := s.Store.Stats(ctx)
	st.Pending += *s.gone
	return st, err
}

// txMutant is a host with one fault, and rules that find the fault.
type txMutant struct {
	host  func() storetest.Host
	found []string
}

// txMutants are all of them.
var txMutants = map[string]txMutant{
	"StoresAtOnce": {
		func() storetest.Host {
			return host(memory.New(), func(of *memoryTx, tx *storetest.Tx) { tx.Enqueuer = of.store })
		},
		[]string{"Tx/RollsBack", "Tx/NotBeforeCommit"},
	},
	"CommitStoresNothing": {
		func() storetest.Host {
			return host(memory.New(), func(_ *memoryTx, tx *storetest.Tx) { tx.Commit = func() error { return nil } })
		},
		[]string{"Tx/Commits", "Tx/LateCommit", "Tx/StoredAfterRollback", "Tx/SameIDConcurrently"},
	},
	"NoSavepoint": {
		func() storetest.Host {
			return host(memory.New(), func(of *memoryTx, tx *storetest.Tx) {
				tx.Enqueuer = enqueuer(func(ctx context.Context, events []alotwebhook.Event) error {
					err := of.Enqueue(ctx, events)
					if i := slices.IndexFunc(events, refused); i >= 0 {
						_ = of.Enqueue(ctx, events[:i]) // they are good
					}
					return err
				})
			})
		},
		[]string{"Tx/ErrorStoresNothing"},
	},
	"OneByOneInTx": {
		func() storetest.Host {
			return host(memory.New(), func(of *memoryTx, tx *storetest.Tx) {
				tx.Enqueuer = enqueuer(func(ctx context.Context, events []alotwebhook.Event) error {
					for i := range events {
						if err := of.Enqueue(ctx, events[i:i+1]); err != nil {
							return err
						}
					}
					return nil
				})
			})
		},
		[]string{"Tx/CutShort", "Tx/ErrorStoresNothing"},
	},
	"ErrorEndsTx": {
		func() storetest.Host {
			return host(memory.New(), func(of *memoryTx, tx *storetest.Tx) {
				tx.Enqueuer = enqueuer(func(ctx context.Context, events []alotwebhook.Event) error {
					err := of.Enqueue(ctx, events)
					if err != nil {
						_ = of.rollback() // and Commit says nothing of it
					}
					return err
				})
			})
		},
		[]string{"Tx/ErrorStoresNothing"},
	},
	"StoredAlreadyFails": {
		func() storetest.Host {
			return host(memory.New(), func(of *memoryTx, tx *storetest.Tx) {
				tx.Enqueuer = enqueuer(func(ctx context.Context, events []alotwebhook.Event) error {
					for _, e := range events {
						if _, err := of.store.Event(ctx, e.ID); err == nil {
							return errors.New("stored already")
						}
					}
					return of.Enqueue(ctx, events)
				})
			})
		},
		[]string{"Tx/StoredAlready"},
	},
	"HoldsUpClaims": {
		func() storetest.Host {
			lock := &ctxLock{make(chan struct{}, 1)}
			return host(gated{memory.New(), lock}, func(of *memoryTx, tx *storetest.Tx) {
				leave := sync.OnceFunc(lock.leave)
				tx.Enqueuer = enqueuer(func(ctx context.Context, events []alotwebhook.Event) error {
					return errors.Join(lock.take(ctx), of.Enqueue(ctx, events))
				})
				tx.Commit = func() error { leave(); return of.commit() }
			})
		},
		[]string{"Tx/HoldsUpNothing"},
	},
	"DueFromBegin": {
		func() storetest.Host { return host(old{memory.New()}, nil) },
		[]string{"Tx/DueFromEnqueue"},
	},
	"Orphans": {
		func() storetest.Host { return host(orphaning{Store: memory.New(), gone: new(int64)}, nil) },
		[]string{"Tx/EndpointDeletedMeanwhile"},
	},
	"DisabledNotSeen": {
		func() storetest.Host { return host(disabledStillSent{memory.New()}, nil) },
		[]string{"Tx/EndpointDisabledMeanwhile"},
	},
	"TraceLostInTx": {
		func() storetest.Host {
			return host(memory.New(), func(of *memoryTx, tx *storetest.Tx) {
				tx.Enqueuer = enqueuer(func(ctx context.Context, events []alotwebhook.Event) error {
					events = slices.Clone(events)
					for i := range events {
						events[i].TraceParent = ""
					}
					return of.Enqueue(ctx, events)
				})
			})
		},
		[]string{"Tx/KeepsTraceParent"},
	},
	"EmptyRefused": {
		func() storetest.Host {
			return host(memory.New(), func(of *memoryTx, tx *storetest.Tx) {
				tx.Enqueuer = enqueuer(func(ctx context.Context, events []alotwebhook.Event) error {
					if len(events) == 0 {
						return errors.New("no events")
					}
					return of.Enqueue(ctx, events)
				})
			})
		},
		[]string{"Tx/NothingToStore"},
	},
}
