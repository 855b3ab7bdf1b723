package memory

import (
	"time"

	"github.com/alot/alotwebhook"
)

// firstPlace is the place before all others in the queue of an ordered endpoint.
type firstPlace struct {
	holder *storedDelivery // nil if nobody has it
	// until is when its next attempt may be at the latest; 0 before the first failed one.
	until time.Duration
}

// next returns the delivery of e that a claim takes next, or nil if it can take none now.
func (e *storedEndpoint) next() *storedDelivery {
	if e.inOrder() {
		if d := e.first.holder; d != nil {
			return d.ifDue()
		}
		if e.leased > 0 { // since before it was ordered
			return nil
		}
	}
	if front := e.dueNow.Front(); front != nil {
		return front.Value.(*storedDelivery)
	}
	return nil
}

// ifDue returns d, or nil if it is not due.
func (d *storedDelivery) ifDue() *storedDelivery {
	if d.elem == nil {
		return nil
	}
	return d
}

// waitsFor returns the delivery that keeps d waiting because its endpoint is ordered, or nil.
func (d *storedDelivery) waitsFor() *storedDelivery {
	e := d.endpoint
	if !e.inOrder() || e.Disabled || d.state != alotwebhook.StatePending || d.elem == nil {
		return nil
	}
	first := e.first.holder
	if first == nil {
		first = e.dueNow.Front().Value.(*storedDelivery)
	}
	if first == d {
		return nil
	}
	return first
}

// claim gives d the place if its endpoint is ordered.
func (p *firstPlace) claim(d *storedDelivery) {
	if d.endpoint.inOrder() && p.holder != d {
		*p = firstPlace{holder: d}
	}
}

// settle decides whether d keeps the place after an outcome that leaves it pending.
func (p *firstPlace) settle(d *storedDelivery, o alotwebhook.Outcome, now time.Duration) {
	switch {
	case p.holder != d:
	case o.HoldsUp <= 0:
		*p = firstPlace{}
	case o.Attempt.Number == 0:
	default:
		if p.until == 0 && d.made-d.tried == 1 {
			p.until = now + o.HoldsUp
		}
		if now+max(o.NextAttemptIn, 0) > p.until {
			*p = firstPlace{}
		}
	}
}
