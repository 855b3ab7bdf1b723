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
	// lateness is how long after its emit a delivery may be committed and still be
	// found without a survey: a claim begins its search at least that long before
	// the time of the previous claim.
	lateness = time.Second
	// lookBack is how long claims may pass over late commits while there is a backlog.
	lookBack = 200 * time.Millisecond
	// A large claim takes up to maxDepth deliveries in an endpoint's turn where the
	// backlog is that long, since an index scan for several costs little more than for
	// one. But it leaves room for the turns of leastTurns endpoints.
	maxDepth   = 4
	leastTurns = 50
)

// place is a position in an endpoint's part of the queue, which is ordered by due
// time and id.
type place struct {
	at time.Time // by the database's clock
	id uuid
}

func (p place) before(q place) bool {
	if !p.at.Equal(q.at) {
		return p.at.Before(q.at)
	}
	return slices.Compare(p.id[:], q.id[:]) < 0
}

// lane describes one endpoint's part of the queue, as far as this process knows it.
type lane struct {
	key int64  // of the endpoint's row
	id  string // the endpoint's id
	// organization is the endpoint's, "" before the first claim of the lane.
	organization string
	// start is where the next claim begins its search. As far as this process
	// knows, no delivery that may be claimed stands before it.
	start place
	// mark is the last delivery that was claimed, while more are due behind it; zero if none
	// are. Most claims begin there: all deliveries between start and mark are under way or
	// done, except those that were committed late. For these, a claim begins at start once in
	// lookBack.
	mark   place
	looked time.Time // when a claim last began at start
	// depth is how many deliveries the lane will probably give in a turn: twice as
	// many as it gave the last time if it gave all that it was asked for, up to
	// maxDepth; otherwise 1.
	depth int
	// turn is the lane's element in lanes.turns; nil while nothing is due, or another process
	// owns the slot.
	turn *list.Element
	// fresh is set if it got its turn by an event of this process that recent holds, so that a
	// claim will probably find nothing else.
	fresh bool
	// born is lanes.closed at the time when the lane got its turn.
	born int
	// emitted is how often due was called for the lane.
	emitted int
	// next is when the lane's next delivery falls due that is not due yet, by this
	// process's clock; zero if none is known. index is the lane's index in
	// lanes.waits, or -1.
	next  time.Time
	index int
	// seen and noted are numbers of surveys: seen of the last one that found the
	// lane, noted of the one that was the newest when this process last added work
	// to the lane. A complete survey forgets the lanes where both are less than its
	// own number.
	seen, noted int
	// ordered is set if the endpoint was ordered when this process last looked.
	ordered bool
}

// lanes are the endpoints with unfinished deliveries that this process knows of,
// so that a claim need not search the queue for them. They are a memory that may
// be wrong: an endpoint too many costs one index probe, an endpoint too few waits
// for the next survey.
type lanes struct {
	mu     sync.Mutex // guards everything below
	byKey  map[int64]*lane
	turns  *list.List      // lanes with due deliveries, the one that is served next in front
	waits  waitHeap        // lanes with a next, the earliest in front
	mine   [slotCount]bool // slots that this process owns
	closed int             // how often close was called
	// ordered counts the lanes that are.
	ordered int
	survey  surveyState
}

func newLanes() *lanes {
	return &lanes{byKey: map[int64]*lane{}, turns: list.New(), survey: surveyState{pageSize: maxPageSize, needed: true, cheap: cheapSurvey}}
}

// get returns the lane of an endpoint, and makes one that begins at start if there
// is none. The caller holds mu.
func (ls *lanes) get(key int64, id string, start place) *lane {
	l := ls.byKey[key]
	if l == nil {
		l = &lane{key: key, id: id, start: start, depth: 1, index: -1}
		ls.byKey[key] = l
	}
	return l
}

// due notes that each of the endpoints found has a delivery that is due now, at
// the start given or behind it. fresh says that recent holds the event.
func (ls *lanes) due(found []lane, fresh bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, f := range found {
		l := ls.get(f.key, f.id, f.start)
		l.noted = ls.survey.number
		l.emitted++
		if f.start.before(l.start) {
			l.start = f.start
		}
		fresh := fresh && l.turn == nil
		ls.setTurn(l, true)
		l.fresh = fresh
	}
}

// later notes that a delivery of the endpoint falls due at next. Its place in the
// queue lies behind every lane's start, so no start has to go back for it.
func (ls *lanes) later(key int64, next time.Time) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if !ls.mine[slotOf(key)] {
		return // its owner will see
	}
	l := ls.byKey[key]
	if l == nil { // a survey has forgotten it
		ls.survey.needed = true
		return
	}
	l.noted = ls.survey.number
	if l.next.IsZero() || next.Before(l.next) {
		ls.setNext(l, next)
	}
}

// distrust makes the next claim that finds too little survey the queue. It is
// called after changes whose effect on the queue is not known here.
func (ls *lanes) distrust() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.survey.needed = true
}

// own notes which slots this process owns. A lane that it did not own before is searched from
// its beginning.
func (ls *lanes) own(slots []slot, me int64) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	var mine [slotCount]bool
	own := 0
	for _, v := range slots {
		if mine[v.number] = v.owner == me; v.owner == me {
			own++
		}
	}
	ls.survey.processes = slotCount / max(own, 1)
	if mine == ls.mine {
		return
	}
	before := ls.mine
	ls.mine = mine
	ls.survey.needed = true
	for key, l := range ls.byKey {
		switch n := slotOf(key); {
		case mine[n] && !before[n]:
			l.start, l.mark = place{}, place{}
			ls.setTurn(l, true)
		case !mine[n]:
			ls.setTurn(l, false)
			ls.setNext(l, time.Time{}) // nor is it a reason to claim
		}
	}
}

// back notes that the leases of deliveries have run out: they may be claimed again.
func (ls *lanes) back(lapsed []holding) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, h := range lapsed {
		l := ls.byKey[h.endpoint]
		if l == nil { // a survey has forgotten it
			ls.survey.needed = true
			continue
		}
		if h.at.before(l.start) {
			l.start = h.at
		}
		l.mark = place{}
		l.noted = ls.survey.number
		ls.setTurn(l, true)
	}
}

// setTurn puts the lane at the end of turns unless it has a turn already, or takes
// its turn away. The caller holds mu.
func (ls *lanes) setTurn(l *lane, turn bool) {
	turn = turn && ls.mine[slotOf(l.key)]
	switch {
	case turn && l.turn == nil:
		l.turn, l.born, l.fresh = ls.turns.PushBack(l), ls.closed, false
	case !turn && l.turn != nil:
		ls.turns.Remove(l.turn)
		l.turn = nil
	}
}

// setNext changes when the lane's next delivery falls due; zero for none. The
// caller holds mu.
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

// pick is one endpoint's share of a round of a claim.
type pick struct {
	lane *lane
	// emitted is the lane's: what is emitted later, the claim may not see.
	emitted int
	base    place // the lane's start
	start   place // where the search begins: there, or at the lane's mark
	n       int   // how many deliveries to take at most
	fresh   bool  // the lane is
	// Of an ordered lane. See inOrder.
	ordered, seen, changed bool
	wait                   time.Duration
}

// pick shares out room, the number of deliveries that the claim still wants, among
// the lanes whose turn it is and whose endpoints have free slots. taken counts, by
// endpoint key, what the claim has taken in the rounds before. underWay has the lanes that give
// nothing if they are ordered.
func (ls *lanes) pick(c alotwebhook.ClaimRequest, room int, taken map[int64]int, late int, underWay map[int64]bool) []pick {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	now := time.Now()
	ls.wake(now)
	var picks []pick
	most := max(1, room/leastTurns)
	for e, expected := ls.turns.Front(), 0; e != nil && expected < room; e = e.Next() {
		l := e.Value.(*lane)
		free := c.Free(l.id, l.organization) - taken[l.key]
		if l.ordered && underWay[l.key] {
			continue
		} else if l.ordered {
			free = min(free, 1)
		}
		if isTests(l.key) {
			free = min(free, 1-taken[l.key])
		}
		if free > 0 && (late == 0 || l.born < late) {
			picks = append(picks, pick{lane: l, emitted: l.emitted, base: l.start, start: l.begin(now), n: free, ordered: l.ordered, fresh: l.fresh})
			expected += min(free, l.depth, most)
		}
	}
	for i := range picks { // equal shares; what one lane cannot take goes to those behind it
		share := (room + len(picks) - i - 1) / (len(picks) - i)
		picks[i].n = min(picks[i].n, share)
		room -= picks[i].n
	}
	return picks
}

// begin returns where a claim of the lane begins.
func (l *lane) begin(now time.Time) place {
	if l.start.before(l.mark) && now.Sub(l.looked) < lookBack {
		return l.mark
	}
	l.looked = now
	return l.start
}

// close returns the number by which a claim tells the lanes that have a turn now from those that
// get one later: it is greater than born of the first, and not greater than born of the others.
func (ls *lanes) close() int {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.closed++
	return ls.closed
}

// wake gives a turn to the lanes of which a delivery has fallen due. The caller
// holds mu.
func (ls *lanes) wake(now time.Time) {
	for len(ls.waits) > 0 && !ls.waits[0].next.After(now) {
		l := ls.waits[0]
		ls.setNext(l, time.Time{})
		ls.setTurn(l, true)
	}
}

// haveWork reports whether any lane has something due, as far as this process knows.
func (ls *lanes) haveWork() bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.wake(time.Now())
	return ls.turns.Len() > 0
}

// belongs notes whose the endpoint with that key is.
func (ls *lanes) belongs(key int64, organization string) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l := ls.byKey[key]; l != nil {
		l.organization = organization
	}
}

// strangers returns the keys of the lanes with a turn of which it is not known whose they
// are.
func (ls *lanes) strangers() (keys []int64) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.wake(time.Now())
	for e := ls.turns.Front(); e != nil; e = e.Next() {
		if l := e.Value.(*lane); l.organization == "" {
			keys = append(keys, l.key)
		}
	}
	return keys
}

// settle notes that a pick gave n deliveries, the last of which stood at last.
// now is the database's clock before the claim.
func (ls *lanes) settle(p pick, n int, last place, now time.Time) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := p.lane
	if ls.byKey[l.key] != l {
		return // a survey has forgotten the lane
	}
	if p.ordered || p.changed {
		ls.settleOrdered(&p)
		return
	}
	reached := place{at: now.Add(-lateness)}
	if n == p.n && last.before(reached) { // there may be more right behind last
		reached = last
	}
	// The start goes forward only, and not if it was set back during the claim, nor past what
	// was not looked at.
	if l.start == p.base && p.start == p.base && l.start.before(reached) {
		l.start = reached
	}
	l.mark = place{}
	l.depth = 1
	if l.turn != nil && n == p.n {
		l.mark, l.depth, l.fresh = last, min(2*n, maxDepth), false
		ls.turns.MoveToBack(l.turn)
		return
	}
	ls.rest(&p)
}

// rest takes the lane's turn away. But if something was emitted since it was picked, the lane gets
// a new turn. The caller holds mu.
func (ls *lanes) rest(p *pick) {
	again := p.lane.turn != nil && p.lane.emitted != p.emitted
	ls.setTurn(p.lane, false)
	if again {
		ls.setTurn(p.lane, true)
		p.lane.born++ // the claim under way, which may close only now, passes over it
	}
}

// knows reports whether the endpoint has unfinished deliveries and is not disabled, as far as
// this process knows.
func (ls *lanes) knows(key int64) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.byKey[key] != nil
}

// nextIn returns how long until the next delivery falls due that is not due yet;
// 0 if none is known.
func (ls *lanes) nextIn() time.Duration {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if len(ls.waits) == 0 {
		return 0
	}
	return max(time.Until(ls.waits[0].next), time.Microsecond)
}

// waitHeap is a heap of the lanes that have a next, the earliest in front. Each
// lane knows its index.
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
