// Package rate limits how often something is done for each of many keys, by the generic
// cell rate algorithm (ITU-T I.371): a key is an instant, and no more.
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

	interval time.Duration // between two uses in the long run

	mu   sync.Mutex
	full map[string]time.Time // when all uses of a key are free again
	next time.Time            // when the next sweep is due
}

// burst is the time in which all uses of a key become free again.
const burst = time.Minute

// New returns a Limiter of so many uses a minute for each key, which may come at once. It
// returns nil, which has no limit, if that is 0 or negative.
func New(name string, perMinute int) *Limiter {
	if perMinute <= 0 {
		return nil
	}
	return &Limiter{Name: name, PerMinute: perMinute, interval: burst / time.Duration(perMinute), full: map[string]time.Time{}}
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
	full := l.full[key]
	if full.Before(now) {
		full = now
	}
	full = full.Add(l.interval)
	if wait = full.Sub(now) - burst; wait > 0 {
		return wait
	}
	l.full[key] = full
	return 0
}

// sweep forgets the keys that are unused, about once a minute, and all keys if there are
// too many.
func (l *Limiter) sweep(now time.Time) {
	if len(l.full) < MaxKeys && now.Before(l.next) {
		return
	}
	crowded := len(l.full) >= MaxKeys
	l.next = now.Add(burst)
	for key, full := range l.full {
		if !full.After(now) {
			delete(l.full, key)
		}
	}
	if crowded && len(l.full) > MaxKeys/2 {
		clear(l.full)
	}
}

// Len returns how many keys the Limiter remembers.
func (l *Limiter) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.full)
}
