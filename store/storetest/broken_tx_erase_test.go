package storetest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/storetest"
)

// Erase keeps what is to be erased until the commit. It knows only events with a subject.
func (tx *memoryTx) Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (n int, next string, err error) {
	if err := ctx.Err(); err != nil {
		return 0, "", err
	}
	if texts := r.OrganizationID + r.Subject + r.Cursor; strings.Contains(texts, "\x00") || !utf8.ValidString(texts) {
		return 0, "", errors.New("bad text")
	}
	tx.mu.Lock()
	defer tx.mu.Unlock()
	ids, err := tx.about(ctx, r)
	if err != nil {
		return 0, "", err
	}
	if n = min(len(ids), limit); n < len(ids) {
		next = ids[n-1]
	}
	for _, id := range ids[:n] {
		tx.erased[id] = true
		tx.work = append(tx.work, func() error {
			_, _, err := tx.store.Erase(context.Background(), alotwebhook.Recovery{EventID: id}, 1)
			return err
		})
	}
	return n, next, nil
}

// about returns the ids of the events that r selects, stored or in the transaction, newest first.
func (tx *memoryTx) about(ctx context.Context, r alotwebhook.Recovery) (ids []string, err error) {
	candidates := slices.Clone(tx.events)
	tx.known.Range(func(id, _ any) bool {
		if event, err := tx.store.Event(ctx, id.(string)); err == nil {
			candidates = append(candidates, event)
		}
		return true
	})
	for _, e := range candidates {
		if !tx.erased[e.ID] && e.Subject == r.Subject && (r.OrganizationID == "" || e.OrganizationID == r.OrganizationID) && (r.Cursor == "" || e.ID < r.Cursor) && (r.EventID == "" || e.ID == r.EventID) {
			ids = append(ids, e.ID)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	slices.Reverse(ids)
	return ids, ctx.Err()
}

// knowing is a store that knows the ids of its events.
type knowing struct {
	alotwebhook.Store
	ids *sync.Map
}

// Unwrap lets the capabilities of the store be found.
func (s knowing) Unwrap() alotwebhook.Store { return s.Store }

func (s knowing) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	for _, e := range events {
		s.ids.Store(e.ID, true)
	}
	return s.Store.Enqueue(ctx, events)
}

// erasingTx is an Enqueuer with another Erase.
type erasingTx struct {
	*memoryTx
	erase func(ctx context.Context, of *memoryTx, r alotwebhook.Recovery, limit int) (int, string, error)
}

func (tx erasingTx) Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (int, string, error) {
	return tx.erase(ctx, tx.memoryTx, r, limit)
}

// txEraseMutants are hosts with a fault in what they erase.
func txEraseMutants() map[string]txMutant {
	by := func(erase func(context.Context, *memoryTx, alotwebhook.Recovery, int) (int, string, error), found ...string) txMutant {
		return txMutant{func() storetest.Host {
			return host(memory.New(), func(of *memoryTx, tx *storetest.Tx) { tx.Enqueuer = erasingTx{of, erase} })
		}, found}
	}
	return map[string]txMutant{
		"ErasesAtOnce": by(func(ctx context.Context, of *memoryTx, r alotwebhook.Recovery, limit int) (int, string, error) {
			return of.store.Erase(ctx, r, limit)
		}, "Tx/EraseRollsBack", "Tx/EraseNotBeforeCommit", "Tx/EraseItsOwn"),
		"ErasesNothingInTx": by(func(ctx context.Context, of *memoryTx, r alotwebhook.Recovery, limit int) (int, string, error) {
			n, next, err := of.Erase(ctx, r, limit)
			of.work = nil
			return n, next, err
		}, "Tx/EraseCommits", "Tx/EraseNotBeforeCommit"),
		"ErasesOneByOneInTx": by(func(ctx context.Context, of *memoryTx, r alotwebhook.Recovery, limit int) (sum int, next string, err error) {
			for range limit {
				n, next, err := of.Erase(ctx, r, 1)
				if sum += n; err != nil || next == "" {
					return sum, "", err
				}
				r.Cursor = next
			}
			return sum, r.Cursor, nil
		}, "Tx/EraseCutShort"),
		"EraseErrorEndsTx": by(func(ctx context.Context, of *memoryTx, r alotwebhook.Recovery, limit int) (int, string, error) {
			n, next, err := of.Erase(ctx, r, limit)
			if err != nil {
				_ = of.rollback() // and Commit says nothing of it
			}
			return n, next, err
		}, "Tx/EraseErrorLeavesTheRest"),
		"ErasesAtTheEnd": by(func(ctx context.Context, of *memoryTx, r alotwebhook.Recovery, limit int) (int, string, error) {
			n, next, err := of.Erase(ctx, r, limit)
			of.late, of.work = append(of.late, of.work...), nil
			of.late = append(of.late, func() error {
				_, _, err := of.store.Erase(context.Background(), r, 1000)
				return err
			})
			return n, next, err
		}, "Tx/EraseItsOwn"),
		"ErasesEverybodyInTx": by(func(ctx context.Context, of *memoryTx, r alotwebhook.Recovery, limit int) (int, string, error) {
			n, next, err := of.Erase(ctx, r, limit)
			of.known.Range(func(id, _ any) bool {
				of.late = append(of.late, func() error {
					_, _, err := of.store.Erase(context.Background(), alotwebhook.Recovery{EventID: id.(string)}, 1)
					return err
				})
				return true
			})
			return n, next, err
		}, "Tx/EraseCommits", "Tx/EraseErrorLeavesTheRest"),
		"EraseHoldsUpClaims": {func() storetest.Host {
			lock := &ctxLock{make(chan struct{}, 1)}
			return host(gated{memory.New(), lock}, func(of *memoryTx, tx *storetest.Tx) {
				var taken atomic.Bool
				leave := func() {
					if taken.CompareAndSwap(true, false) {
						lock.leave()
					}
				}
				tx.Enqueuer = erasingTx{of, func(ctx context.Context, of *memoryTx, r alotwebhook.Recovery, limit int) (int, string, error) {
					if taken.CompareAndSwap(false, true) {
						if err := lock.take(ctx); err != nil {
							return 0, "", err
						}
					}
					return of.Erase(ctx, r, limit)
				}}
				tx.Commit = func() error { leave(); return of.commit() }
			})
		}, []string{"Tx/EraseHoldsUpNobodyElse"}},
		"NoEraseInTx": {func() storetest.Host {
			return host(memory.New(), func(of *memoryTx, tx *storetest.Tx) { tx.Enqueuer = enqueuer(of.Enqueue) })
		}, []string{"Tx/EraseCommits"}},
		"SubjectLostInTx": {func() storetest.Host {
			return host(memory.New(), func(of *memoryTx, tx *storetest.Tx) {
				tx.Enqueuer = enqueuer(func(ctx context.Context, events []alotwebhook.Event) error {
					events = slices.Clone(events)
					for i := range events {
						events[i].Subject = ""
					}
					return of.Enqueue(ctx, events)
				})
			})
		}, []string{"Tx/KeepsSubject"}},
	}
}
