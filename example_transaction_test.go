package alotwebhook_test

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// unitOfWork stands for a transaction of the host. It gathers writes, and writes them all
// when it is committed, or never. The Tx method of a store returns the same for a
// transaction of its database; see the example in store/sqlite.
type unitOfWork struct {
	store  alotwebhook.Store
	events []alotwebhook.Event
}

// Enqueue implements [alotwebhook.Enqueuer].
func (u *unitOfWork) Enqueue(_ context.Context, events []alotwebhook.Event) error {
	u.events = slices.Concat(u.events, events)
	return nil
}

func (u *unitOfWork) commit(ctx context.Context) error { return u.store.Enqueue(ctx, u.events) }

var errScore = errors.New("a score is at least 0")

// complete emits an event in the transaction of the business change: both happen, or
// neither.
func complete(ctx context.Context, d *alotwebhook.Dispatcher, u *unitOfWork, score int) (alotwebhook.Event, error) {
	event, err := alotwebhook.NewEvent("candidate.completed", "org_123", map[string]int{"score": score})
	if err != nil {
		return event, err
	}
	if err := d.EmitTo(ctx, u, event); err != nil {
		return event, err
	}
	if score < 0 {
		return event, errScore // without a commit, the event does not exist
	}
	return event, u.commit(ctx)
}

func ExampleDispatcher_EmitTo() {
	ctx := context.Background()
	store := memory.New()
	dispatcher, err := alotwebhook.NewDispatcher(store, nil)
	check(err)
	for _, score := range []int{82, -1} {
		event, err := complete(ctx, dispatcher, &unitOfWork{store: store}, score)
		_, missing := dispatcher.Event(ctx, event.ID)
		fmt.Println("score", score, "· error:", err, "· event stored:", missing == nil)
	}
	// Output:
	// score 82 · error: <nil> · event stored: true
	// score -1 · error: a score is at least 0 · event stored: false
}
