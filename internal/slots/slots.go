<<<<<<< HEAD
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
//   - An endpoint begins with a few attempts at once, and earns more by successes.
=======
// Package slots counts the attempts that a dispatcher makes at the same time, and
// bounds them: in all, and to each endpoint. An endpoint that shows signs of overload
// gets fewer.
>>>>>>> main
package slots

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"
)

<<<<<<< HEAD
// Patience is how long an attempt holds a slot before it counts as waiting.
const Patience = 50 * time.Millisecond

const (
	// firstLimit is how many attempts at once an endpoint begins with.
	firstLimit = 4
	// quickAttempt is how long an attempt to a quick endpoint takes at most.
	quickAttempt = time.Second
	// maxPause bounds how long one response holds up an endpoint's other deliveries.
	maxPause = time.Hour
	// forgetAfter is how long an endpoint is remembered that nothing is sent to.
	forgetAfter = 10 * time.Minute
	// maxKnown bounds how many endpoints are remembered that nothing is sent to now.
	maxKnown = 10_000
)

// Slots counts the attempts under way. All methods may be called from many goroutines
// at once.
=======
// Slots counts the attempts under way: each uses one slot. All methods may be called
// by many goroutines at the same time.
>>>>>>> main
type Slots struct {
	inFlight, waiting, perEndpoint int

	used, released atomic.Int64 // attempts: under way, and over

<<<<<<< HEAD
	mu            sync.Mutex
	working       list.List // of *Slot: attempts that hold a slot, the oldest first
	organizations map[string]int
	active        map[string]*endpoint // with attempts under way, or held back
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
}

// New returns slots for inFlight attempts, for perEndpoint of them to each endpoint, and
// for so many more that wait.
func New(inFlight, perEndpoint, waiting int) *Slots {
	return &Slots{
		inFlight: inFlight, perEndpoint: perEndpoint, waiting: waiting,
		organizations: map[string]int{}, active: map[string]*endpoint{}, known: map[string]*endpoint{}, swept: time.Now(),
	}
=======
	mu        sync.Mutex
	endpoints map[string]*endpoint // only those with an attempt under way or a restriction
	swept     time.Time            // the last time that sweep ran
	opened    bool                 // the next result of Reopened
}

// endpoint holds the slots of one endpoint.
type endpoint struct {
	used  int       // its attempts under way
	limit int       // how many it may have: at least 1, at most Slots.each
	until time.Time // the end of a pause that its receiver asked for; zero for none
	last  time.Time // the last change of limit
}

// forgetAfter is how long a lower limit lasts if no attempt changes it.
const forgetAfter = 10 * time.Minute

// New returns Slots that allow the given number of attempts in all, and to each
// endpoint.
func New(all, each int) *Slots {
	return &Slots{all: all, each: each, endpoints: map[string]*endpoint{}, swept: time.Now()}
>>>>>>> main
}

// capacity is how many attempts may be under way in all.
func (s *Slots) capacity() int { return s.inFlight + s.waiting }

<<<<<<< HEAD
// reserve is the room that only quick endpoints may use.
func (s *Slots) reserve() int { return min(s.inFlight, s.capacity()/4) }

// Used returns how many attempts are under way, waiting ones included.
func (s *Slots) Used() int { return int(s.used.Load()) }

// Released returns how many attempts are over since the beginning.
func (s *Slots) Released() int { return int(s.released.Load()) }

// Working returns how many attempts hold a slot, and when the next of them becomes a
// waiting one; 0 for never.
func (s *Slots) Working() (n int, next time.Duration) {
=======
// Released returns how many slots have been given back since New.
func (s *Slots) Released() int { return int(s.released.Load()) }

// Take uses a slot of an endpoint, even if none is free, and returns how many slots
// are in use in all. A caller that claims no more deliveries than [Slots.Free] says
// never exceeds a limit.
func (s *Slots) Take(endpointID string) int {
>>>>>>> main
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.age(now)
	if oldest := s.working.Front(); oldest != nil && s.waitingNow() < s.waiting {
		next = max(Patience-now.Sub(oldest.Value.(*Slot).taken), time.Millisecond)
	}
	return s.working.Len(), next
}

<<<<<<< HEAD
func (s *Slots) waitingNow() int { return s.Used() - s.working.Len() }

// age makes waiting attempts of those that have held their slots for too long.
func (s *Slots) age(now time.Time) {
	for s.waitingNow() < s.waiting {
		front := s.working.Front()
		if front == nil || now.Sub(front.Value.(*Slot).taken) < Patience {
			return
		}
		s.working.Remove(front).(*Slot).elem = nil
	}
}

// Slot is held by one attempt.
type Slot struct {
	organizationID, endpointID string
	taken                      time.Time
	elem                       *list.Element // in working, or nil
}

// Take takes a slot, whether or not one is free. Who claims by [Slots.Free] never takes
// too many.
func (s *Slots) Take(organizationID, endpointID string) *Slot {
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
	e.used++
	s.organizations[organizationID]++
	s.used.Add(1)
	slot.elem = s.working.PushBack(slot)
	return slot
}

// Effect is what the end of an attempt says about its endpoint. The zero Effect says
// nothing: the attempt failed in a way that is no overload, or was cut off.
type Effect struct {
	Succeeded  bool
	Overloaded bool
	// Pause is how long the receiver asked to be left alone. It counts with Overloaded
	// only, and for an hour at most.
	Pause time.Duration
}

// Release gives back what an attempt held.
func (s *Slots) Release(slot *Slot, f Effect) {
	now := time.Now()
=======
// Effect is how the end of an attempt changes the limit of its endpoint. The zero
// Effect changes nothing: the attempt was cut off, or failed without a sign of
// overload.
type Effect struct {
	Succeeded  bool // adds one slot to a limit that was lowered
	Overloaded bool // halves the limit, down to one slot
	// Pause is how long the receiver asked to get no request. It has an effect with
	// Overloaded only, and for an hour at most.
	Pause time.Duration
}

// maxPause bounds how long one response can hold up the endpoint's other deliveries.
const maxPause = time.Hour

// Release gives back a slot that Take took, and applies the attempt's effect.
func (s *Slots) Release(endpointID string, f Effect) {
>>>>>>> main
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot.elem != nil {
		s.working.Remove(slot.elem)
	}
	s.used.Add(-1)
	s.released.Add(1)
	if s.organizations[slot.organizationID]--; s.organizations[slot.organizationID] == 0 {
		delete(s.organizations, slot.organizationID)
	}
	e := s.active[slot.endpointID]
	wasFull := e.used >= e.limit
	e.used--
	e.heed(f, s.perEndpoint, now.Sub(slot.taken), now)
	s.opened = s.opened || s.refused || wasFull && e.used < e.limit
	if e.used == 0 && !e.isHeldBack(now, s.perEndpoint) {
		s.rest(slot.endpointID, e)
	}
}

<<<<<<< HEAD
// heed changes what is known of an endpoint after an attempt that took so long.
func (e *endpoint) heed(f Effect, most int, took time.Duration, now time.Time) {
	e.last, e.quick = now, took <= quickAttempt
=======
// heed applies the effect of an attempt to an endpoint.
func (e *endpoint) heed(f Effect, each int) {
>>>>>>> main
	switch {
	case f.Overloaded:
		e.limit, e.overloaded = max(1, e.limit/2), true
		if f.Pause > 0 {
			e.until = now.Add(min(f.Pause, maxPause))
		}
	case f.Succeeded && e.overloaded:
		e.limit = min(e.limit+1, most)
		e.overloaded = e.limit < most
	case f.Succeeded:
		e.limit = min(2*e.limit, most)
	}
}

<<<<<<< HEAD
// isHeldBack reports whether an endpoint may get less than one that nothing is known of.
func (e *endpoint) isHeldBack(now time.Time, most int) bool {
	return e.limit < min(firstLimit, most) || now.Before(e.until)
}

// rest remembers an endpoint that nothing is sent to now.
func (s *Slots) rest(id string, e *endpoint) {
	delete(s.active, id)
	if len(s.known) >= maxKnown {
		clear(s.known)
	}
	s.known[id] = e
}

// Reopened reports whether somebody who was refused a slot may get one since Reopened or
// Free was last called.
=======
// Reopened reports whether an endpoint got a free slot that had none. It reports what
// happened since the last call of Reopened or Free.
>>>>>>> main
func (s *Slots) Reopened() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	opened := s.opened
	s.opened = false
	return opened
}

<<<<<<< HEAD
// Room is what may be claimed.
type Room struct {
	// Limit is how many attempts may begin in all.
	Limit int
	// PerEndpoint is how many attempts may begin to an endpoint that Endpoints lacks.
	PerEndpoint int
	// Endpoints has the attempts that may begin by endpoint, 0 included.
	Endpoints map[string]int
	// Organizations has those that get nothing now.
	Organizations map[string]bool
}

// Free returns the room for further attempts, with ahead more than that in all.
func (s *Slots) Free(ahead int) Room {
=======
// Free returns how many slots are free in all, and, for each endpoint, how many of its
// slots are in use or withheld. All slots of an endpoint that is missing in busy are
// free.
func (s *Slots) Free() (room int, busy map[string]int) {
>>>>>>> main
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.age(now)
	if now.Sub(s.swept) > time.Minute {
		s.sweep(now)
	}
	left := s.capacity() - s.Used()
	r := Room{
		Limit:         max(min(s.inFlight+ahead-s.working.Len(), left+ahead), 0),
		PerEndpoint:   min(firstLimit, s.perEndpoint),
		Endpoints:     make(map[string]int, len(s.active)),
		Organizations: map[string]bool{},
	}
	scarce := left <= s.reserve()
	for id, e := range s.active {
		r.Endpoints[id] = e.free(now, scarce)
	}
	if scarce {
		r.PerEndpoint = 0
		for id, e := range s.known {
			r.Endpoints[id] = e.free(now, scarce)
		}
	}
	for id, used := range s.organizations {
		if used >= left {
			r.Organizations[id] = true
		}
	}
	s.opened, s.refused = false, scarce || len(r.Organizations) > 0
	return r
}

<<<<<<< HEAD
func (e *endpoint) free(now time.Time, scarce bool) int {
	if now.Before(e.until) || scarce && !e.quick {
		return 0
	}
	return max(e.limit-e.used, 0)
}

// sweep forgets pauses that are over, and endpoints that nothing was sent to for long.
=======
// sweep ends the pauses that are over. It forgets endpoints without attempts whose
// limit has not changed for forgetAfter.
>>>>>>> main
func (s *Slots) sweep(now time.Time) {
	s.swept = now
	for id, e := range s.active {
		if now.After(e.until) {
			e.until = time.Time{}
		}
		if e.used == 0 && now.Sub(e.last) > forgetAfter {
			delete(s.active, id)
		}
	}
	for id, e := range s.known {
		if now.Sub(e.last) > forgetAfter {
			delete(s.known, id)
		}
	}
}
