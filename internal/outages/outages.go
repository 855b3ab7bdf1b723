// Package outages remembers since when endpoints fail, as one process has seen it. What a claim says of
// an endpoint is older: an attempt that takes long may succeed after another one has failed, and
// its success ends, in the store, a failure that the claim knew nothing of.
package outages

import (
	"sync"
	"sync/atomic"
	"time"
)

// ClockSkew is how far the clocks of the store and of the dispatchers may be apart without a recovery
// missing what has failed first.
const ClockSkew = time.Minute

const (
	// kept is how long a failure is remembered, unless a success comes. Of a longer outage, claims tell.
	kept = 24 * time.Hour
	// most is how many endpoints are remembered.
	most = 10_000
)

// Outages are the outages that go on. The zero value has none. The methods may be called from many
// goroutines at once.
type Outages struct {
	count atomic.Int64 // of the endpoints: while none fails, nobody waits for mu

	mu    sync.Mutex
	since map[string]outage
}

type outage struct{ first, last time.Time }

// Failed notes an attempt to an endpoint that began then, once its failure is stored.
func (o *Outages) Failed(endpointID string, began time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.since) >= most || o.since == nil {
		o.since = map[string]outage{}
	}
	of, known := o.since[endpointID]
	if !known || of.isOld(began) || began.Before(of.first) {
		of.first = began
	}
	of.last = later(of.last, began)
	o.since[endpointID] = of
	o.count.Store(int64(len(o.since)))
}

// Succeeded notes an attempt that is about to be stored. If the endpoint has failed, as its claim says
// or as this process knows, it puts into since when that began: ClockSkew before the first failure, in
// microseconds, or earlier if since has an earlier time.
func (o *Outages) Succeeded(endpointID string, claimed time.Time, since map[string]time.Time) {
	for _, at := range []time.Time{claimed, o.end(endpointID)} {
		if at.IsZero() {
			continue
		}
		at = at.Add(-ClockSkew).UTC().Truncate(time.Microsecond)
		if was, found := since[endpointID]; !found || at.Before(was) {
			since[endpointID] = at
		}
	}
}

// Missed notes that nothing could be done about an outage since that time, as Succeeded has given it. Unless
// that is for good, the next success ends it once more.
func (o *Outages) Missed(endpointID string, since time.Time, forGood bool) {
	if !forGood {
		o.Failed(endpointID, since.Add(ClockSkew))
	}
}

// end forgets the outage of an endpoint, and returns its first failure; zero if there is none.
func (o *Outages) end(endpointID string) time.Time {
	if o.count.Load() == 0 {
		return time.Time{}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	of := o.since[endpointID]
	delete(o.since, endpointID)
	o.count.Store(int64(len(o.since)))
	if of.isOld(time.Now()) {
		return time.Time{}
	}
	return of.first
}

// isOld reports whether an outage was over long before a time, by a success that another process saw.
func (of outage) isOld(now time.Time) bool { return now.Sub(of.last) > kept }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
