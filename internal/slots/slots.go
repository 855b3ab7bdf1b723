// Package slots says how many attempts a dispatcher may make at once: in all, to
// each endpoint, and fewer to an endpoint that shows signs of overload.
package slots

import (
	"sync"
	"sync/atomic"
	"time"
)

// Slots counts the attempts under way. All methods may be called from many
// goroutines at once.
type Slots struct {
	all, each int

	inUse, released atomic.Int64

	mu        sync.Mutex
	endpoints map[string]*endpoint // those with attempts under way or restricted
	swept     time.Time
	// opened is set when an endpoint that had no free slot gets one.
	opened bool
}

type endpoint struct {
	used int
	// limit is at least 1. A sign of overload halves it, a success adds one.
	limit int
	// until is when a pause ends that the receiver asked for.
	until time.Time
	// last is when limit last changed.
	last time.Time
}

// forgetAfter is how long a restriction lasts that no attempt confirms.
const forgetAfter = 10 * time.Minute

// New returns slots for so many attempts in all, and so many to each endpoint.
func New(all, each int) *Slots {
	return &Slots{all: all, each: each, endpoints: map[string]*endpoint{}, swept: time.Now()}
}

// Used returns how many slots are in use in all.
func (s *Slots) Used() int { return int(s.inUse.Load()) }

// Released returns how many slots were given back since the beginning.
func (s *Slots) Released() int { return int(s.released.Load()) }

// Take uses a slot of an endpoint, whether or not one is free, and returns how many
// are in use in all. Who claims by [Slots.Free] never takes too many.
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

// Effect is what the end of an attempt says about its endpoint. The zero Effect
// says nothing: the attempt failed in a way that is no overload, or was cut off.
type Effect struct {
	Succeeded  bool
	Overloaded bool
	// Pause is how long the receiver asked to be left alone. It counts with
	// Overloaded only, and for an hour at most.
	Pause time.Duration
}

// maxPause bounds how long one response holds up an endpoint's other deliveries.
const maxPause = time.Hour

// Release gives back a slot that was taken.
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

// heed changes the limit of an endpoint after an attempt.
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

// Reopened reports whether an endpoint without a free slot got one since Reopened
// or Free was last called.
func (s *Slots) Reopened() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	opened := s.opened
	s.opened = false
	return opened
}

// Free returns how many slots are free in all and, by endpoint, how many of its
// slots are in use or withheld; an endpoint that is absent has all of them free.
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

// sweep forgets pauses that are over and restrictions that nothing has confirmed
// for long.
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
