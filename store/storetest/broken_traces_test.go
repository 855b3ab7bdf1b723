package storetest_test

import (
	"context"
	"slices"
	"sync"

	"github.com/alot/alotwebhook"
)

// traceLost forgets what no other column depends on.
type traceLost struct{ alotwebhook.Store }

func (s traceLost) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	for i := range r.Deliveries {
		r.Deliveries[i].TraceParent = ""
	}
	return r, err
}

// traceNotShown has it in claims only.
type traceNotShown struct{ alotwebhook.Store }

func (s traceNotShown) Event(ctx context.Context, id string) (alotwebhook.Event, error) {
	e, err := s.Store.Event(ctx, id)
	e.TraceParent = ""
	return e, err
}

// traceLostToOne loses it on the way to a single endpoint.
type traceLostToOne struct{ alotwebhook.Store }

func (s traceLostToOne) EnqueueTo(ctx context.Context, endpointID string, event alotwebhook.Event) error {
	event.TraceParent = ""
	return s.Store.EnqueueTo(ctx, endpointID, event)
}

// traceOfBatch takes the traceparent of the first event for that of all, since a request emits them
// in one span.
type traceOfBatch struct{ alotwebhook.Store }

func (s traceOfBatch) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	events = slices.Clone(events)
	for i := range events {
		events[i].TraceParent = events[0].TraceParent
	}
	return s.Store.Enqueue(ctx, events)
}

// traceOfAttempt has it for the first attempt only.
type traceOfAttempt struct{ alotwebhook.Store }

func (s traceOfAttempt) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	for i := range r.Deliveries {
		if d := &r.Deliveries[i]; d.Attempt > 1 {
			d.TraceParent = ""
		}
	}
	return r, err
}

// traceReplaced keeps the newest one that was given with an id.
type traceReplaced struct {
	alotwebhook.Store
	newest sync.Map
}

func (s *traceReplaced) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	for _, e := range events {
		s.newest.Store(e.ID, e.TraceParent)
	}
	return s.Store.Enqueue(ctx, events)
}

func (s *traceReplaced) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		if trace, ok := s.newest.Load(d.EventID); ok {
			d.TraceParent = trace.(string)
		}
	}
	return r, err
}
