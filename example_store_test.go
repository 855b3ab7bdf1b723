package alotwebhook_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// countingStore is a store on top of another: it embeds that store and overrides one
// method. A store for another database implements all methods, by the rules in the
// comments of [alotwebhook.Store]; see docs/writing-a-store.md.
type countingStore struct {
	alotwebhook.Store
	events atomic.Int64
}

// Unwrap lets a dispatcher find what else the inner store can do: an embedded Store has the
// methods of [alotwebhook.Store] alone, and is no [alotwebhook.Tallier] any more.
func (s *countingStore) Unwrap() alotwebhook.Store { return s.Store }

func (s *countingStore) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	if err := s.Store.Enqueue(ctx, events); err != nil {
		return err
	}
	s.events.Add(int64(len(events)))
	return nil
}

func ExampleStore() {
	ctx := context.Background()
	store := &countingStore{Store: memory.New()}
	dispatcher, err := alotwebhook.NewDispatcher(store, nil)
	check(err)
	for _, eventType := range []string{"candidate.invited", "candidate.completed"} {
		event, err := alotwebhook.NewEvent(eventType, "org_123", map[string]string{"sessionId": "sess_123"})
		check(err)
		check(dispatcher.Emit(ctx, event))
	}
	fmt.Println(store.events.Load(), "events stored")
	_, err = dispatcher.Tallies(ctx, time.Now(), "wh_01jwsxqk1qej8v5kcv0p34c9mn")
	fmt.Println("keeps tallies:", !errors.Is(err, errors.ErrUnsupported))
	// Output:
	// 2 events stored
	// keeps tallies: true
}
