// Package slots says how many attempts a dispatcher may make at once: in all, for each
// organization and to each endpoint.
//
// An attempt holds a slot. Most attempts are over within milliseconds; one that hangs
// takes many seconds, and a few hundred of those would leave no slot to anybody else. So
// an attempt that is not over after [Patience] becomes a waiting one, and its slot is
// free for the next. Waiting attempts are bounded as well, and shared out by three rules:
//
//   - An organization gets nothing more while it has as many attempts under way as there
//     is room left for all others. One alone may take half of the room, two a third each.
//   - When the room is nearly used up, only endpoints get more that were quick lately.
//   - An endpoint begins with two attempts at once, and earns more by successes.
//
// An endpoint may also have a rate. While it is used up, the endpoint has no slot free.
package slots

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook/internal/chain"
)

// Patience is how long an attempt holds a slot before it counts as waiting.
const Patience = 20 * time.Millisecond

const (
	// firstLimit is how many attempts at once an endpoint begins with.
	firstLimit = 2
	// quickAttempt is how long an attempt to a quick endpoint takes at most.
	quickAttempt = time.Second
	// maxPause bounds how long one response holds up an endpoint's other deliveries.
	maxPause = time.Hour
	// lively is how long after an attempt an endpoint is listed with all that it has earned.
	lively = 200 * time.Millisecond
	// forgetAfter is how long an endpoint is remembered that nothing is sent to.
	forgetAfter = 10 * time.Minute
	// maxKnown bounds how many endpoints are remembered that nothing is sent to now.
	maxKnown = 10_000
)

// Slots counts the attempts under way. All methods may be called from many goroutines
// at once.
type Slots struct {
	inFlight, waiting, perEndpoint int
	perSecond                      float64 // the rate of an endpoint that has none of its own; 0: no limit

	used, released atomic.Int64 // attempts: under way, and over

	mu            sync.Mutex
	working       chain.List[*Slot] // attempts that hold a slot, the oldest first
	organizations map[string]int
	active        map[string]*endpoint // with attempts under way or just over, or held back
	known         map[string]*endpoint // the others that are remembered
	swept         time.Time

	refused bool // the last Free refused somebody
	opened  bool // somebody who was refused may get a slot now
}

// endpoint is what is known of an endpoint.
type endpoint struct {
	used int
	// limit is how many attempts at once it may have, from 1.
	limit int
	// overloaded is set by the first sign of overload. From then on a success adds one
	// to the limit, where before it doubled it.
	overloaded bool
	// quick is set while the last attempt took no longer than quickAttempt.
	quick bool
	// until is the end of a pause that the receiver asked for.
	until time.Time
	last  time.Time // when the last attempt was over
	meter meter
}

// New returns slots for inFlight attempts, for perEndpoint of them to each endpoint, and
// for so many more that wait. An endpoint without a rate of its own gets perSecond requests
// a second; with 0 any number.
func New(inFlight, perEndpoint, waiting int, perSecond float64) *Slots {
	return &Slots{
		inFlight: inFlight, perEndpoint: perEndpoint, waiting: waiting, perSecond: perSecond,
		organizations: map[string]int{}, active: map[string]*endpoint{}, known: map[string]*endpoint{}, swept: time.Now(),
	}
}

// capacity is how many attempts may be under way in all.
func (s *Slots) capacity() int { return s.inFlight + s.waiting }

// unlisted is how many attempts may begin to an endpoint that nothing is known of.
func (s *Slots) unlisted() int {
	n := min(firstLimit, s.perEndpoint)
	if s.perSecond > 0 {
		p := paceOf(s.perSecond)
		n = min(n, int(p.Burst/p.Interval))
	}
	return n
}

// reserve is the room that only quick endpoints may use.
func (s *Slots) reserve() int { return min(s.inFlight, s.capacity()/4) }

// Used returns how many attempts are under way, waiting ones included.
func (s *Slots) Used() int { return int(s.used.Load()) }

// Released returns how many attempts are over since the beginning.
func (s *Slots) Released() int { return int(s.released.Load()) }

// Working returns how many attempts hold a slot, and when the next of them becomes a
// waiting one; 0 for never.
func (s *Slots) Working() (n int, next time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.age(now)
	if oldest := s.working.Front(); oldest != nil && s.waitingNow() < s.waiting {
		next = max(Patience-now.Sub(oldest.Value.taken), time.Millisecond)
	}
	return s.working.Len(), next
}

func (s *Slots) waitingNow() int { return s.Used() - s.working.Len() }

// age makes waiting attempts of those that have held their slots for too long.
func (s *Slots) age(now time.Time) {
	for s.waitingNow() < s.waiting {
		front := s.working.Front()
		if front == nil || now.Sub(front.Value.taken) < Patience {
			return
		}
		s.working.Remove(front)
	}
}

// Slot is held by one attempt.
type Slot struct {
	organizationID, endpointID string
	taken                      time.Time
	metered                    bool              // the endpoint has a rate, and the request was not made yet
	node                       chain.Node[*Slot] // in working, or not
}

// Take takes a slot, whether or not one is free. Who claims by [Slots.Free] never takes
// too many. The endpoint gets perSecond requests a second, or with 0 as many as one without a
// rate of its own: call [Slots.Begin] before the request.
func (s *Slots) Take(organizationID, endpointID string, perSecond float64) *Slot {
	slot := &Slot{organizationID: organizationID, endpointID: endpointID, taken: time.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.active[endpointID]
	if e == nil {
		if e = s.known[endpointID]; e == nil {
			e = &endpoint{limit: min(firstLimit, s.perEndpoint)}
		}
		delete(s.known, endpointID)
		s.active[endpointID] = e
	}
	e.meter.set(cmp.Or(perSecond, s.perSecond), slot.taken)
	if slot.metered = e.meter.perSecond > 0; slot.metered {
		e.meter.ahead++
	}
	e.used++
	s.organizations[organizationID]++
	s.used.Add(1)
	slot.node.Value = slot
	s.working.PushBack(&slot.node)
	return slot
}

// Effect is what the end of an attempt says about its endpoint. The zero Effect says
// nothing: the attempt failed in a way that is no overload, or was cut off.
type Effect struct {
	Succeeded  bool
	Overloaded bool
	// Pause is how long the receiver asked to be left alone. It counts with Overloaded
	// only, for an hour at most, and never ends a longer one that an attempt beside it asked for.
	Pause time.Duration
}

// Release gives back what an attempt held.
func (s *Slots) Release(slot *Slot, f Effect) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.working.Remove(&slot.node)
	s.used.Add(-1)
	s.released.Add(1)
	if s.organizations[slot.organizationID]--; s.organizations[slot.organizationID] == 0 {
		delete(s.organizations, slot.organizationID)
	}
	e := s.active[slot.endpointID]
	slot.pass(&e.meter)
	wasFull := e.used >= e.limit
	e.used--
	e.heed(f, s.perEndpoint, now.Sub(slot.taken), now)
	s.opened = s.opened || s.refused || wasFull && e.used < e.limit
	s.restUnlessHeldBack(slot.endpointID, e, now)
}

// heed changes what is known of an endpoint after an attempt that took so long.
func (e *endpoint) heed(f Effect, most int, took time.Duration, now time.Time) {
	e.last, e.quick = now, took <= quickAttempt
	switch {
	case f.Overloaded:
		e.limit, e.overloaded = max(1, e.limit/2), true
		if until := now.Add(min(f.Pause, maxPause)); f.Pause > 0 && until.After(e.until) {
			e.until = until
		}
	case f.Succeeded && e.overloaded:
		e.limit = min(e.limit+1, most)
		e.overloaded = e.limit < most
	case f.Succeeded:
		e.limit = min(2*e.limit, most)
	}
}

// restUnlessHeldBack remembers an endpoint that nothing is sent to now, and that may get no
// less than one that nothing is known of. One that was busy just now, and may get more, does
// not rest yet.
func (s *Slots) restUnlessHeldBack(id string, e *endpoint, now time.Time) {
	least := s.unlisted()
	if e.limit > least && now.Sub(e.last) < lively {
		return
	}
	if e.used > 0 || e.limit < least || now.Before(e.until) || e.meter.free(now, least) < least {
		return
	}
	delete(s.active, id)
	if len(s.known) >= maxKnown {
		clear(s.known)
	}
	s.known[id] = e
}

// Reopened reports whether somebody who was refused a slot may get one since Reopened or
// Free was last called.
func (s *Slots) Reopened() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	opened := s.opened
	s.opened = false
	return opened
}

// Room is what may be claimed.
type Room struct {
	// Limit is how many attempts may begin in all.
	Limit int
	// Busy holds, by endpoint, how many of its slots are in use or withheld.
	Busy map[string]int
	// Unlisted is how many attempts may begin to an endpoint that Busy lacks.
	Unlisted int
	// Withheld has the organizations that get nothing now.
	Withheld map[string]bool
	// Next is how long until the rate of an endpoint allows more that allows none now; 0 if
	// there is no such endpoint.
	Next time.Duration
}

// Free returns the room for further attempts, with ahead more than that in all.
func (s *Slots) Free(ahead int) Room {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.age(now)
	if now.Sub(s.swept) > time.Minute {
		s.sweep(now)
	}
	left := s.capacity() - s.Used()
	r := Room{
		Limit:    max(min(s.inFlight+ahead-s.working.Len(), left+ahead), 0),
		Busy:     make(map[string]int, len(s.active)),
		Unlisted: s.unlisted(),
		Withheld: map[string]bool{},
	}
	shared := s.waiting > 0 // where nobody may wait, each place is anybody's
	scarce := shared && left <= s.reserve()
	for id, e := range s.active {
		r.Busy[id] = s.perEndpoint - e.free(now, scarce)
		r.await(e.meter.next(now))
		s.restUnlessHeldBack(id, e, now) // its rate or its pause may be over
	}
	if scarce {
		r.Unlisted = 0
		for id, e := range s.known {
			r.Busy[id] = s.perEndpoint - e.free(now, scarce)
		}
	}
	for id, used := range s.organizations {
		if shared && used >= left {
			r.Withheld[id] = true
		}
	}
	s.opened, s.refused = false, scarce || len(r.Withheld) > 0
	return r
}

func (e *endpoint) free(now time.Time, scarce bool) int {
	if now.Before(e.until) || scarce && !e.quick {
		return 0
	}
	return e.meter.free(now, max(e.limit-e.used, 0))
}

// sweep forgets endpoints that nothing was sent to for long, and that asked for no longer pause.
func (s *Slots) sweep(now time.Time) {
	s.swept = now
	for id, e := range s.active {
		if e.used == 0 && now.Sub(e.last) > forgetAfter && !now.Before(e.until) {
			delete(s.active, id)
		}
	}
	for id, e := range s.known {
		if now.Sub(e.last) > forgetAfter {
			delete(s.known, id)
		}
	}
}
