package postgres

import (
	"container/heap"
	"container/list"
	"slices"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
)

const (
	// lateness is how long after its emit a delivery may commit and still be
	// claimed without a look: an endpoint's scan goes on that far behind now.
	lateness = time.Second
	// Looking is done at every claim that finds nothing while it meets at most
	// fewEndpoints, some three milliseconds' work, and takes at most cheapLook,
	// also on a busy machine; otherwise for at most a lookShare'th of the time, but
	// at least every maxLookInterval.
	fewEndpoints    = 1000
	cheapLook       = 250 * time.Millisecond
	lookShare       = 20
	maxLookInterval = 30 * time.Second
	// A look goes by pages of lookPage endpoints, or as many as take pageTime: claims
	// go on between two pages.
	lookPage = 5000
	pageTime = 50 * time.Millisecond
	// One index scan for several deliveries costs little more than for one. So a
	// large claim takes up to maxDepth in a turn, where backlogs are that long, but
	// no more than leave turns for leastTurns endpoints.
	maxDepth   = 4
	leastTurns = 50
)

// place is a position in an endpoint's part of the queue.
type place struct {
	at time.Time
	id uuid
}

func (p place) before(q place) bool {
	if !p.at.Equal(q.at) {
		return p.at.Before(q.at)
	}
	return slices.Compare(p.id[:], q.id[:]) < 0
}

// lane is what a process knows of an endpoint's part of the queue.
type lane struct {
	key int64
	id  string
	// start is where a claim begins to search: nothing before it is waiting,
	// as far as the process knows.
	start place
	// depth is how many it is likely to give at once: twice what it gave when
	// that was all that was asked for, up to maxDepth, or else 1.
	depth int
	// turn is its element among those that have something due, or nil.
	turn *list.Element
	// next is when, by this process's clock, something more falls due: zero if
	// nothing is known of that; index is its place in the heap, or -1.
	next  time.Time
	index int
	// seen is the last look that saw the lane, noted the newest one begun
	// before this process itself brought something in.
	seen, noted int
}

// lanes are the endpoints with unfinished deliveries that a process knows of.
// They are a memory and no truth: an entry too many costs an index probe, one
// too few waits for the next look.
type lanes struct {
	mu    sync.Mutex
	byKey map[int64]*lane
	turns *list.List // whose turn it is first
	waits waitHeap

	look     int           // the number of the look under way or done
	cursor   int64         // how far it has come, 0 between looks
	page     int           // how many endpoints it takes at once
	looked   time.Time     // when the last one began
	cost     time.Duration // what it took
	met      int           // how many endpoints
	doubtful bool          // something happened that only a look can tell
}

func newLanes() *lanes {
	return &lanes{byKey: map[int64]*lane{}, turns: list.New(), page: lookPage, doubtful: true}
}

// get returns the lane of an endpoint, a new one starting at start. The caller holds mu.
func (ls *lanes) get(key int64, id string, start place) *lane {
	l := ls.byKey[key]
	if l == nil {
		l = &lane{key: key, id: id, start: start, depth: 1, index: -1}
		ls.byKey[key] = l
	}
	return l
}

// due notes endpoints that have something due now, from start on.
func (ls *lanes) due(found []lane) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, f := range found {
		l := ls.get(f.key, f.id, f.start)
		l.noted = ls.look
		if f.start.before(l.start) {
			l.start = f.start
		}
		ls.setTurn(l, true)
	}
}

// later notes that an endpoint has something due in a while. The place where
// it stands in the queue lies ahead of every start.
func (ls *lanes) later(key int64, next time.Time) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.byKey[key]
	if l == nil { // forgotten meanwhile
		ls.doubtful = true
		return
	}
	l.noted = ls.look
	if l.next.IsZero() || next.Before(l.next) {
		ls.setNext(l, next)
	}
}

// distrust makes the next claim look.
func (ls *lanes) distrust() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.doubtful = true
}

func (ls *lanes) setTurn(l *lane, turn bool) {
	switch {
	case turn && l.turn == nil:
		l.turn = ls.turns.PushBack(l)
	case !turn && l.turn != nil:
		ls.turns.Remove(l.turn)
		l.turn = nil
	}
}

func (ls *lanes) setNext(l *lane, next time.Time) {
	l.next = next
	switch {
	case !next.IsZero() && l.index < 0:
		heap.Push(&ls.waits, l)
	case !next.IsZero():
		heap.Fix(&ls.waits, l.index)
	case l.index >= 0:
		heap.Remove(&ls.waits, l.index)
	}
}

// pick is one endpoint's share of a claim.
type pick struct {
	lane  *lane
	start place
	n     int
}

// pick shares room out among the endpoints whose turn it is and that have free
// slots. taken counts what the claim has taken of each already.
func (ls *lanes) pick(c alotwebhook.ClaimRequest, room int, taken map[int64]int) []pick {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.wake(time.Now())
	var picks []pick
	most := max(1, room/leastTurns)
	for e, expected := ls.turns.Front(), 0; e != nil && expected < room; e = e.Next() {
		l := e.Value.(*lane)
		if free := c.PerEndpoint - c.Busy[l.id] - taken[l.key]; free > 0 {
			picks = append(picks, pick{l, l.start, free})
			expected += min(free, l.depth, most)
		}
	}
	for i := range picks { // what the first leave, the later ones may take
		share := (room + len(picks) - i - 1) / (len(picks) - i)
		picks[i].n = min(picks[i].n, share)
		room -= picks[i].n
	}
	return picks
}

// wake gives a turn to what has fallen due.
func (ls *lanes) wake(now time.Time) {
	for len(ls.waits) > 0 && !ls.waits[0].next.After(now) {
		l := ls.waits[0]
		ls.setNext(l, time.Time{})
		ls.setTurn(l, true)
	}
}

// settle notes what a claim got of a pick: n deliveries up to last, at now by
// the database's clock, leased until then by this process's.
func (ls *lanes) settle(p pick, n int, last place, now, until time.Time) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := p.lane
	if ls.byKey[l.key] != l {
		return // forgotten meanwhile
	}
	reached := place{at: now.Add(-lateness)}
	if n == p.n && last.before(reached) {
		reached = last
	}
	// Only forward, and not if somebody has set it back meanwhile.
	if l.start == p.start && l.start.before(reached) {
		l.start = reached
	}
	if n > 0 && (l.next.IsZero() || until.Before(l.next)) {
		ls.setNext(l, until)
	}
	l.depth = 1
	if l.turn != nil && n == p.n {
		l.depth = min(2*n, maxDepth)
		ls.turns.MoveToBack(l.turn)
		return
	}
	ls.setTurn(l, false)
}

// nextIn returns how long until something more falls due, or 0.
func (ls *lanes) nextIn() time.Duration {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if len(ls.waits) == 0 {
		return 0
	}
	return max(time.Until(ls.waits[0].next), time.Microsecond)
}

// mayLook reports whether a look is worth its cost now. empty says that a claim
// would return nothing without.
func (ls *lanes) mayLook(empty bool) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.cursor != 0 || ls.doubtful {
		return true
	}
	if empty && ls.met <= fewEndpoints && ls.cost <= cheapLook {
		return true
	}
	return time.Since(ls.looked) >= min(ls.cost*lookShare, maxLookInterval)
}

// overdue reports whether even a claim that finds enough has to look.
func (ls *lanes) overdue() bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.looked.IsZero() || ls.cursor != 0 ||
		time.Since(ls.looked) >= min(max(ls.cost*lookShare, lateness), maxLookInterval)
}

// sight is what a look sees of an endpoint: its first unfinished delivery, and
// how long until the first one falls due that is not due yet, if there is one.
type sight struct {
	key     int64
	id      string
	first   place
	now     time.Time
	waits   bool
	nextIn  time.Duration
	deleted bool
	active  bool
}

// startLook begins or continues a look and returns where, and how far to go.
func (ls *lanes) startLook() (cursor int64, page int) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.cursor == 0 {
		ls.look++
		ls.looked = time.Now()
		ls.cost, ls.met = 0, 0
		ls.doubtful = false
	}
	return ls.cursor, ls.page
}

// endLook notes what a page showed; more says that the look has not come to its end.
func (ls *lanes) endLook(seen []sight, took time.Duration) (more bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	more = len(seen) == ls.page
	if took > pageTime {
		ls.page = max(int(float64(len(seen))*float64(pageTime)/float64(took)), 1)
	} else {
		ls.page = min(2*ls.page, lookPage)
	}
	now := time.Now()
	for _, s := range seen {
		ls.cursor = s.key
		if s.active {
			ls.see(s, now)
		}
	}
	ls.cost += took
	ls.met += len(seen)
	if more {
		return true
	}
	ls.cursor = 0
	for _, l := range ls.byKey {
		if l.seen < ls.look && l.noted < ls.look {
			ls.forget(l)
		}
	}
	return false
}

func (ls *lanes) see(s sight, now time.Time) {
	start := place{at: s.now.Add(-lateness)}
	due := !s.first.at.After(s.now)
	if due && s.first.before(start) {
		start = s.first
	}
	var next time.Time
	if s.waits {
		next = now.Add(s.nextIn)
	}
	l := ls.get(s.key, s.id, start)
	if l.noted == ls.look { // what was noted since may be newer
		due = due || l.turn != nil
		if next.IsZero() || !l.next.IsZero() && l.next.Before(next) {
			next = l.next
		}
	}
	l.start, l.seen = start, ls.look
	ls.setTurn(l, due)
	ls.setNext(l, next)
}

func (ls *lanes) forget(l *lane) {
	ls.setTurn(l, false)
	ls.setNext(l, time.Time{})
	delete(ls.byKey, l.key)
}

// failedLook makes the next claim look again from the beginning.
func (ls *lanes) failedLook() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.cursor, ls.doubtful = 0, true
}

// waitHeap orders lanes by next.
type waitHeap []*lane

func (h waitHeap) Len() int           { return len(h) }
func (h waitHeap) Less(i, j int) bool { return h[i].next.Before(h[j].next) }
func (h waitHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements [heap.Interface].
func (h *waitHeap) Push(x any) {
	l := x.(*lane)
	l.index = len(*h)
	*h = append(*h, l)
}

// Pop implements [heap.Interface].
func (h *waitHeap) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	l.index = -1
	return l
}
