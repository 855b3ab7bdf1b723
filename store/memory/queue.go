package memory

import (
	"context"
	"time"

	"github.com/alot/alotwebhook"
)

// Claim implements [alotwebhook.Queue].
func (s *Store) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	if err := s.lock(ctx); err != nil {
		return alotwebhook.ClaimResult{}, err
	}
	defer s.mu.Unlock()
	now := s.now()
	s.wake(now)

	takers, expected := s.takers(c)
	claimed := make([]alotwebhook.Claimed, 0, expected)
	for len(claimed) < c.Limit && len(takers) > 0 {
		t := takers[0]
		takers = takers[1:]
		s.turns.MoveToBack(t.endpoint.turn)
		claimed = append(claimed, s.lease(t.endpoint, now+c.Lease))
		if t.free--; t.free > 0 && t.endpoint.dueNow.Len() > 0 {
			takers = append(takers, t)
		}
	}

	result := alotwebhook.ClaimResult{Deliveries: claimed}
	if len(s.alarms) > 0 {
		result.NextIn = s.alarms[0].due() - now
	}
	return result, nil
}

// wake moves what has fallen due, leases that ran out included, into its turn.
func (s *Store) wake(now time.Duration) {
	for len(s.alarms) > 0 && s.alarms[0].due() <= now {
		e := s.alarms[0]
		e.drain(now)
		s.reseat(e)
	}
}

// taker is an endpoint that a claim takes from.
type taker struct {
	endpoint *storedEndpoint
	free     int
}

// takers returns the endpoints whose turn it is, at most one for each delivery
// wanted, and how many deliveries that will give. Busy ones keep their turn.
func (s *Store) takers(c alotwebhook.ClaimRequest) (takers []taker, expected int) {
	takers = make([]taker, 0, min(c.Limit, s.turns.Len()))
	for elem := s.turns.Front(); elem != nil && len(takers) < c.Limit; elem = elem.Next() {
		e := elem.Value.(*storedEndpoint)
		if free := c.PerEndpoint - c.Busy[e.ID]; free > 0 {
			takers = append(takers, taker{e, free})
			expected += min(free, e.dueNow.Len())
		}
	}
	return takers, min(expected, c.Limit)
}

// lease takes the delivery of e that has been due longest.
func (s *Store) lease(e *storedEndpoint, until time.Duration) alotwebhook.Claimed {
	d := e.dueNow.Front().Value.(*storedDelivery)
	e.unqueue(d)
	s.lastLease++
	d.lease = s.lastLease
	d.claims++
	d.dueAt = until
	e.waiting.set(d, true)
	s.reseat(e)
	return alotwebhook.Claimed{
		DeliveryID: d.id,
		Token:      d.lease,
		Attempt:    len(d.attempts) + 1,
		Try:        len(d.attempts) - d.tried + 1,
		Claims:     d.claims,
		EventID:    d.event.ID,
		EventType:  d.event.Type,
		Payload:    d.event.payload,
		Endpoint:   e.Endpoint,
	}
}

// Finish implements [alotwebhook.Queue].
func (s *Store) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) (lost []string, err error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	now := s.now()
	for _, o := range outcomes {
		d := s.deliveries[o.DeliveryID]
		if d == nil || d.lease == 0 || d.lease != o.Token {
			lost = append(lost, o.DeliveryID)
			continue
		}
		s.finish(d, o, now)
	}
	return lost, nil
}

func (s *Store) finish(d *storedDelivery, o alotwebhook.Outcome, now time.Duration) {
	d.endpoint.unqueue(d) // also where a lease that ran out has put it
	d.lease, d.claims = 0, 0
	if o.Attempt.Number != 0 {
		d.attempts = append(d.attempts, o.Attempt)
		d.lastReason = o.Attempt.Reason
		d.endpoint.heed(o)
	}
	if o.State == alotwebhook.StatePending {
		d.endpoint.queue(d, now+max(o.NextAttemptIn, 0), now)
		s.reseat(d.endpoint)
		return
	}
	s.end(d, o.State, now)
}

// heed keeps FailingSince after an attempt.
func (e *storedEndpoint) heed(o alotwebhook.Outcome) {
	since := e.FailingSince
	switch failed := o.State != alotwebhook.StateDelivered; {
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

// Redeliver implements [alotwebhook.Queue].
func (s *Store) Redeliver(ctx context.Context, deliveryIDs []string) (int, error) {
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

func (s *Store) redeliver(d *storedDelivery, now time.Duration) bool {
	if d.endpoint.gone || d.event.payload == nil {
		return false
	}
	d.endpoint.drain(now)
	switch {
	case d.state != alotwebhook.StatePending:
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
func (s *Store) begin(d *storedDelivery, now time.Duration) {
	d.state, d.finishedAt = alotwebhook.StatePending, 0
	d.endpoint.unfinished++
	d.event.unfinished++
	s.unsettle(d.event)
	d.endpoint.queue(d, now, now)
	s.reseat(d.endpoint)
}

// end finishes a delivery that has left its queue.
func (s *Store) end(d *storedDelivery, state alotwebhook.DeliveryState, now time.Duration) {
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
func (e *storedEndpoint) queue(d *storedDelivery, due, now time.Duration) {
	d.dueAt = due
	if due > now {
		e.waiting.set(d, true)
		return
	}
	e.drain(now)
	d.elem = e.dueNow.PushBack(d)
}

func (e *storedEndpoint) unqueue(d *storedDelivery) {
	if d.elem != nil {
		e.dueNow.Remove(d.elem)
		d.elem = nil
	}
	e.waiting.set(d, false)
}

// drain moves what has fallen due out of waiting.
func (e *storedEndpoint) drain(now time.Duration) {
	for len(e.waiting) > 0 && e.waiting[0].dueAt <= now {
		d := e.waiting[0]
		e.waiting.set(d, false)
		d.elem = e.dueNow.PushBack(d)
	}
}

// reseat gives e its places among turns and alarms after its queue changed.
func (s *Store) reseat(e *storedEndpoint) {
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
