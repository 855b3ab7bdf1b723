package postgres

import (
	"sync"
	"time"
)

// recent holds the payloads of the events that this process has stored last, one by one. A
// claim that finds them there need not read them: it takes one round trip instead of two.
type recent struct {
	mu     sync.Mutex
	events map[uuid]recentEvent
	order  []uuid // the oldest first
	bytes  int    // of all payloads
}

type recentEvent struct {
	payload []byte
	stored  time.Time
}

const (
	// maxRecent bounds the payloads, in bytes.
	maxRecent = 1 << 20
	// recentFor is how long an event is recent. Later its id may be another event's: history
	// that was purged leaves no id behind.
	recentFor = 10 * time.Second
)

// add adds the payload of an event that was stored anew, and forgets the oldest beyond the bounds.
func (r *recent) add(id uuid, payload []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.events == nil {
		r.events = map[uuid]recentEvent{}
	}
	if _, known := r.events[id]; known {
		return
	}
	now := time.Now()
	r.events[id] = recentEvent{payload, now}
	r.order = append(r.order, id)
	r.bytes += len(payload)
	for len(r.order) > 0 && (r.bytes > maxRecent || now.Sub(r.events[r.order[0]].stored) > recentFor) {
		r.bytes -= len(r.events[r.order[0]].payload)
		delete(r.events, r.order[0])
		r.order = r.order[1:]
	}
}

// fill adds the payloads of the rows' events to payloads, as far as they are there.
func (r *recent) fill(rows []row, payloads map[uuid][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range rows {
		if e, ok := r.events[rows[i].event]; ok && time.Since(e.stored) <= recentFor {
			payloads[rows[i].event] = e.payload
		}
	}
}
