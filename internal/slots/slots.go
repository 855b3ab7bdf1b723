// Package slots counts the attempts that a dispatcher makes at the same time, and
// bounds them: in all, and to each endpoint. An endpoint that shows signs of overload
// gets fewer.
package slots

import (
	"sync"
	"sync/atomic"
	"time"
)

// Slots counts the attempts under way: each uses one slot. All methods may be called
// by many goroutines at the same time.
type Slots struct {
	all, each int

	inUse, released atomic.Int64

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
}

// Used returns how many slots are in use in all.
func (s *Slots) Used() int { return int(s.inUse.Load()) }

// Released returns how many slots have been given back since New.
func (s *Slots) Released() int { return int(s.released.Load()) }

// Take uses a slot of an endpoint, even if none is free, and returns how many slots
// are in use in all. A caller that claims no more deliveries than [Slots.Free] says
// never exceeds a limit.
func (s *Slots) Take(endpointID string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.endpoints[endpointID]
	if e == nil {
		e = &endpoint{limit: s.each}
		s.endpoints[endpointID] = e
	}
	e.used++
	return int(s.inUse.Add(1))
}

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
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inUse.Add(-1)
	s.released.Add(1)
	e := s.endpoints[endpointID]
	wasFull := e.used >= e.limit
	e.used--
	e.heed(f, s.each)
	if wasFull && e.used < e.limit {
		s.opened = true
	}
	if e.used == 0 && e.limit == s.each && e.until.IsZero() {
		delete(s.endpoints, endpointID)
	}
}

// heed applies the effect of an attempt to an endpoint.
func (e *endpoint) heed(f Effect, each int) {
	switch {
	case f.Overloaded:
		e.limit = max(1, e.limit/2)
		now := time.Now()
		if e.last = now; f.Pause > 0 {
			e.until = now.Add(min(f.Pause, maxPause))
		}
	case f.Succeeded && e.limit < each:
		e.limit++
		e.last = time.Now()
	}
}

// Reopened reports whether an endpoint got a free slot that had none. It reports what
// happened since the last call of Reopened or Free.
func (s *Slots) Reopened() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	opened := s.opened
	s.opened = false
	return opened
}

// Free returns how many slots are free in all, and, for each endpoint, how many of its
// slots are in use or withheld. All slots of an endpoint that is missing in busy are
// free.
func (s *Slots) Free() (room int, busy map[string]int) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = false
	if now.Sub(s.swept) > time.Minute {
		s.sweep(now)
	}
	busy = make(map[string]int, len(s.endpoints))
	for id, e := range s.endpoints {
		switch {
		case now.Before(e.until):
			busy[id] = s.each
		case s.each-e.limit+e.used > 0:
			busy[id] = s.each - e.limit + e.used
		}
	}
	return s.all - s.Used(), busy
}

// sweep ends the pauses that are over. It forgets endpoints without attempts whose
// limit has not changed for forgetAfter.
func (s *Slots) sweep(now time.Time) {
	s.swept = now
	for id, e := range s.endpoints {
		if now.After(e.until) {
			e.until = time.Time{}
		}
		if e.used == 0 && e.until.IsZero() && now.Sub(e.last) > forgetAfter {
			delete(s.endpoints, id)
		}
	}
}
