package postgres

import (
	"sync"
	"time"
)

// content is what an attempt needs of an event.
type content struct {
	payload []byte // nil if it was erased
	trace   string // the traceparent, "" for none
}

// recent holds the contents of the events that this process has stored last, one by one. A
// claim that finds them there need not read them: it takes one round trip instead of two.
type recent struct {
	mu     sync.Mutex
	events map[uuid]recentEvent
	order  []uuid // the oldest first
	bytes  int    // of all payloads
}

type recentEvent struct {
	content
	stored time.Time
}

const (
	// maxRecent bounds the payloads, in bytes.
	maxRecent = 1 << 20
	// recentFor is how long an event is recent. Later its id may be another event's: history
	// that was purged leaves no id behind.
	recentFor = 10 * time.Second
)

// add adds the content of an event that was stored anew, and forgets the oldest beyond the bounds.
func (r *recent) add(id uuid, c content) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.events == nil {
		r.events = map[uuid]recentEvent{}
	}
	if _, known := r.events[id]; known {
		return
	}
	now := time.Now()
	r.events[id] = recentEvent{c, now}
	r.order = append(r.order, id)
	r.bytes += len(c.payload)
	for len(r.order) > 0 && (r.bytes > maxRecent || now.Sub(r.events[r.order[0]].stored) > recentFor) {
		r.bytes -= len(r.events[r.order[0]].payload)
		delete(r.events, r.order[0])
		r.order = r.order[1:]
	}
}

// fill adds the contents of the rows' events to contents, as far as they are there.
func (r *recent) fill(rows []row, contents map[uuid]content) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range rows {
		if e, ok := r.events[rows[i].event]; ok && time.Since(e.stored) <= recentFor {
			contents[rows[i].event] = e.content
		}
	}
}

// clear forgets everything.
func (r *recent) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.events)
	r.order, r.bytes = nil, 0
}
