package record

import (
	"slices"
	"sync"
	"time"
)

// held remembers the deliveries whose attempt is under way or whose outcome is not stored
// yet. The store hands out such a delivery again if its lease runs out meanwhile. It must
// not be sent again: its attempt was made.
type held[O any] struct {
	mu      sync.Mutex
	entries map[string]entry[O] // by delivery id
	aside   []*Outcome[O]       // those that were put aside, the oldest first; some are back
	late    []string            // deliveries whose outcomes were lost, and are not claimed again by this process
}

type entry[O any] struct {
	attempt int
	token   int64     // of the newest claim
	leased  time.Time // when the lease began, or was extended
	// aside is the outcome if it waits for the next claim of the delivery; nil for most.
	aside *Outcome[O]
	// refused is set if it waits because the store has refused it.
	refused bool
}

// maxAside bounds the memory of outcomes that wait for the next claim of their delivery.
// Past it, the oldest is forgotten, and sent again if it is claimed.
const maxAside = 4096

// claim notes a claim. first is true if its attempt is to be made. Otherwise it is under
// way or was made; again is its outcome if that was put aside.
func (h *held[O]) claim(id string, attempt int, token int64, now time.Time) (first bool, again *Outcome[O]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, ok := h.entries[id]
	if !ok || e.attempt != attempt { // of another attempt, the outcome is stored
		h.entries[id] = entry[O]{attempt: attempt, token: token, leased: now}
		return true, nil
	}
	h.entries[id] = entry[O]{attempt: attempt, token: token, leased: now}
	h.late = slices.DeleteFunc(h.late, func(late string) bool { return late == id })
	return false, e.aside
}

// has reports whether the attempt of a delivery is under way or not stored yet.
func (h *held[O]) has(id string, attempt int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, ok := h.entries[id]
	return ok && e.attempt == attempt
}

func (h *held[O]) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.entries)
}

// leasedBefore returns the deliveries whose leases began before that time, but for those
// whose outcomes were put aside.
func (h *held[O]) leasedBefore(at time.Time) (list []Outcome[O]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, e := range h.entries {
		if e.aside == nil && e.leased.Before(at) {
			list = append(list, Outcome[O]{ID: id, Attempt: e.attempt, Token: e.token})
		}
	}
	return list
}

// extended notes that the leases of these deliveries begin at that time.
func (h *held[O]) extended(list []Outcome[O], at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range list {
		if e, ok := h.entries[o.ID]; ok && e.token == o.Token {
			e.leased = at
			h.entries[o.ID] = e
		}
	}
}

// fence gives the outcomes the tokens of the newest claims.
func (h *held[O]) fence(batch []Outcome[O]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range batch {
		o := &batch[i]
		if e, ok := h.entries[o.ID]; ok && e.attempt == o.Attempt {
			o.Token = e.token
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
		holds := ok && e.attempt == o.Attempt
		switch {
		case !lost[o.ID] && holds:
			delete(h.entries, o.ID)
		case !lost[o.ID]:
		case holds && e.token != o.Token:
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
	if e, ok := h.entries[o.ID]; ok && e.attempt == o.Attempt {
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
	kept := *o
	e := h.entries[o.ID]
	e.aside = &kept
	h.entries[o.ID] = e
	if h.aside = append(h.aside, &kept); len(h.aside) <= maxAside {
		return
	}
	oldest := h.aside[0]
	h.aside = h.aside[1:]
	if h.entries[oldest.ID].aside == oldest {
		delete(h.entries, oldest.ID)
	}
}
