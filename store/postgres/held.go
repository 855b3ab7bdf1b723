package postgres

import (
	"container/heap"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/alot/alotwebhook"
)

// held remembers the deliveries that this process has claimed and not finished. A claim writes
// nothing into the database, so there is no other record of them.
type held struct {
	mu     sync.Mutex // guards everything below
	byID   map[uuid]*holding
	byLane map[int64]*laneHeld
	ends   endHeap // the holdings whose lease has not run out
	// reading is true while a claim reads the queue. Meanwhile finished notes the deliveries that
	// Finish takes out of held: the claim may still see their rows, and must not give them again.
	reading  bool
	finished map[uuid]bool
}

// holding is a delivery that this process has claimed.
type holding struct {
	id       uuid
	endpoint int64
	token    int64
	attempts int // the row's, when it was claimed
	at       place
	until    time.Time // the end of the lease by this process's clock
	// written is true once the lease stands in the row. From then on the row's token alone
	// decides whether an outcome counts.
	written bool
	ordered bool // its endpoint was ordered
	index   int  // in ends; -1 once the lease has run out
	place   int  // in its laneHeld
}

// laneHeld lists the holdings of one endpoint, in any order.
type laneHeld struct{ list []*holding }

func (l *laneHeld) add(n *holding) {
	n.place = len(l.list)
	l.list = append(l.list, n)
}

func (l *laneHeld) remove(n *holding) {
	last := len(l.list) - 1
	moved := l.list[last]
	l.list[n.place], moved.place = moved, n.place
	l.list[last] = nil
	l.list = l.list[:last]
}

func newHeld() *held {
	return &held{byID: map[uuid]*holding{}, byLane: map[int64]*laneHeld{}, finished: map[uuid]bool{}}
}

// begin has to be called before a claim reads the queue, and end when it has noted what it took.
func (h *held) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reading = true
}

func (h *held) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reading = false
	clear(h.finished)
}

// add notes a claim of a delivery. It replaces an earlier one.
func (h *held) add(n *holding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(n.id)
	h.byID[n.id] = n
	lane := h.byLane[n.endpoint]
	if lane == nil {
		lane = new(laneHeld)
		h.byLane[n.endpoint] = lane
	}
	lane.add(n)
	heap.Push(&h.ends, n)
}

// drop forgets a delivery. The caller holds mu.
func (h *held) drop(id uuid) {
	n := h.byID[id]
	if n == nil {
		return
	}
	delete(h.byID, id)
	lane := h.byLane[n.endpoint]
	if lane.remove(n); len(lane.list) == 0 {
		delete(h.byLane, n.endpoint)
	}
	if n.index >= 0 {
		heap.Remove(&h.ends, n.index)
	}
	if h.reading {
		h.finished[id] = true
	}
}

// ahead returns how many held rows a claim that begins at start may meet in a lane: it has to
// read so many rows more.
func (h *held) ahead(lane int64, start place) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.byLane[lane]
	if l == nil {
		return 0
	}
	for _, one := range l.list {
		if one.index >= 0 && !one.at.before(start) {
			n++
		}
	}
	return n
}

// standing says whether a claim may take a row that it has read.
type standing int

const (
	free    standing = iota // it may be taken
	busy                    // its attempt is under way, or was finished while the claim read
	ended                   // its lease has run out, or it was canceled and redelivered: who takes it has to write the new lease into the row
	suspect                 // the same, for a claim that was lost and is counted already
)

func (h *held) standing(r *row) standing {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.byID[r.id]
	if n != nil && n.endpoint != r.endpoint { // that one was removed
		n = nil
	}
	switch {
	case n != nil && n.index >= 0 && (r.token == 0 || r.token == n.token), h.finished[r.id]:
		return busy
	case n != nil, r.token != 0:
		return ended
	case r.claims > 0:
		return suspect
	}
	return free
}

// lapse ends the leases that have run out by now, and returns their holdings. The outcome of
// such a delivery still counts until it is claimed again. If nobody claims it within another
// lease and a minute, it is forgotten.
func (h *held) lapse(now time.Time, lease time.Duration) (lapsed []holding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.ends) > 0 && !h.ends[0].until.After(now) {
		n := heap.Pop(&h.ends).(*holding)
		lapsed = append(lapsed, *n)
		time.AfterFunc(lease+time.Minute, func() { h.forget(n) })
	}
	return lapsed
}

// forget forgets a holding unless the delivery was claimed again.
func (h *held) forget(n *holding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byID[n.id] == n {
		h.drop(n.id)
	}
}

// nextIn returns how long until the next lease runs out in the lanes that known selects; 0 if
// none will.
func (h *held) nextIn(known func(lane int64) bool) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	var first time.Time
	for lane, of := range h.byLane {
		if !known(lane) {
			continue
		}
		for _, n := range of.list {
			if n.index >= 0 && (first.IsZero() || n.until.Before(first)) {
				first = n.until
			}
		}
	}
	if first.IsZero() {
		return 0
	}
	return max(time.Until(first), time.Microsecond)
}

// fence returns how many attempts a delivery's row must have, and to which endpoint it must be, so that
// an outcome under the token counts although no lease stands in the row: what was removed may have been
// stored again. It returns -1 if the delivery is not held under that token, or its lease stands in the
// row.
func (h *held) fence(id uuid, token int64) (attempts int32, endpoint int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.byID[id]; n != nil && n.token == token && !n.written {
		return int32(n.attempts), n.endpoint
	}
	return -1, 0
}

// settle notes that outcomes are stored: their deliveries are held no longer, but for those whose
// lease an outcome has extended.
func (h *held) settle(f *finishing) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, o := range f.outcomes {
		n := h.byID[f.ids[i]]
		if n == nil || n.token != o.Token {
			continue
		}
		if _, stored := f.endpoints[n.id]; stored && o.Held {
			n.written = true
			h.extend(n, time.Now().Add(o.NextAttemptIn))
			continue
		}
		h.drop(n.id)
	}
}

// extend changes when a lease runs out. The caller holds mu.
func (h *held) extend(n *holding, until time.Time) {
	n.until = until
	if n.index >= 0 {
		heap.Fix(&h.ends, n.index)
	} else {
		heap.Push(&h.ends, n)
	}
}

// clear forgets everything: somebody else owns the slots.
func (h *held) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.byID)
	clear(h.byLane)
	h.ends = nil
}

// writing holds the arguments of writeSQL.
type writing struct {
	ids      []pgtype.UUID
	tokens   []int64
	attempts []int32
	due      []time.Time
	rest     []int64 // until the leases run out, in µs
	first    places  // those of ordered endpoints
}

// writeSQL writes leases into the rows of deliveries that are under way: ids $1, tokens $2, the rest
// of the leases in µs $4. A row must have the number of attempts $3 and the due time $5 that it was
// claimed with: its outcome may stand there already, when this process does not know it yet. What a
// host's transaction is erasing is left out: if that rolls back, it may be sent twice.
var writeSQL = `
UPDATE {s}.queue q
SET token = w.token, next_at = clock_timestamp() + w.rest * interval '1 microsecond'
FROM unnest($1::uuid[], $2::bigint[], $3::int[], $4::bigint[], $5::timestamptz[]) AS w (id, token, attempts, rest, due)
WHERE q.id = w.id AND q.token = 0 AND q.attempts = w.attempts AND q.next_at = w.due AND q.id = ANY (` + lockable(`$1::uuid[]`) + `)`

func (w *writing) steps() []step {
	return append(w.first.keep(), step{sql: writeSQL, args: []any{w.ids, w.tokens, w.attempts, w.rest, w.due}})
}

// unwritten returns the leases that stand in no row yet, of the endpoints that of selects.
func (h *held) unwritten(of func(endpoint int64) bool) (w writing) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for endpoint, lane := range h.byLane {
		if !of(endpoint) {
			continue
		}
		for _, n := range lane.list {
			if !n.written {
				w.ids = append(w.ids, param(n.id))
				w.tokens = append(w.tokens, n.token)
				w.attempts = append(w.attempts, int32(n.attempts))
				w.due = append(w.due, n.at.at)
				w.rest = append(w.rest, max(time.Until(n.until), 0).Microseconds())
				if n.ordered {
					w.first.add(endpoint, n.id)
				}
			}
		}
	}
	return w
}

// wrote notes that the leases stand in their rows.
func (h *held) wrote(w writing) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, id := range w.ids {
		if n := h.byID[id.Bytes]; n != nil && n.token == w.tokens[i] {
			n.written = true
		}
	}
}

// underWay returns the deliveries whose leases have not run out.
func (h *held) underWay() (ids []pgtype.UUID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	for _, n := range h.ends {
		if n.until.After(now) {
			ids = append(ids, param(n.id))
		}
	}
	return ids
}

// claimed returns the delivery of a row as a claim returns it.
func (r *row) claimed(token int64, c content, e *alotwebhook.Endpoint) alotwebhook.Claimed {
	return alotwebhook.Claimed{
		DeliveryID:  encodeID(deliveryPrefix, r.id),
		Token:       token,
		Attempt:     r.attempts + 1,
		Try:         r.attempts - r.tried + 1,
		Claims:      r.claims + 1,
		EventID:     encodeID(eventPrefix, r.event),
		EventType:   r.eventType,
		TraceParent: c.trace,
		Test:        isTests(r.endpoint),
		Payload:     c.payload,
		Endpoint:    e,
	}
}

// endHeap is a heap of holdings, the one whose lease runs out first in front. Each knows its
// index.
type endHeap []*holding

func (h endHeap) Len() int           { return len(h) }
func (h endHeap) Less(i, j int) bool { return h[i].until.Before(h[j].until) }
func (h endHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements [heap.Interface].
func (h *endHeap) Push(x any) {
	n := x.(*holding)
	n.index = len(*h)
	*h = append(*h, n)
}

// Pop implements [heap.Interface].
func (h *endHeap) Pop() any {
	last := len(*h) - 1
	n := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	n.index = -1
	return n
}
