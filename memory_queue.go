package alotwebhook

import (
	"context"
	"time"
)

// Claim implements [Queue].
func (s *MemoryStore) Claim(ctx context.Context, c ClaimRequest) (ClaimResult, error) {
	if err := s.lock(ctx); err != nil {
		return ClaimResult{}, err
	}
	defer s.mu.Unlock()
	now := s.now()
	s.wake(now)

	takers, expected := s.takers(c)
	claimed := make([]Claimed, 0, expected)
	for len(claimed) < c.Limit && len(takers) > 0 {
		t := takers[0]
		takers = takers[1:]
		s.turns.MoveToBack(t.endpoint.turn)
		claimed = append(claimed, s.lease(t.endpoint, now+c.Lease))
		if t.free--; t.free > 0 && t.endpoint.dueNow.Len() > 0 {
			takers = append(takers, t)
		}
	}

	result := ClaimResult{Deliveries: claimed}
	if len(s.alarms) > 0 {
		result.NextIn = s.alarms[0].due() - now
	}
	return result, nil
}

// wake moves what has fallen due, leases that ran out included, into its turn.
func (s *MemoryStore) wake(now time.Duration) {
	for len(s.alarms) > 0 && s.alarms[0].due() <= now {
		e := s.alarms[0]
		e.drain(now)
		s.reseat(e)
	}
}

// taker is an endpoint that a claim takes from.
type taker struct {
	endpoint *memoryEndpoint
	free     int
}

// takers returns the endpoints whose turn it is, at most one for each delivery
// wanted, and how many deliveries that will give. Busy ones keep their turn.
func (s *MemoryStore) takers(c ClaimRequest) (takers []taker, expected int) {
	takers = make([]taker, 0, min(c.Limit, s.turns.Len()))
	for elem := s.turns.Front(); elem != nil && len(takers) < c.Limit; elem = elem.Next() {
		e := elem.Value.(*memoryEndpoint)
		if free := c.PerEndpoint - c.Busy[e.ID]; free > 0 {
			takers = append(takers, taker{e, free})
			expected += min(free, e.dueNow.Len())
		}
	}
	return takers, min(expected, c.Limit)
}

// lease takes the delivery of e that has been due longest.
func (s *MemoryStore) lease(e *memoryEndpoint, until time.Duration) Claimed {
	d := e.dueNow.Front().Value.(*memoryDelivery)
	e.unqueue(d)
	s.lastLease++
	d.lease = s.lastLease
	d.claims++
	d.dueAt = until
	e.waiting.set(d, true)
	s.reseat(e)
	return Claimed{
		DeliveryID: d.id,
		Lease:      d.lease,
		Attempt:    len(d.attempts) + 1,
		Try:        len(d.attempts) - d.tried + 1,
		Claims:     d.claims,
		EventID:    d.event.ID,
		EventType:  d.event.Type,
		Payload:    d.event.payload,
		Endpoint:   e.Endpoint,
	}
}

// Finish implements [Queue].
func (s *MemoryStore) Finish(ctx context.Context, outcomes []Outcome) (lost []string, err error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	now := s.now()
	for _, o := range outcomes {
		d := s.deliveries[o.DeliveryID]
		if d == nil || d.lease == 0 || d.lease != o.Lease {
			lost = append(lost, o.DeliveryID)
			continue
		}
		s.finish(d, o, now)
	}
	return lost, nil
}

func (s *MemoryStore) finish(d *memoryDelivery, o Outcome, now time.Duration) {
	d.endpoint.unqueue(d) // also where a lease that ran out has put it
	d.lease, d.claims = 0, 0
	if o.Attempt.Number != 0 {
		d.attempts = append(d.attempts, o.Attempt)
		d.lastReason = o.Attempt.Reason
		d.endpoint.heed(o)
	}
	if o.State == StatePending {
		d.endpoint.queue(d, now+max(o.NextAttemptIn, 0), now)
		s.reseat(d.endpoint)
		return
	}
	s.end(d, o.State, now)
}

// heed keeps FailingSince after an attempt.
func (e *memoryEndpoint) heed(o Outcome) {
	since := e.FailingSince
	switch failed := o.State != StateDelivered; {
	case !failed:
		since = time.Time{}
	case since.IsZero():
		since = o.Attempt.StartedAt
	}
	if !since.Equal(e.FailingSince) {
		changed := *e.Endpoint
		changed.FailingSince = since
		e.Endpoint = &changed
	}
}

// Redeliver implements [Queue].
func (s *MemoryStore) Redeliver(ctx context.Context, deliveryIDs []string) (int, error) {
	if err := s.lock(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	now, n := s.now(), 0
	for _, id := range deliveryIDs {
		if d := s.deliveries[id]; d != nil && s.redeliver(d, now) {
			n++
		}
	}
	return n, nil
}

func (s *MemoryStore) redeliver(d *memoryDelivery, now time.Duration) bool {
	if d.endpoint.gone || d.event.payload == nil {
		return false
	}
	d.endpoint.drain(now)
	switch {
	case d.state != StatePending:
		d.tried = len(d.attempts)
		s.finished.Remove(d.elem)
		s.begin(d, now)
	case d.waiting >= 0 && d.lease == 0:
		d.endpoint.unqueue(d)
		d.endpoint.queue(d, now, now)
	default: // leased, or due already
		s.reseat(d.endpoint)
		return false
	}
	s.reseat(d.endpoint)
	return true
}

// begin makes a new or a finished delivery pending and due.
func (s *MemoryStore) begin(d *memoryDelivery, now time.Duration) {
	d.state, d.finishedAt = StatePending, 0
	d.endpoint.unfinished++
	d.event.unfinished++
	s.unsettle(d.event)
	d.endpoint.queue(d, now, now)
	s.reseat(d.endpoint)
}

// end finishes a delivery that has left its queue.
func (s *MemoryStore) end(d *memoryDelivery, state DeliveryState, now time.Duration) {
	d.state, d.finishedAt, d.lease, d.claims = state, now, 0, 0
	d.endpoint.unfinished--
	d.elem = s.finished.PushBack(d)
	if d.event.unfinished--; d.event.unfinished == 0 {
		s.settle(d.event, now)
	}
	s.reseat(d.endpoint)
}

// queue puts d where its due time belongs. Whatever fell due before goes
// first, so that dueNow stays in order.
func (e *memoryEndpoint) queue(d *memoryDelivery, due, now time.Duration) {
	d.dueAt = due
	if due > now {
		e.waiting.set(d, true)
		return
	}
	e.drain(now)
	d.elem = e.dueNow.PushBack(d)
}

func (e *memoryEndpoint) unqueue(d *memoryDelivery) {
	if d.elem != nil {
		e.dueNow.Remove(d.elem)
		d.elem = nil
	}
	e.waiting.set(d, false)
}

// drain moves what has fallen due out of waiting.
func (e *memoryEndpoint) drain(now time.Duration) {
	for len(e.waiting) > 0 && e.waiting[0].dueAt <= now {
		d := e.waiting[0]
		e.waiting.set(d, false)
		d.elem = e.dueNow.PushBack(d)
	}
}

// reseat gives e its places among turns and alarms after its queue changed.
func (s *MemoryStore) reseat(e *memoryEndpoint) {
	active := !e.Disabled && !e.gone
	switch due := active && e.dueNow.Len() > 0; {
	case due && e.turn == nil:
		e.turn = s.turns.PushBack(e)
	case !due && e.turn != nil:
		s.turns.Remove(e.turn)
		e.turn = nil
	}
	s.alarms.set(e, active && len(e.waiting) > 0)
}
