package slots

import (
	"context"
	"time"

	"github.com/alot/alotwebhook/internal/pace"
	"github.com/alot/alotwebhook/internal/rate"
)

const (
	// atOnce is the time whose requests may come at once. So a claimer that is late by less
	// than that loses nothing of the rate.
	atOnce = 100 * time.Millisecond
	// longestWait is how long an attempt may wait with its slot until the rate allows it.
	longestWait = time.Second
	// leastNext bounds how often a claimer is woken for many endpoints with rates.
	leastNext = 5 * time.Millisecond
)

// paceOf returns the pace of so many requests a second. They come evenly: no more at once than
// in a tenth of a second, or one.
func paceOf(perSecond float64) rate.Pace {
	interval := time.Duration(float64(time.Second) / perSecond)
	return rate.Pace{Interval: interval, Burst: max(atOnce, interval+interval/10)}
}

// meter keeps an endpoint's rate.
type meter struct {
	perSecond float64 // 0: no limit
	pace      rate.Pace
	used      rate.Meter
	ahead     int // attempts that have a slot, and whose request was not made yet
}

// set changes the rate. One request is free then: when this process hears of the endpoint, it
// does not know what others have sent to it.
func (m *meter) set(perSecond float64, now time.Time) {
	if m.perSecond == perSecond {
		return
	}
	if m.perSecond = perSecond; perSecond > 0 {
		m.pace = paceOf(perSecond)
		m.used.Leave(now, m.pace, 1)
	}
}

// free returns how many of most further attempts the rate allows.
func (m *meter) free(now time.Time, most int) int {
	if m.perSecond == 0 {
		return most
	}
	return min(max(m.used.Free(now, m.pace)-m.ahead, 0), most)
}

// next returns how long until the rate allows a further attempt; 0 if it does.
func (m *meter) next(now time.Time) time.Duration {
	if m.perSecond == 0 {
		return 0
	}
	return m.used.Wait(now, m.pace, m.ahead+1)
}

// await notes how long until a rate allows more; 0 if it does.
func (r *Room) await(next time.Duration) {
	if next > 0 && (r.Next == 0 || next < r.Next) {
		r.Next = max(next, leastNext)
	}
}

// Begin waits until the endpoint's rate allows the request of an attempt. It returns false if
// that takes more than a second or ctx ends, and then the attempt is not to be made. More
// attempts than the rate allows have a slot only if they were claimed before the rate was
// known, or while a lower one was not.
func (s *Slots) Begin(ctx context.Context, slot *Slot) bool {
	for latest := time.Now().Add(longestWait); slot.metered; { // of those that wait, one is next
		wait := s.begin(slot)
		if wait > 0 && (time.Now().Add(wait).After(latest) || !pace.Pause(ctx, wait)) {
			return false
		}
	}
	return true
}

// begin counts the request and returns 0, or returns how long it has to wait.
func (s *Slots) begin(slot *Slot) (wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.active[slot.endpointID].meter
	if m.perSecond > 0 {
		wait = m.used.Take(time.Now(), m.pace)
	}
	if wait == 0 {
		slot.pass(m)
	}
	return wait
}

// pass notes that an attempt is not ahead any more.
func (s *Slot) pass(m *meter) {
	if s.metered {
		s.metered = false
		m.ahead--
	}
}
