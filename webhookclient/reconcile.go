package webhookclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alot/alotwebhook"
)

// Reconciliation says what [Client.Reconcile] does.
type Reconciliation struct {
	// Types, Since and Cursor are those of [EventsOptions].
	Types  []string
	Since  time.Time
	Cursor string
	// Handle is called with each event that was not handled yet, one after the other. For the
	// handlers of a receiver, give its method [alotwebhook.Receiver.Handle].
	Handle func(ctx context.Context, e alotwebhook.Event) error
	// Deduper knows which events were handled: give the same one that the receiver has. It is nil
	// if Handle looks there itself, as that of a receiver with a Deduper does.
	Deduper alotwebhook.Deduper
	// Name is [alotwebhook.ReceiverConfig.Name] of the receiver with the Deduper.
	Name string
	// Lease is for how long an event is claimed from the Deduper while it is handled; 0 stands for
	// [alotwebhook.DefaultLease].
	Lease time.Duration
	// Save, if not nil, is called after each page with the cursor behind it, to be kept for the
	// next time.
	Save func(cursor string) error
}

// Reconciled is what was done.
type Reconciled struct {
	// Events counts those that were walked through, and Handled those that Handle was called for and
	// took. The others were handled before.
	Events, Handled int
	// Cursor is where to go on: behind the last page all of whose events are handled.
	Cursor string
}

// Reconcile walks through the events up to now, and has those handled that were not. An error of
// Handle ends it, unless [alotwebhook.StatusCode] has a success for it, as for one that is
// [alotwebhook.Permanent]. Whatever ends it, go on from the Cursor of the result: what was handled is
// not handled again, as the Deduper knows it.
//
// The error is [ErrCursorExpired] if events behind the cursor may be gone: begin again without one,
// with a Since. It is an error if the token may not see payloads.
func (c *Client) Reconcile(ctx context.Context, r Reconciliation) (done Reconciled, err error) {
	done.Cursor = r.Cursor
	if r.Handle == nil {
		return done, errors.New("webhookclient: Handle is nil; give the function that handles an event")
	}
	for {
		page, err := c.EventPage(ctx, EventsOptions{Types: r.Types, Since: r.Since, Cursor: done.Cursor})
		if err != nil {
			return done, err
		}
		for _, e := range page.Events {
			if err := r.one(ctx, e, &done); err != nil {
				return done, err
			}
		}
		done.Cursor = page.Next
		if r.Save != nil {
			if err := r.Save(page.Next); err != nil {
				return done, err
			}
		}
		if !page.More {
			return done, nil
		}
	}
}

// one has an event handled, unless it was.
func (r *Reconciliation) one(ctx context.Context, e Event, done *Reconciled) error {
	if e.Body == nil {
		return fmt.Errorf("webhookclient: the payload of %s is hidden: reconcile with a token that may see payloads", e.ID)
	}
	done.Events++
	key := e.ID
	if r.Name != "" {
		key = r.Name + "/" + e.ID
	}
	called := false
	err := alotwebhook.Once(ctx, r.Deduper, key, r.Lease, func(ctx context.Context) error {
		called = true
		return r.Handle(ctx, e.Event)
	})
	if err != nil && alotwebhook.StatusCode(err)/100 != 2 {
		return fmt.Errorf("webhookclient: %s was not handled: %w", e.ID, err)
	}
	if called {
		done.Handled++
	}
	return nil
}
