package alotwebhook

import (
	"sync"
	"sync/atomic"
	"time"
)

// slots says who may send: so many at once in all, so many to each endpoint,
// and fewer to one that shows signs of overload.
type slots struct {
	all, each int

	inUse, released atomic.Int64

	mu        sync.Mutex
	endpoints map[string]*endpointSlots // those in use or restricted
	swept     time.Time
	// opened: an endpoint that had no free slot has one again.
	opened bool
}

type endpointSlots struct {
	used int
	// limit is at least 1: halved by signs of overload, one more with each success.
	limit int
	// until: nothing is sent before, as the receiver asked.
	until time.Time
	last  time.Time
}

// Restrictions are forgotten when nothing was sent for so long.
const forgetRestriction = 10 * time.Minute

func newSlots(all, each int) *slots {
	return &slots{all: all, each: each, endpoints: map[string]*endpointSlots{}, swept: time.Now()}
}

func (s *slots) used() int { return int(s.inUse.Load()) }

// take uses a slot of an endpoint and returns how many are in use in all.
func (s *slots) take(endpointID string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.endpoints[endpointID]
	if e == nil {
		e = &endpointSlots{limit: s.each}
		s.endpoints[endpointID] = e
	}
	e.used++
	return int(s.inUse.Add(1))
}

// effect is what an attempt says about its endpoint.
type effect struct {
	succeeded  bool
	overloaded bool
	// leaveAlone is how long the receiver asked to be left alone.
	leaveAlone time.Duration
}

// maxLeaveAlone bounds how long one answer holds up an endpoint's other deliveries.
const maxLeaveAlone = time.Hour

// release gives a slot back.
func (s *slots) release(endpointID string, f effect) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inUse.Add(-1)
	s.released.Add(1)
	e := s.endpoints[endpointID]
	wasFull := e.used >= e.limit
	e.used--
	switch {
	case f.overloaded:
		e.limit = max(1, e.limit/2)
		now := time.Now()
		if e.last = now; f.leaveAlone > 0 {
			e.until = now.Add(min(f.leaveAlone, maxLeaveAlone))
		}
	case f.succeeded && e.limit < s.each:
		e.limit++
		e.last = time.Now()
	}
	if wasFull && e.used < e.limit {
		s.opened = true
	}
	if e.used == 0 && e.limit == s.each && e.until.IsZero() {
		delete(s.endpoints, endpointID)
	}
}

// reopened reports, once, whether an endpoint without a free slot got one.
func (s *slots) reopened() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	opened := s.opened
	s.opened = false
	return opened
}

// free returns how many slots are free in all, and for [ClaimRequest.Busy] how
// many of each endpoint's are not.
func (s *slots) free(now time.Time) (room int, busy map[string]int) {
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
	return s.all - s.used(), busy
}

// sweep forgets restrictions that nothing has confirmed for long.
func (s *slots) sweep(now time.Time) {
	s.swept = now
	for id, e := range s.endpoints {
		if now.After(e.until) {
			e.until = time.Time{}
		}
		if e.used == 0 && e.until.IsZero() && now.Sub(e.last) > forgetRestriction {
			delete(s.endpoints, id)
		}
	}
}
