package record

import (
	"slices"
	"sync"
	"time"

	"github.com/alot/alotwebhook/internal/pace"
)

// held remembers the deliveries whose attempt is under way or whose outcome is not stored
// yet. The store hands out such a delivery again if its lease runs out meanwhile. It must
// not be sent again: its attempt was made.
type held[O any] struct {
	mu      sync.Mutex
	entries map[string]entry[O] // by delivery id
	aside   []*Outcome[O]       // those of the entries, the oldest first
	late    []string            // deliveries whose outcomes were lost, and are not claimed again by this process
	news    chan struct{}       // gets something when an outcome was put aside
}

type entry[O any] struct {
	Claim            // the newest
	leased time.Time // when the lease began, or was extended
	// aside is the outcome if it waits for the next claim of the delivery; nil for most.
	aside *Outcome[O]
	// refused is set if it waits because the store has refused it.
	refused bool
	// checked is when the store said last that it may be recorded yet.
	checked time.Time
}

// maxAside bounds the memory of outcomes that wait for the next claim of their delivery.
// Past it, the oldest is forgotten, and sent again if it is claimed.
const maxAside = 4096

func newHeld[O any]() held[O] {
	return held[O]{entries: map[string]entry[O]{}, news: make(chan struct{}, 1)}
}

// claim notes a claim. first is true if its attempt is to be made. Otherwise it is under
// way or was made; again is its outcome if that was put aside.
func (h *held[O]) claim(c Claim, now time.Time) (first bool, again *Outcome[O]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, ok := h.entries[c.ID]
	h.drop(e.aside)
	h.entries[c.ID] = entry[O]{Claim: c, leased: now}
	if !ok || e.Attempt != c.Attempt { // of another attempt, the outcome is stored
		return true, nil
	}
	h.late = slices.DeleteFunc(h.late, func(late string) bool { return late == c.ID })
	return false, e.aside
}

// forget forgets a delivery, and its outcome if that was put aside. The caller holds mu.
func (h *held[O]) forget(id string) {
	h.drop(h.entries[id].aside)
	delete(h.entries, id)
}

// drop forgets an outcome that was put aside; nil is none. The caller holds mu.
func (h *held[O]) drop(o *Outcome[O]) {
	if o != nil {
		h.aside = slices.DeleteFunc(h.aside, func(other *Outcome[O]) bool { return other == o })
	}
}

// has reports whether the attempt of a delivery is under way or not stored yet.
func (h *held[O]) has(id string, attempt int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, ok := h.entries[id]
	return ok && e.Attempt == attempt
}

func (h *held[O]) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.entries)
}

// leasedBefore returns the deliveries whose leases began before that time, but for those
// whose outcomes were put aside.
func (h *held[O]) leasedBefore(at time.Time) (list []Claim) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.entries {
		if e.aside == nil && e.leased.Before(at) {
			list = append(list, e.Claim)
		}
	}
	return list
}

// extended notes that the leases of these deliveries begin at that time.
func (h *held[O]) extended(list []Claim, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range list {
		if e, ok := h.entries[c.ID]; ok && e.Token == c.Token {
			e.leased = at
			h.entries[c.ID] = e
		}
	}
}

// fence gives the outcomes the newest claims.
func (h *held[O]) fence(batch []Outcome[O]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range batch {
		o := &batch[i]
		if e, ok := h.entries[o.ID]; ok && e.Attempt == o.Attempt {
			o.Claim = e.Claim
		}
	}
}

// settle forgets the deliveries whose outcomes were stored, and puts aside the outcomes of
// those that were lost. It returns the lost ones whose delivery this process has claimed
// again: they can be stored with the token of that claim. With tell, the other lost ones are
// late.
func (h *held[O]) settle(batch []Outcome[O], lost map[string]bool, tell bool) (again []Outcome[O]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range batch {
		o := &batch[i]
		e, ok := h.entries[o.ID]
		holds := ok && e.Attempt == o.Attempt
		switch {
		case !lost[o.ID] && holds:
			h.drop(e.aside)
			delete(h.entries, o.ID)
		case !lost[o.ID]:
		case holds && e.Token != o.Token:
			again = append(again, *o)
		default:
			if holds {
				h.put(o)
			}
			if tell {
				h.late = append(h.late, o.ID)
			}
		}
	}
	return again
}

// takeLate returns the deliveries that are late, each of them once.
func (h *held[O]) takeLate() (late []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	late, h.late = h.late, nil
	return late
}

// keep puts an outcome aside that cannot be stored.
func (h *held[O]) keep(o *Outcome[O]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e, ok := h.entries[o.ID]; ok && e.Attempt == o.Attempt {
		h.put(o)
		e = h.entries[o.ID]
		e.refused = true
		h.entries[o.ID] = e
	}
}

// refused returns the outcomes that the store has refused and that wait.
func (h *held[O]) refused() (list []Outcome[O]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.entries {
		if e.refused {
			list = append(list, *e.aside)
		}
	}
	return list
}

// put puts an outcome aside. The caller holds mu.
func (h *held[O]) put(o *Outcome[O]) {
	kept, e := *o, h.entries[o.ID]
	h.forget(o.ID)
	e.aside, e.checked = &kept, time.Time{}
	h.entries[o.ID] = e
	if h.aside = append(h.aside, &kept); len(h.aside) > maxAside {
		h.forget(h.aside[0].ID)
	}
	pace.Wake(h.news)
}

// unchecked returns the outcomes that were put aside and not checked since that time, the
// oldest first.
func (h *held[O]) unchecked(since time.Time) (list []*Outcome[O]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.aside {
		if h.entries[o.ID].checked.Before(since) {
			list = append(list, o)
		}
	}
	return list
}

// check notes what the store has said of an outcome that was put aside. It is forgotten if
// that is over, unless its delivery was claimed again meanwhile.
func (h *held[O]) check(o *Outcome[O], over bool, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, ok := h.entries[o.ID]
	switch {
	case !ok || e.aside != o:
	case over:
		h.forget(o.ID)
	default:
		e.checked = now
		h.entries[o.ID] = e
	}
}
