package memory

import (
	"context"
	"slices"
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

// wake finds the deliveries that have fallen due since the last claim, those whose
// lease ran out included, and gives their endpoints a turn.
func (s *Store) wake(now time.Duration) {
	for len(s.alarms) > 0 && s.alarms[0].due() <= now {
		e := s.alarms[0]
		e.moveDue(now)
		s.reschedule(e)
	}
}

// taker is an endpoint that a claim takes deliveries for.
type taker struct {
	endpoint *storedEndpoint
	free     int // the endpoint's free slots
}

// takers returns the next endpoints in the order of their turns, at most one for
// each delivery wanted, and how many deliveries they will give together. An
// endpoint without a free slot is left out and keeps its place.
func (s *Store) takers(c alotwebhook.ClaimRequest) (takers []taker, expected int) {
	takers = make([]taker, 0, max(min(c.Limit, s.turns.Len()), 0))
	for elem := s.turns.Front(); elem != nil && len(takers) < c.Limit; elem = elem.Next() {
		e := elem.Value.(*storedEndpoint)
		free := c.Free(e.ID, e.OrganizationID)
		if e.Ordered || e.isTests {
			free = min(free, 1)
		}
		if free > 0 {
			takers = append(takers, taker{e, free})
			expected += min(free, e.dueNow.Len())
		}
	}
	return takers, max(min(expected, c.Limit), 0)
}

// lease claims the next delivery of e: the delivery gets a new token and falls due again
// at until. e must have one.
func (s *Store) lease(e *storedEndpoint, until time.Duration) alotwebhook.Claimed {
	d := e.next()
	e.unqueue(d)
	e.first.claim(d)
	s.lastToken++
	d.token = s.lastToken
	d.claims++
	d.dueAt = until
	e.wait(d)
	s.reschedule(e)
	return alotwebhook.Claimed{
		DeliveryID:  d.id,
		Token:       d.token,
		Attempt:     d.made + 1,
		Try:         d.made - d.tried + 1,
		Claims:      d.claims,
		EventID:     d.event.ID,
		EventType:   d.event.Type,
		TraceParent: d.event.TraceParent,
		Test:        d.event.Test,
		Payload:     d.event.payload,
		Endpoint:    e.Endpoint,
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
		if d == nil || d.token == 0 || d.token != o.Token {
			lost = append(lost, o.DeliveryID)
			continue
		}
		s.finish(d, o, now)
		if o.Operation != nil {
			s.note([]alotwebhook.Operation{*o.Operation})
		}
	}
	return lost, nil
}

// finish applies an outcome whose token is the delivery's.
func (s *Store) finish(d *storedDelivery, o alotwebhook.Outcome, now time.Duration) {
	d.endpoint.unqueue(d) // out of waiting, or out of dueNow if the lease ran out
	d.token, d.claims = 0, 0
	if o.Held {
		d.token = o.Token
	}
	if o.Attempt.Number != 0 {
		d.addAttempt(storedAttempt{o.Attempt, o.URLs})
		d.lastReason = o.Attempt.Reason
		d.endpoint.updateFailingSince(o)
	} else if o.State != alotwebhook.StatePending && o.Attempt.Reason != "" {
		d.lastReason = o.Attempt.Reason
	}
	if o.State == alotwebhook.StatePending {
		d.endpoint.first.settle(d, o, now)
		d.endpoint.queue(d, now+max(o.NextAttemptIn, 0), now)
		s.reschedule(d.endpoint)
		return
	}
	s.end(d, o.State, now)
}

// addAttempt adds an attempt to the history, and forgets old ones when there are many.
func (d *storedDelivery) addAttempt(a storedAttempt) {
	d.made++
	a.StartedAt, a.URL = a.StartedAt.UTC(), ""
	d.attempts = append(d.attempts, a)
	if n := len(d.attempts); n >= 2*alotwebhook.KeptAttempts {
		d.attempts = slices.Clone(d.attempts[n-alotwebhook.KeptAttempts:])
	}
}

// updateFailingSince sets or clears the endpoint's FailingSince after an attempt,
// by the rule of [alotwebhook.Queue]'s Finish.
func (e *storedEndpoint) updateFailingSince(o alotwebhook.Outcome) {
	if e.isTests {
		return
	}
	since := e.FailingSince
	switch failed := o.State != alotwebhook.StateDelivered; {
	case !failed:
		since = time.Time{}
	case since.IsZero() && !o.Blameless:
		since = o.Attempt.StartedAt.UTC()
	}
	if !since.Equal(e.FailingSince) {
		changed := *e.Endpoint
		changed.FailingSince = since
		e.replace(&changed)
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

// redeliver makes d due now if it may be, and reports whether it did: a finished
// one begins anew, and one that waits for its next attempt waits no longer.
func (s *Store) redeliver(d *storedDelivery, now time.Duration) bool {
	if d.endpoint.deleted || d.event.payload == nil {
		return false
	}
	d.endpoint.moveDue(now)
	switch {
	case d.state != alotwebhook.StatePending:
		d.tried, d.lastReason = d.made, ""
		if n := len(d.attempts); n > 0 {
			d.lastReason = d.attempts[n-1].Reason
		}
		s.finished.Remove(d.elem)
		s.begin(d, now)
	case d.waiting >= 0 && d.token == 0:
		d.endpoint.unqueue(d)
		d.endpoint.queue(d, now, now)
	default: // it is leased, or due already
		s.reschedule(d.endpoint)
		return false
	}
	s.reschedule(d.endpoint)
	return true
}

// Cancel implements [alotwebhook.Queue].
func (s *Store) Cancel(ctx context.Context, deliveryIDs []string) (n int, err error) {
	if err := s.lock(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	now := s.now()
	for _, id := range deliveryIDs {
		if d := s.deliveries[id]; d != nil && d.state == alotwebhook.StatePending {
			s.fail(d, alotwebhook.ReasonCanceled, now)
			n++
		}
	}
	return n, nil
}

// begin makes a delivery pending and due now. The delivery is new, or finished
// and to be sent again.
func (s *Store) begin(d *storedDelivery, now time.Duration) {
	d.state, d.finishedAt = alotwebhook.StatePending, 0
	d.endpoint.unfinished++
	d.event.unfinished++
	s.unsettle(d.event)
	d.endpoint.queue(d, now, now)
	s.reschedule(d.endpoint)
}

// end makes a delivery delivered or failed. The caller has taken it out of its
// endpoint's queue.
func (s *Store) end(d *storedDelivery, state alotwebhook.DeliveryState, now time.Duration) {
	d.state, d.finishedAt, d.token, d.claims = state, now, 0, 0
	if d.endpoint.first.holder == d {
		d.endpoint.first = firstPlace{}
	}
	d.endpoint.unfinished--
	d.elem = s.finished.PushBack(d)
	if d.event.unfinished--; d.event.unfinished == 0 {
		s.settle(d.event, now)
	}
	s.reschedule(d.endpoint)
}

// fail ends an unfinished delivery for that reason, without an attempt.
func (s *Store) fail(d *storedDelivery, reason alotwebhook.FailureReason, now time.Duration) {
	d.endpoint.unqueue(d)
	d.lastReason = reason
	s.end(d, alotwebhook.StateFailed, now)
}

// queue puts d into waiting, or into dueNow behind all others if it is due. The
// deliveries that fell due before d belong in front of it and are moved first.
func (e *storedEndpoint) queue(d *storedDelivery, due, now time.Duration) {
	d.dueAt = due
	if due > now {
		e.wait(d)
		return
	}
	e.moveDue(now)
	d.elem = e.dueNow.PushBack(d)
}

// unqueue takes d out of dueNow or waiting, wherever it is.
func (e *storedEndpoint) unqueue(d *storedDelivery) {
	if d.elem != nil {
		e.dueNow.Remove(d.elem)
		d.elem = nil
	}
	e.unwait(d)
}

// wait puts d into waiting, unwait takes it out.
func (e *storedEndpoint) wait(d *storedDelivery) {
	e.waiting.set(d, true)
	if d.token != 0 {
		e.leased++
	}
}

func (e *storedEndpoint) unwait(d *storedDelivery) {
	if d.waiting >= 0 && d.token != 0 {
		e.leased--
	}
	e.waiting.set(d, false)
}

// moveDue moves the deliveries that have fallen due from waiting to dueNow.
func (e *storedEndpoint) moveDue(now time.Duration) {
	for len(e.waiting) > 0 && e.waiting[0].dueAt <= now {
		d := e.waiting[0]
		e.unwait(d)
		d.elem = e.dueNow.PushBack(d)
	}
}

// reschedule gives e its places in turns and alarms, or takes them away, after
// its queue changed or it was enabled, disabled or deleted. An endpoint that has
// a turn already keeps it.
func (s *Store) reschedule(e *storedEndpoint) {
	active := !e.parks() && !e.deleted
	switch due := active && e.next() != nil; {
	case due && e.turn == nil:
		e.turn = s.turns.PushBack(e)
	case !due && e.turn != nil:
		s.turns.Remove(e.turn)
		e.turn = nil
	}
	s.alarms.set(e, active && len(e.waiting) > 0)
}
