package record

import (
	"context"
	"time"
)

// watch forgets outcomes that were put aside and are over: at once, and again in every lease,
// since a delivery may end while its outcome waits. A redelivery must send it: what it was
// sent before it ended is no answer to that.
func (r *Recorder[O]) watch() {
	defer close(r.watched)
	tick := time.NewTicker(r.cfg.Lease)
	defer tick.Stop()
	for {
		select {
		case <-r.held.news:
		case <-tick.C:
		case <-r.ctx.Done():
			return
		}
		r.check()
	}
}

// check asks the store about what was put aside and not asked about for half a lease. After
// an error the rest waits.
func (r *Recorder[O]) check() {
	for _, o := range r.held.unchecked(time.Now().Add(-r.cfg.Lease / 2)) {
		ctx, cancel := context.WithTimeout(r.ctx, callTimeout)
		over, err := r.cfg.Over(ctx, o.ID, o.Attempt)
		cancel()
		if err != nil && !over {
			return
		}
		r.held.check(o, over, time.Now())
	}
}
