// Package rate limits how often something is done, by the generic cell rate algorithm (ITU-T
// I.371): what is used up of a limit is an instant, and no more. A [Meter] is that of one
// thing; a [Limiter] has many keys.
package rate

import (
	"sync"
	"time"
)

// MaxKeys bounds how many keys a Limiter remembers: those that were used in the last
// minute. Past it all are forgotten, and each may be used anew.
const MaxKeys = 65_536

// Limiter lets each key be used so many times at once, and then at an even rate. It is
// safe for concurrent use. A nil Limiter lets everything pass.
type Limiter struct {
	// Name names the limit for messages.
	Name string
	// PerMinute is how many uses a key has in a minute.
	PerMinute int

	pace Pace

	mu     sync.Mutex
	meters map[string]Meter
	next   time.Time // when the next sweep is due
}

// burst is the time in which all uses of a key become free again.
const burst = time.Minute

// New returns a Limiter of so many uses a minute for each key, which may come at once. It
// returns nil, which has no limit, if that is 0 or negative.
func New(name string, perMinute int) *Limiter {
	if perMinute <= 0 {
		return nil
	}
	return &Limiter{Name: name, PerMinute: perMinute, pace: Pace{burst / time.Duration(perMinute), burst}, meters: map[string]Meter{}}
}

// Take uses a key once and returns 0, or returns how long to wait until it can be used.
func (l *Limiter) Take(key string) (wait time.Duration) {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.sweep(now)
	m := l.meters[key]
	if wait = m.Take(now, l.pace); wait == 0 {
		l.meters[key] = m
	}
	return wait
}

// sweep forgets the keys that are unused, about once a minute, and all keys if there are
// too many.
func (l *Limiter) sweep(now time.Time) {
	if len(l.meters) < MaxKeys && now.Before(l.next) {
		return
	}
	crowded := len(l.meters) >= MaxKeys
	l.next = now.Add(burst)
	for key, m := range l.meters {
		if m.IsFull(now) {
			delete(l.meters, key)
		}
	}
	if crowded && len(l.meters) > MaxKeys/2 {
		clear(l.meters)
	}
}

// Len returns how many keys the Limiter remembers.
func (l *Limiter) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.meters)
}
