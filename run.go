package alotwebhook

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook/internal/pace"
	"github.com/alot/alotwebhook/internal/slots"
)

// run is one call of [Dispatcher.Run]: a claimer, up to InFlight and Waiting workers and
// a finisher, joined by channels. The claimer leases deliveries, a worker makes the
// attempt of each, and the finisher stores the outcomes in batches.
//
// Memory grows with InFlight and Waiting, never with the backlog: the channels are bounded, and
// whoever sends to a full one waits.
type run struct {
	d   *Dispatcher
	cfg *Config

	slots *slots.Slots
	// jobs leads to the workers.
	jobs chan job
	// prefetch is how many deliveries to claim beyond InFlight. They wait in jobs for
	// the next worker that is free. The claimer alone uses it.
	prefetch int
	// freed wakes the claimer after a worker has given a slot back.
	freed chan struct{}
	// outcomes leads to the finisher. It is full while the store does not keep up:
	// then the workers wait, and the claimer waits for them.
	outcomes chan endpointOutcome

	workers   atomic.Int64   // those that run; the claimer alone starts them
	working   sync.WaitGroup // counts them, too
	unwritten int            // outcomes given up; the finisher alone counts them

	// attemptsCtx ends when the attempts under way are cut off, writesCtx when the
	// finisher gives up on a store that fails.
	attemptsCtx, writesCtx context.Context
	cutOff, giveUp         context.CancelFunc
}

// job is a claimed delivery with the slot of its attempt.
type job struct {
	Claimed
	slot *slots.Slot
}

// endpointOutcome is an outcome on its way to the store, with the endpoint under
// which it is tallied, and the claim.
type endpointOutcome struct {
	Outcome
	endpointID string
	claimed    *Claimed
}

func newRun(d *Dispatcher) *run {
	r := &run{
		d:        d,
		cfg:      d.cfg,
		slots:    slots.New(d.cfg.InFlight, d.cfg.InFlightPerEndpoint, d.cfg.Waiting),
		jobs:     make(chan job, 2*d.cfg.InFlight),
		freed:    make(chan struct{}, 1),
		outcomes: make(chan endpointOutcome, d.cfg.InFlight),
	}
	// Neither context descends from Run's: attempts and writes go on after the last claim.
	r.attemptsCtx, r.cutOff = context.WithCancel(context.Background())
	r.writesCtx, r.giveUp = context.WithCancel(context.Background())
	return r
}

// run claims until ctx is done or Shutdown is called. Then it waits for one stage after
// the other to end: claimer, workers, finisher, helpers.
func (r *run) run(ctx context.Context) error {
	claimsCtx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-r.d.closing:
			stop()
		case <-claimsCtx.Done():
		}
	}()
	allStored := make(chan struct{})
	go func() { defer close(allStored); r.finish() }()
	var helpers sync.WaitGroup
	helpers.Go(func() { r.d.purge(claimsCtx) })
	helpers.Go(func() { r.d.listen(claimsCtx) })
	helpers.Go(func() { r.d.recoverAll(claimsCtx) })
	helpers.Go(func() { r.d.storeTallies(claimsCtx) })

	r.claim(claimsCtx)
	close(r.jobs)
	workersDone := make(chan struct{})
	go func() { defer close(workersDone); r.working.Wait() }()
	r.drain(workersDone)
	r.cutOff()
	giveUp := time.AfterFunc(finishTimeout, r.giveUp)
	defer giveUp.Stop()
	<-workersDone
	close(r.outcomes)
	<-allStored
	helpers.Wait()
	r.d.storeLastTallies()
	if r.unwritten > 0 {
		return fmt.Errorf("alotwebhook: %d outcomes could not be stored before the end; those deliveries are sent again once their lease has run out", r.unwritten)
	}
	return nil
}

// drain waits until the workers are done, or the time that whoever ended the run
// gives them is up: ShutdownTimeout, or the context of Shutdown.
func (r *run) drain(workersDone <-chan struct{}) {
	var timeUp <-chan time.Time
	select {
	case <-r.d.closing: // Shutdown closes cutNow when its context is done
	default:
		t := time.NewTimer(r.cfg.ShutdownTimeout)
		defer t.Stop()
		timeUp = t.C
	}
	select {
	case <-workersDone:
	case <-timeUp:
	case <-r.d.cutNow:
	}
}

// A claim or a finish of many deliveries costs the store little more than one of a
// single delivery. So while attempts are under way, claimer and finisher wait until
// more has gathered: for as long as their last call took, within these bounds.
const (
	leastGather = time.Millisecond
	mostGather  = 10 * time.Millisecond
)

// gatherFor returns how long to gather after a call of the store that took so long.
func gatherFor(took time.Duration) time.Duration {
	return min(max(took, leastGather), mostGather)
}

// claim leases deliveries and hands them to the workers until ctx is done.
func (r *run) claim(ctx context.Context) {
	poll := pace.NewPoller(r.cfg.PollInterval)
	episode := pace.Episode{Log: r.d.log, Operation: "claim"}
	var took time.Duration
	for r.awaitRoom(ctx, gatherFor(took)) {
		if r.d.uncommitted.Swap(false) {
			poll.Soon()
		}
		began := time.Now()
		got, err := r.claimOnce()
		took = time.Since(began)
		if err != nil {
			pace.Pause(ctx, episode.Failed(err))
			continue
		}
		episode.Over()
		for i := range got.Deliveries {
			r.start(&got.Deliveries[i])
		}
		r.staff()
		if len(got.Deliveries) > 0 {
			poll.Reset()
			continue
		}
		r.awaitWork(ctx, poll.Wait(got.NextIn))
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
	room := r.slots.Free(r.prefetch)
	if room.Limit == 0 {
		return ClaimResult{}, nil
	}
	unlisted := room.Unlisted
	if unlisted == 0 {
		unlisted = -1
	}
	released := r.slots.Released()
	got, err := r.d.store.Claim(ctx, ClaimRequest{
		Limit: room.Limit, PerEndpoint: r.cfg.InFlightPerEndpoint, Lease: r.cfg.Lease,
		Busy: room.Busy, Unlisted: unlisted, Withheld: room.Withheld,
	})
	r.prefetch = min(2*(r.slots.Released()-released), r.cfg.InFlight)
	return got, err
}

// awaitRoom returns true when it is time to claim: no attempt holds a slot, at least
// half of InFlight and prefetch is free, or less is free and gather has passed. While
// anything holds a slot it first waits for a millisecond. It returns false when ctx is
// done.
func (r *run) awaitRoom(ctx context.Context, gather time.Duration) bool {
	if working, _ := r.slots.Working(); working > 0 && !pace.Pause(ctx, leastGather) {
		return false
	}
	gathered := time.NewTimer(gather)
	defer gathered.Stop()
	most := r.cfg.InFlight + r.prefetch
	for {
		r.staff()
		working, next := r.slots.Working()
		if working <= most/2 {
			return ctx.Err() == nil
		}
		timeUp := gathered.C
		if working >= most {
			timeUp = nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-r.freed:
		case <-pace.After(next):
		case <-timeUp:
			return true
		}
	}
}

// awaitWork waits after a claim that got nothing, until the next one may get something:
// something was emitted or made due, an endpoint that was refused a slot may have one, or
// wait has passed. It also returns when ctx is done, and in time for jobs whose workers
// wait for slow receivers.
func (r *run) awaitWork(ctx context.Context, wait time.Duration) {
	if len(r.jobs) > 0 {
		wait = min(wait, slots.Patience)
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
		case <-r.d.wake:
		case <-t.C:
		case <-r.freed:
			// Endpoints that had a free slot had nothing due. So only one that had
			// none can have more to send now.
			if !r.slots.Reopened() {
				continue
			}
		}
		return
	}
}

// start takes a slot for a claimed delivery and queues it for the workers.
func (r *run) start(c *Claimed) {
	j := job{*c, r.slots.Take(c.Endpoint.OrganizationID, c.Endpoint.ID)}
	select {
	case r.jobs <- j:
	default: // only if slow receivers hold the workers
		r.staff()
		r.jobs <- j
	}
}

// mostWorkers is how many workers there may be: InFlight, and one for each attempt that
// waits for a slow receiver.
func (r *run) mostWorkers() int {
	working, _ := r.slots.Working()
	return r.cfg.InFlight + r.slots.Used() - working
}

// staff starts workers while there are fewer than slots in use and than there may be.
func (r *run) staff() {
	for most := min(r.slots.Used(), r.mostWorkers()); int(r.workers.Load()) < most; {
		r.workers.Add(1)
		r.working.Add(1)
		go r.work()
	}
}

// work makes attempts until the claimer has ended and no job is left, or until there are
// more workers than needed.
func (r *run) work() {
	defer r.working.Done()
	for j := range r.jobs {
		outcome, effect := r.attempt(&j.Claimed)
		r.slots.Release(j.slot, effect)
		pace.Wake(r.freed)
		r.outcomes <- endpointOutcome{outcome, j.Endpoint.ID, &j.Claimed}
		if r.isSurplus() {
			return
		}
	}
}

// isSurplus takes one off the number of workers if it is too large.
func (r *run) isSurplus() bool {
	n := r.workers.Load()
	return int(n) > r.cfg.InFlight && int(n) > r.mostWorkers() && r.workers.CompareAndSwap(n, n-1)
}

const (
	// finishBatch is the most outcomes that one call of Finish stores.
	finishBatch = 512
	// finishTimeout bounds how long the end of a run waits for a store that fails.
	finishTimeout = 10 * time.Second
	// writeTimeout bounds one try to store outcomes. Without it, a connection that
	// is dead and does not say so would hold up all outcomes for many minutes.
	writeTimeout = 30 * time.Second
)

// finish stores outcomes in batches until no more can come.
func (r *run) finish() {
	gathered := make([]endpointOutcome, 0, finishBatch)
	batch := make([]Outcome, 0, finishBatch)
	var took time.Duration
	for outcome := range r.outcomes {
		gathered = append(gathered[:0], outcome)
		// While attempts are under way, their outcomes are worth a short wait.
		if r.slots.Used() > 0 && len(r.outcomes) < finishBatch/4 {
			pace.Pause(r.attemptsCtx, gatherFor(took))
		}
		gathered = r.gather(gathered)
		batch = batch[:0]
		for i := range gathered {
			batch = append(batch, gathered[i].Outcome)
		}
		began := time.Now()
		r.store(batch)
		took = time.Since(began)
		r.d.tallies.countAll(gathered)
		for _, o := range gathered {
			if o.Attempt.Reason != "" {
				r.disableIfDue(o.claimed, &o.Attempt)
			}
		}
	}
}

// gather fills a batch with the outcomes that are there already. It does not wait.
func (r *run) gather(batch []endpointOutcome) []endpointOutcome {
	for len(batch) < finishBatch {
		select {
		case outcome, open := <-r.outcomes:
			if !open {
				return batch
			}
			batch = append(batch, outcome)
		default:
			return batch
		}
	}
	return batch
}

// store stores a batch, and tries again for as long as the store fails. Only the end
// of the run bounds that; deliveries whose outcome was not stored are sent again when
// their lease has run out.
func (r *run) store(batch []Outcome) {
	episode := pace.Episode{Log: r.d.log, Operation: "finish"}
	for first := true; ; first = false {
		lost, err := r.finishOnce(batch)
		if err == nil {
			episode.Over()
			// After a failed try, a lease may only seem lost: the store may have kept
			// the outcome although its reply did not arrive.
			if len(lost) > 0 && first {
				r.d.log.Warn("alotwebhook: leases were lost: another process took over while this one was held up", "deliveries", len(lost), "first", lost[0])
			}
			return
		}
		if !pace.Pause(r.writesCtx, episode.Failed(err)) {
			r.unwritten += len(batch)
			return
		}
	}
}

// finishOnce makes one try, which is bounded: a connection that is dead and does not
// say so would hold up all outcomes.
func (r *run) finishOnce(batch []Outcome) (lost []string, err error) {
	ctx, cancel := context.WithTimeout(r.writesCtx, writeTimeout)
	defer cancel()
	return r.d.store.Finish(ctx, batch)
}
