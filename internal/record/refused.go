package record

import (
	"context"
	"slices"
	"time"

	"github.com/alot/alotwebhook/internal/pace"
)

// judge deals with outcomes that failed by themselves although the store is there. It
// reports whether one of them cannot be stored as it is.
func (r *Recorder[O]) judge(refused []Outcome[O]) (atFault bool) {
	var err error
	for range chances {
		if len(refused) == 0 {
			return false
		}
		pace.Pause(r.ctx, pace.Gather(time.Second))
		again := refused
		refused = nil
		for i := range again {
			if e := r.call(again[i : i+1]); e != nil {
				refused, err = append(refused, again[i]), e
			}
		}
	}
	var kept []Claim
	for i := range refused {
		o := &refused[i]
		if r.strip(o, err) {
			continue
		}
		kept = append(kept, o.Claim)
		r.cfg.Log.Error("alotwebhook: an outcome cannot be stored; it is tried again when the lease of its delivery has run out",
			"delivery", o.ID, "attempt", o.Attempt, "error", err)
		r.held.keep(o)
	}
	r.hold(kept)
	return len(refused) > 0
}

// hold extends the leases of deliveries, so that their claims do not add up to poison. It
// is no harm if that fails.
func (r *Recorder[O]) hold(list []Claim) {
	for batch := range slices.Chunk(list, batchSize) {
		ctx, cancel := context.WithTimeout(r.ctx, callTimeout)
		_ = r.cfg.Extend(ctx, batch)
		cancel()
	}
}

// tryRefused tries a last time to store what the store has refused.
func (r *Recorder[O]) tryRefused() {
	list := r.held.refused()
	for i := 0; i < len(list) && r.ctx.Err() == nil; i++ {
		_ = r.call(list[i : i+1])
	}
}

// strip stores an outcome without the text that came from outside. cause is why it could
// not be stored with it.
func (r *Recorder[O]) strip(o *Outcome[O], cause error) bool {
	bare := []Outcome[O]{*o}
	r.cfg.Strip(&bare[0])
	if r.call(bare) != nil {
		return false
	}
	r.cfg.Log.Warn("alotwebhook: an attempt was recorded without its detail and response body, which the store refused",
		"delivery", o.ID, "attempt", o.Attempt, "error", cause)
	return true
}
