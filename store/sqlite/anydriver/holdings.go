package anydriver

import (
	"slices"
	"sync"
)

// holdings are the deliveries that this store has claimed and not yet finished. A claim writes
// nothing, so there is no other record of them. They are safe because nobody else claims
// from this store's slots. A lease that has to outlive the ownership of its slot is written
// into its row, and leaves the holdings.
type holdings struct {
	mu   sync.Mutex
	rows map[key]*holding
	// claiming is true during a claim, which reads the queue as it was at its beginning. gone
	// has the deliveries that have left the holdings since: the claim may still read their rows,
	// and must not take them for free.
	claiming bool
	gone     map[key]bool
}

// holding is a claimed delivery, as its row was then.
type holding struct {
	queued
	place place
	until int64 // the end of its lease, in µs since 1970
	// changes is how often endpoints had changed then. An organization may have been removed
	// since, and its ids stored again: then the row is another one under the same key.
	changes int64
	// ordered is set if its endpoint was ordered then.
	ordered bool
}

// place is a position in the queue of an endpoint.
type place struct {
	at int64 // next_at
	id key
}

func (p place) before(q place) bool {
	if p.at != q.at {
		return p.at < q.at
	}
	return p.id.less(q.id)
}

func newHoldings() *holdings { return &holdings{rows: map[key]*holding{}, gone: map[key]bool{}} }

// get returns the holding of a delivery, if it is held under that token.
func (h *holdings) get(k key, token int64) (holding, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if held := h.rows[k]; held != nil && held.token == token {
		return *held, true
	}
	return holding{}, false
}

// endOf returns when the lease of a delivery that is held ends.
func (h *holdings) endOf(k key) (until int64, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if held := h.rows[k]; held != nil {
		return held.until, true
	}
	return 0, false
}

// among returns the holdings of the endpoints that of selects. Unless now is 0, it leaves out
// those whose lease lasts longer than that.
func (h *holdings) among(of func(endpoint int64) bool, now int64) (list []holding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, held := range h.rows {
		if (now == 0 || held.until <= now) && of(held.endpoint) {
			list = append(list, *held)
		}
	}
	return list
}

// leased returns the keys of the deliveries whose lease has not run out, by endpoint.
func (h *holdings) leased(now int64) map[int64][]key {
	h.mu.Lock()
	defer h.mu.Unlock()
	by := map[int64][]key{}
	for k, held := range h.rows {
		if held.until > now {
			by[held.endpoint] = append(by[held.endpoint], k)
		}
	}
	return by
}

// claimOf names a claim of a delivery.
type claimOf struct {
	key   key
	token int64
}

// drop removes deliveries whose outcome or lease now stands in the database. One that is held under
// another token was claimed again between the commit and this call, and stays.
func (h *holdings) drop(claims []claimOf) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range claims {
		if held := h.rows[c.key]; held != nil && held.token != c.token {
			continue
		}
		delete(h.rows, c.key)
		if h.claiming {
			h.gone[c.key] = true
		}
	}
}

// unordered returns the claims of those of these deliveries that are held and whose endpoints were not
// ordered.
func (h *holdings) unordered(keys []key) (list []claimOf) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range keys {
		if held := h.rows[k]; held != nil && !held.ordered {
			list = append(list, claimOf{k, held.token})
		}
	}
	return list
}

// clear removes all, when somebody else owns the slots.
func (h *holdings) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.rows)
}

// share sums up the holdings of one endpoint.
type share struct {
	behind int   // how many of it stand behind the lane's mark
	until  int64 // when the first lease ends
}

// beginClaim begins a claim, and returns the share of each endpoint that has holdings.
func (h *holdings) beginClaim(marks map[int64]place) map[int64]share {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.claiming = true
	by := make(map[int64]share, 16)
	for _, held := range h.rows {
		s := by[held.endpoint]
		if marks[held.endpoint].before(held.place) {
			s.behind++
		}
		if s.until == 0 || held.until < s.until {
			s.until = held.until
		}
		by[held.endpoint] = s
	}
	return by
}

// taken tells which of these deliveries a claim under way must leave alone: those that are held,
// and those that have left the holdings since the claim began. left reports whether there is
// one of the latter. What is held has no lease in its row, or the one that it is held under: one
// with another was canceled meanwhile, and begins anew.
func (h *holdings) taken(rows []dueRow) (taken []bool, left bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	taken = make([]bool, len(rows))
	for i := range rows {
		r := &rows[i]
		held := h.rows[r.key]
		gone := h.gone[r.key]
		taken[i] = gone || held != nil && (r.token == 0 || r.token == held.token)
		left = left || gone
	}
	return taken, left
}

// endClaim adds the deliveries that a claim has taken, and ends it.
func (h *holdings) endClaim(got []holding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range got {
		h.rows[got[i].key] = &got[i]
	}
	h.claiming = false
	clear(h.gone)
}

func everyEndpoint(int64) bool { return true }

// inSlots returns a function that reports whether an endpoint belongs to one of the slots.
func inSlots(slots []int) func(endpoint int64) bool {
	return func(endpoint int64) bool { return slices.Contains(slots, slotOf(endpoint)) }
}
