package alotwebhook_test

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// countingStore is a store on top of another: it embeds that store and overrides one
// method. A store for another database implements all methods, by the rules in the
// comments of [alotwebhook.Store]; test it with storetest.Run.
type countingStore struct {
	alotwebhook.Store
	events atomic.Int64
}

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
	// Output: 2 events stored
}
