package storetest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook"
)

// duplicating stores an event that comes again under a new id.
type duplicating struct {
	alotwebhook.Store
	mu   sync.Mutex
	seen map[string]bool
}

func (s *duplicating) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, event := range events {
		if s.seen[event.ID] {
			again, err := alotwebhook.NewEvent(event.Type, event.OrganizationID, event.Data)
			if err != nil {
				return err
			}
			event.ID = again.ID
		}
		s.seen[event.ID] = true
		if err := s.Store.Enqueue(ctx, []alotwebhook.Event{event}); err != nil {
			return err
		}
	}
	return nil
}

// reformatting changes the white space of payloads, as a JSON column does.
type reformatting struct{ alotwebhook.Store }

func (s reformatting) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	for i := range r.Deliveries {
		var compact bytes.Buffer
		err = errors.Join(err, json.Compact(&compact, r.Deliveries[i].Payload))
		r.Deliveries[i].Payload = compact.Bytes()
	}
	return r, err
}

// subscriptionsReadFirst finds the endpoints of an event, and then stores its deliveries,
// without a lock in between. A delivery to an endpoint that was deleted meanwhile stays
// pending.
type subscriptionsReadFirst struct {
	alotwebhook.Store
	orphans atomic.Int64
}

func (s *subscriptionsReadFirst) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	before, _, err := s.Endpoints(ctx, alotwebhook.EndpointFilter{Limit: 1000})
	if err != nil {
		return err
	}
	time.Sleep(time.Millisecond) // the window
	if err := s.Store.Enqueue(ctx, events); err != nil {
		return err
	}
	for _, e := range before {
		if _, err := s.Endpoint(ctx, e.ID); errors.Is(err, alotwebhook.ErrNotFound) && len(events) > 0 && e.OrganizationID == events[0].OrganizationID {
			s.orphans.Add(int64(len(events)))
		}
	}
	return nil
}

func (s *subscriptionsReadFirst) Stats(ctx context.Context) (alotwebhook.Stats, error) {
	st, err := s.Store.Stats(ctx)
	st.Pending += s.orphans.Load()
	return st, err
}

// disabledNotTested stores nothing for a disabled endpoint that is to get a test event.
type disabledNotTested struct{ alotwebhook.Store }

func (s disabledNotTested) EnqueueTo(ctx context.Context, endpointID string, event alotwebhook.Event) error {
	if e, err := s.Endpoint(ctx, endpointID); err != nil || e.Disabled {
		return err
	}
	return s.Store.EnqueueTo(ctx, endpointID, event)
}

// resends sends an event that is stored already to another endpoint, under another id.
type resends struct{ alotwebhook.Store }

func (s resends) EnqueueTo(ctx context.Context, endpointID string, event alotwebhook.Event) error {
	if _, err := s.Event(ctx, event.ID); err == nil {
		again, err := alotwebhook.NewEvent(event.Type, event.OrganizationID, event.Data)
		if err != nil {
			return err
		}
		event.ID = again.ID
	}
	return s.Store.EnqueueTo(ctx, endpointID, event)
}

// refusesStored takes an event that is stored already for an error.
type refusesStored struct{ alotwebhook.Store }

func (s refusesStored) EnqueueTo(ctx context.Context, endpointID string, event alotwebhook.Event) error {
	if _, err := s.Event(ctx, event.ID); err == nil {
		return errors.New("stored already")
	}
	return s.Store.EnqueueTo(ctx, endpointID, event)
}
