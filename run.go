package alotwebhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook/internal/outages"
	"github.com/alot/alotwebhook/internal/pace"
	"github.com/alot/alotwebhook/internal/record"
	"github.com/alot/alotwebhook/internal/slots"
	"github.com/alot/alotwebhook/internal/wire"
)

// run is one call of [Dispatcher.Run]: a claimer, up to InFlight and Waiting workers and
// a recorder, joined by channels. The claimer leases deliveries, a worker makes the
// attempt of each, and the recorder stores the outcomes in batches.
//
// Memory grows with InFlight and Waiting, never with the backlog: the channels are bounded,
// and whoever sends to a full one waits.
type run struct {
	d   *Dispatcher
	cfg *Config

	slots   *slots.Slots
	claimer *slots.Claimer[job]
	// recorder stores the outcomes. While the store does not keep up, the workers wait for
	// it, and the claimer waits for them.
	recorder *record.Parts[outcome]
	// bad leads to the goroutine that disables endpoints, has the host warned of them and notes
	// that they have recovered. badCtx ends when it must stop.
	bad      chan outcome
	badCtx   context.Context
	leaveBad context.CancelFunc

	doubtful atomic.Int64 // claims that failed: the store may have counted them
	newest   atomic.Pointer[pace.Last]
	pulse    pace.Pulse // of the claimer

	workers slots.Workers // the claimer alone starts them

	attempts wire.Attempts // those under way
	outages  outages.Outages
}

// job is a claimed delivery with the slot of its attempt.
type job struct {
	Claimed
	claim record.Claim
	slot  *slots.Slot
}

func newRun(d *Dispatcher) *run {
	r := &run{
		d: d, cfg: d.cfg,
		slots: slots.New(d.cfg.InFlight, d.cfg.InFlightPerEndpoint, d.cfg.Waiting, d.cfg.Rate),
		bad:   make(chan outcome, d.cfg.InFlight),
	}
	r.badCtx, r.leaveBad = context.WithCancel(context.Background())
	r.workers = slots.Workers{Slots: r.slots, Work: r.work}
	r.claimer = slots.NewClaimer[job](&r.workers, d.wake, r.leave)
	r.recorder = r.newRecorder()
	return r
}

// run claims until ctx is done or Shutdown is called. Then one stage after the other ends.
func (r *run) run(ctx context.Context) error {
	claimsCtx, stop := r.d.life.Context(ctx)
	defer stop()
	var helpers sync.WaitGroup
	helpers.Go(r.changeBad)
	helpers.Go(func() { r.d.purge(claimsCtx) })
	helpers.Go(func() { r.d.listen(claimsCtx) })
	helpers.Go(func() { r.d.recoveries.Run(claimsCtx) })
	if r.d.pauser != nil {
		helpers.Go(func() { r.d.paused.Keep(claimsCtx, pauseInterval, r.d.log) })
	}
	helpers.Go(func() { r.d.operations.Run(claimsCtx) })
	helpers.Go(func() { r.d.tallies.Run(claimsCtx) })

	r.claim(claimsCtx)
	helpers.Go(r.leave)
	close(r.claimer.Jobs)
	workersDone := r.workers.Done()
	r.d.life.Drain(workersDone, r.cfg.ShutdownTimeout)
	r.attempts.CutOff()
	r.recorder.GiveUpIn(finishTimeout)
	<-workersDone
	unwritten := r.recorder.Close()
	close(r.bad)
	time.AfterFunc(finishTimeout, r.leaveBad) // the next attempt of an endpoint that is left changes it
	helpers.Wait()
	r.leaveBad()
	r.d.tallies.Close()
	r.d.observer.WaitFor(time.Second)
	if unwritten > 0 {
		return fmt.Errorf("alotwebhook: %d outcomes could not be stored before the end; those deliveries are sent again once their lease has run out", unwritten)
	}
	return nil
}

// claim leases deliveries and hands them to the workers until ctx is done.
func (r *run) claim(ctx context.Context) {
	poll := pace.NewPoller(r.cfg.PollInterval)
	episode := pace.Episode{Log: r.d.log, Operation: "claim"}
	var took time.Duration
	for r.claimer.AwaitRoom(ctx, pace.Gather(took)) {
		if r.d.uncommitted.Swap(false) {
			poll.Soon()
		}
		if !r.recorder.AwaitStore(ctx) || !r.d.sender.proxy.Await(ctx) {
			return
		}
		began := time.Now()
		r.pulse.Begin()
		got, err := r.claimOnce()
		took = time.Since(began)
		if err != nil {
			r.pulse.End()
			pace.Pause(ctx, episode.Failed(err))
			continue
		}
		episode.Over()
		for i := range got.Deliveries {
			r.start(ctx, &got.Deliveries[i])
		}
		r.workers.Staff()
		r.pulse.End()
		if len(got.Deliveries) == 0 {
			r.claimer.AwaitWork(ctx, min(poll.Wait(got.NextIn), r.cfg.Lease/4)) // a store may take a process for dead that does not claim
		}
	}
}

// claimTimeout bounds a claim. The end of a run does not cut a claim off: deliveries
// that it had leased by then would wait until their lease has run out.
const claimTimeout = 10 * time.Second

// claimOnce asks for the free slots plus a prefetch: twice the slots freed during the
// last claim, as many as the workers will probably free during this claim and the
// next. So no worker waits for a claim. With slow receivers the prefetch is near 0,
// and other processes can claim what is due.
func (r *run) claimOnce() (ClaimResult, error) {
	ctx, cancel := context.WithTimeout(context.Background(), claimTimeout)
	defer cancel()
	began, room := time.Now(), r.slots.Free(r.claimer.Prefetch)
	paused, err := r.d.paused.Held(ctx)
	if err != nil || room.Limit == 0 || paused.All { // what failed before says nothing of now
		r.newest.Store(&pace.Last{At: began, Err: err})
		return ClaimResult{}, err
	}
	paused.Apply(room.Busy, room.Withheld, r.cfg.InFlightPerEndpoint)
	if r.recorder.Away() || r.d.sender.proxy.Fails() { // the first is sent again if the process is killed, the other not at all
		room.Limit = 1
	}
	released := r.slots.Released()
	got, err := r.d.store.Claim(ctx, ClaimRequest{
		Limit: room.Limit, PerEndpoint: r.cfg.InFlightPerEndpoint, Lease: r.cfg.Lease,
		Busy: room.Busy, Unlisted: cmp.Or(room.Unlisted, -1), Withheld: room.Withheld,
	})
	tell(r.d.observer, r.d.observer.Claimed, ClaimReport{since(began, err), room.Limit, len(got.Deliveries)})
	if r.newest.Store(&pace.Last{At: began, Err: err}); err != nil {
		r.doubtful.Add(1)
	}
	r.claimer.Prefetch = min(2*(r.slots.Released()-released), r.cfg.InFlight)
	got.NextIn = pace.Sooner(got.NextIn, room.Next)
	return got, err
}

// leave lets other processes have at once what this one does not claim.
func (r *run) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), claimTimeout)
	defer cancel()
	if _, err := r.d.store.Claim(ctx, ClaimRequest{PerEndpoint: r.cfg.InFlightPerEndpoint, Lease: r.cfg.Lease}); err != nil {
		r.d.log.Warn("alotwebhook: other processes have to wait for a lease of this one to run out", "lease", r.cfg.Lease, "error", err)
	}
}

// start takes a slot for a claimed delivery and queues it for the workers. It leaves alone
// a delivery whose attempt this process has made already and not yet recorded.
func (r *run) start(ctx context.Context, c *Claimed) {
	claim := record.Claim{ID: c.DeliveryID, Attempt: c.Attempt, Try: c.Try, Token: c.Token}
	if c.Endpoint.Ordered && !c.Test {
		claim.HoldsUp = r.cfg.OrderedWait
	}
	if !r.recorder.Claimed(claim) {
		return
	}
	j := job{*c, claim, r.slots.Take(c.Endpoint.OrganizationID, c.Endpoint.ID, c.Endpoint.Rate)}
	if !r.claimer.Queue(ctx, j) {
		r.slots.Release(j.slot, slots.Effect{}) // the lease will run out
	}
}

// work makes attempts until no job can come any more, or there are more workers than needed.
func (r *run) work() {
	for j := range r.claimer.Jobs {
		o, effect := r.attempt(&j.Claimed, j.slot)
		r.slots.Release(j.slot, effect)
		pace.Wake(r.claimer.Freed)
		if !j.Test {
			r.d.tally(j.Endpoint.ID, &o.Attempt)
		}
		o.info, o.claimed.Payload = r.d.describe(&j.Claimed, &o.Outcome), nil
		r.recorder.Add(record.Outcome[outcome]{Claim: j.claim, Value: o})
		if r.workers.IsSurplus() {
			return
		}
	}
}

// finishTimeout bounds how long the end of a run waits for a store that fails.
const finishTimeout = 10 * time.Second

// outcome is an outcome of a delivery as it was claimed, with the Try that it was decided by.
type outcome struct {
	Outcome
	claimed *Claimed
	result  wire.Result  // of the attempt
	info    *AttemptInfo // nil unless an observer is to be told
}

// newRecorder returns the recorder of a run.
func (r *run) newRecorder() *record.Parts[outcome] {
	return record.NewParts(r.d.store.Store, r.cfg.InFlight+r.cfg.Waiting, record.Config[outcome]{
		Store:  r.finish,
		Stored: r.stored,
		Extend: r.extend,
		Lease:  r.cfg.Lease,
		Over:   r.isOver,
		Strip: func(o *record.Outcome[outcome]) {
			o.Value.Attempt.Detail, o.Value.Attempt.ResponseHeaders, o.Value.Attempt.ResponseBody = "", "", ""
		},
		More:     func() bool { return r.slots.Used() > 0 },
		Capacity: r.cfg.InFlight,
		Log:      r.d.log,
	})
}

// finish stores outcomes, each as one of its delivery's newest claim.
func (r *run) finish(ctx context.Context, batch []record.Outcome[outcome]) (lost []string, err error) {
	outcomes := make([]Outcome, len(batch))
	for i := range batch {
		o := &batch[i]
		if v := &o.Value; v.claimed.Try != o.Try && v.Attempt.Number != 0 { // it was redelivered meanwhile
			v.claimed.Try = o.Try
			r.decide(v)
		}
		outcomes[i] = o.Value.Outcome
		outcomes[i].Token, outcomes[i].HoldsUp = o.Token, o.HoldsUp
		a := &outcomes[i].Attempt
		a.ResponseHeaders, a.ResponseBody = "", wire.JoinAnswer(a.ResponseHeaders, a.ResponseBody)
	}
	if r.cfg.Heal {
		r.heal(ctx, batch)
	}
	began := time.Now()
	lost, err = r.d.store.Finish(ctx, outcomes)
	r.d.observer.finished(began, batch, lost, err)
	return lost, err
}

// extend extends the leases of deliveries whose outcomes cannot be stored yet.
func (r *run) extend(ctx context.Context, batch []record.Claim) error {
	outcomes := make([]Outcome, len(batch))
	for i, c := range batch {
		outcomes[i] = Outcome{DeliveryID: c.ID, Token: c.Token, State: StatePending, NextAttemptIn: r.cfg.Lease, HoldsUp: c.HoldsUp, Held: true}
	}
	_, err := r.d.store.Finish(ctx, outcomes)
	return err
}

// isOver reports whether an attempt of a delivery can have no outcome any more.
func (r *run) isOver(ctx context.Context, deliveryID string, attempt int) (bool, error) {
	d, err := r.d.store.Delivery(ctx, deliveryID)
	return errors.Is(err, ErrNotFound) || d.State == StateDelivered || d.State == StateFailed || d.AttemptCount >= attempt, err
}

// stored passes on a stored attempt that gives a reason to change its endpoint. If too many
// wait for that, the endpoint's next such attempt changes it.
func (r *run) stored(o *record.Outcome[outcome]) {
	if o.HoldsUp > 0 {
		pace.Wake(r.d.wake) // for the delivery behind it
	}
	e, a := o.Value.claimed.Endpoint, &o.Value.Attempt
	if r.cfg.Heal && a.Reason != "" && !o.Value.Blameless && !o.Value.claimed.Test {
		r.outages.Failed(e.ID, a.StartedAt)
	}
	if disable, warned := r.verdict(e, a); o.Value.claimed.Test || a.Number == 0 || disable == "" && warned == e.Warned {
		return
	}
	select {
	case r.bad <- o.Value:
	default:
	}
}

// changeBad changes endpoints that fail, or do so no more. Only outcomes that are stored come
// here, so that the successes before them are known.
func (r *run) changeBad() {
	for o := range r.bad {
		r.changeIfDue(o.claimed.Endpoint, &o.Attempt)
	}
}
