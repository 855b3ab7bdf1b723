package alotwebhook

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// run is one run of a dispatcher: one claimer, many senders, one finisher.
// What is claimed goes to a sender at once, or as soon as one that is busy now
// has ended its attempt: at most twice InFlight deliveries are in memory on their
// way out, and InFlight on their way back.
type run struct {
	d   *Dispatcher
	cfg *Config

	slots *slots
	jobs  chan Claimed // to the senders; never full, since slots are taken first
	ahead int          // how many to claim beyond InFlight; the claimer's own
	freed chan struct{}
	// outcomes goes to the finisher. It is full when the store does not keep
	// up; then the senders wait, and with them the claims.
	outcomes chan finished

	senders   int // goroutines started, by the claimer alone
	sending   sync.WaitGroup
	unwritten int // outcomes given up, counted by the finisher alone

	// attempts ends when the attempts under way are cut off, writes when
	// storing their outcomes is given up.
	attempts, writes context.Context
	cutOff, giveUp   context.CancelFunc
}

// finished is an outcome on its way to the store.
type finished struct {
	Outcome
	endpointID string
}

func newRun(d *Dispatcher) *run {
	r := &run{
		d:        d,
		cfg:      d.cfg,
		slots:    newSlots(d.cfg.InFlight, d.cfg.InFlightPerEndpoint),
		jobs:     make(chan Claimed, 2*d.cfg.InFlight),
		freed:    make(chan struct{}, 1),
		outcomes: make(chan finished, d.cfg.InFlight),
	}
	// Both outlive the end of the claims.
	r.attempts, r.cutOff = context.WithCancel(context.Background())
	r.writes, r.giveUp = context.WithCancel(context.Background())
	return r
}

func (r *run) run(ctx context.Context) error {
	claims, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-r.d.closing:
			stop()
		case <-claims.Done():
		}
	}()
	finisher := make(chan struct{})
	go func() { defer close(finisher); r.finish() }()
	var helpers sync.WaitGroup
	helpers.Go(func() { r.d.purge(claims) })
	helpers.Go(func() { r.d.listen(claims) })
	helpers.Go(func() { r.d.recoverAll(claims) })
	helpers.Go(func() { r.d.tallyUp(claims) })

	r.claim(claims)
	close(r.jobs)
	idle := make(chan struct{})
	go func() { defer close(idle); r.sending.Wait() }()
	r.drain(idle)
	r.cutOff()
	giveUp := time.AfterFunc(finishTimeout, r.giveUp)
	defer giveUp.Stop()
	<-idle
	close(r.outcomes)
	<-finisher
	helpers.Wait()
	r.d.lastTallies()
	if r.unwritten > 0 {
		return fmt.Errorf("alotwebhook: %d outcomes could not be stored before the end; those deliveries are sent again once their lease has run out", r.unwritten)
	}
	return nil
}

// drain waits until the senders are idle, up to the bound of whoever ended the run.
func (r *run) drain(idle <-chan struct{}) {
	var timeUp <-chan time.Time
	select {
	case <-r.d.closing: // Shutdown's context is the bound
	default:
		t := time.NewTimer(r.cfg.ShutdownTimeout)
		defer t.Stop()
		timeUp = t.C
	}
	select {
	case <-idle:
	case <-timeUp:
	case <-r.d.cutNow:
	}
}

// listen wakes the claims when another process sends word.
func (d *Dispatcher) listen(ctx context.Context) {
	if d.notify == nil {
		return
	}
	episode := episode{log: d.log, what: "listen"}
	heard := func() {
		episode.over()
		wakeUp(d.wake)
	}
	for ctx.Err() == nil {
		err := d.notify.Listen(ctx, heard)
		if ctx.Err() != nil {
			return
		}
		pause(ctx, episode.failed(err))
	}
}

// What paces the store's work while attempts are under way: one claim or finish
// of many costs little more than one of one, so that each waits for more to
// gather, as long as the last one took but within these bounds.
const (
	leastGather = time.Millisecond
	mostGather  = 10 * time.Millisecond
)

// gatherFor says how long to wait for more, after something took so long.
func gatherFor(took time.Duration) time.Duration {
	return min(max(took, leastGather), mostGather)
}

// claim leases deliveries and hands them to the senders until ctx is done.
func (r *run) claim(ctx context.Context) {
	poll := newPoller(r.cfg.PollInterval)
	episode := episode{log: r.d.log, what: "claim"}
	var took time.Duration
	for r.awaitRoom(ctx, gatherFor(took)) {
		if r.d.uncommitted.Swap(false) {
			poll.soon()
		}
		began := time.Now()
		got, err := r.claimOnce()
		took = time.Since(began)
		if err != nil {
			pause(ctx, episode.failed(err))
			continue
		}
		episode.over()
		for i := range got.Deliveries {
			r.start(&got.Deliveries[i])
		}
		if len(got.Deliveries) > 0 {
			poll.reset()
			continue
		}
		r.idle(ctx, poll.wait(got.NextIn))
	}
}

// claimTimeout bounds a claim. It is not ended with the run: what a claim that
// was cut off had leased would wait for the end of its lease.
const claimTimeout = 10 * time.Second

// claimOnce claims for the slots that are free and for twice as many as came free
// during the claim before: what the senders will have done by the end of this
// claim and of the next one. Half of them still have work then. Where attempts
// take long, that is next to nothing, and what waits is left to other processes.
func (r *run) claimOnce() (ClaimResult, error) {
	ctx, cancel := context.WithTimeout(context.Background(), claimTimeout)
	defer cancel()
	room, busy := r.slots.free(time.Now())
	released := r.slots.released.Load()
	got, err := r.d.store.Claim(ctx, ClaimRequest{
		Limit: room + r.ahead, PerEndpoint: r.cfg.InFlightPerEndpoint, Lease: r.cfg.Lease, Busy: busy,
	})
	r.ahead = min(2*int(r.slots.released.Load()-released), r.cfg.InFlight)
	return got, err
}

// awaitRoom waits until a claim is worth its while: at once when nothing is
// under way, when half of what may be claimed is done, or when it has gathered
// long enough. It returns false when ctx is done.
func (r *run) awaitRoom(ctx context.Context, gather time.Duration) bool {
	if r.slots.used() > 0 && !pause(ctx, leastGather) {
		return false
	}
	var timer *time.Timer
	most := r.cfg.InFlight + r.ahead
	for {
		used := r.slots.used()
		if used <= most/2 {
			return ctx.Err() == nil
		}
		var timeUp <-chan time.Time
		if used < most {
			if timer == nil {
				timer = time.NewTimer(gather)
				defer timer.Stop()
			}
			timeUp = timer.C
		}
		select {
		case <-ctx.Done():
			return false
		case <-r.freed:
		case <-timeUp:
			return true
		}
	}
}

// idle waits for something to do after a claim that got nothing.
func (r *run) idle(ctx context.Context, wait time.Duration) {
	t := time.NewTimer(wait)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
		case <-r.d.wake:
		case <-t.C:
		case <-r.freed:
			// Only an endpoint that had no slot left can have more to send now.
			if !r.slots.reopened() {
				continue
			}
		}
		return
	}
}

func (r *run) start(c *Claimed) {
	used := r.slots.take(c.Endpoint.ID)
	if used > r.senders && r.senders < r.cfg.InFlight {
		r.senders++
		r.sending.Add(1)
		go r.send()
	}
	r.jobs <- *c
}

// send makes attempts until the claims have ended.
func (r *run) send() {
	defer r.sending.Done()
	for c := range r.jobs {
		outcome, effect := r.attempt(&c)
		r.slots.release(c.Endpoint.ID, effect)
		select {
		case r.freed <- struct{}{}:
		default:
		}
		r.outcomes <- finished{outcome, c.Endpoint.ID}
	}
}

// Finishing: outcomes are stored in batches, since one transaction of many
// costs little more than one of one.
const (
	finishBatch = 512
	// finishTimeout bounds how long the end of a run waits for a store that fails.
	finishTimeout = 10 * time.Second
	// writeTimeout bounds one try to store outcomes. Without it, a connection that
	// is dead and does not say so would hold up all outcomes for many minutes.
	writeTimeout = 30 * time.Second
)

// finish stores outcomes until there are no more to come.
func (r *run) finish() {
	gathered := make([]finished, 0, finishBatch)
	batch := make([]Outcome, 0, finishBatch)
	var took time.Duration
	for outcome := range r.outcomes {
		gathered = append(gathered[:0], outcome)
		// With others under way, theirs are worth waiting for.
		if r.slots.used() > 0 && len(r.outcomes) < finishBatch/4 {
			pause(r.attempts, gatherFor(took))
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
	}
}

func (r *run) gather(batch []finished) []finished {
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

// store stores a batch, again and again while the store fails. Only the end of
// the run bounds that: what is not stored is sent again when its lease is over.
func (r *run) store(batch []Outcome) {
	episode := episode{log: r.d.log, what: "finish"}
	for first := true; ; first = false {
		lost, err := r.finishOnce(batch)
		if err == nil {
			episode.over()
			if len(lost) > 0 && first { // later it may be that a try did store them, whose answer was lost
				r.d.log.Warn("alotwebhook: leases were lost: another process took over while this one was held up", "deliveries", len(lost), "first", lost[0])
			}
			return
		}
		if !pause(r.writes, episode.failed(err)) {
			r.unwritten += len(batch)
			return
		}
	}
}

func (r *run) finishOnce(batch []Outcome) (lost []string, err error) {
	ctx, cancel := context.WithTimeout(r.writes, writeTimeout)
	defer cancel()
	return r.d.store.Finish(ctx, batch)
}

// poller says how long to wait for what nobody tells of.
type poller struct {
	interval time.Duration
	next     time.Duration
}

func newPoller(interval time.Duration) *poller { return &poller{interval: interval, next: interval} }

// soon: a transaction of this process is about to commit. Look after 1 ms, 2 ms, 4 ms and so on.
func (p *poller) soon() { p.next = time.Millisecond }

func (p *poller) reset() { p.next = p.interval }

// wait returns how long until the next look, less if something falls due
// before; a little less at random, so that processes do not poll in step.
func (p *poller) wait(nextIn time.Duration) time.Duration {
	wait := p.next - rand.N(p.next/8+1)
	p.next = min(2*p.next, p.interval)
	if nextIn > 0 {
		wait = min(wait, nextIn)
	}
	return wait
}

// episode is a row of failures of the store: logged at its start and its end,
// retried ever more slowly.
type episode struct {
	log   *slog.Logger
	what  string
	began time.Time
	wait  time.Duration
}

const (
	firstStoreRetry = 50 * time.Millisecond
	lastStoreRetry  = 5 * time.Second
)

// failed returns how long to wait before the next try.
func (e *episode) failed(err error) time.Duration {
	if e.began.IsZero() {
		e.began, e.wait = time.Now(), firstStoreRetry
		e.log.Error("alotwebhook: the store fails; retrying until it recovers", "operation", e.what, "error", err)
	}
	wait := e.wait
	e.wait = min(2*e.wait, lastStoreRetry)
	return wait/2 + rand.N(wait/2+1)
}

func (e *episode) over() {
	if !e.began.IsZero() {
		e.log.Info("alotwebhook: the store has recovered", "operation", e.what, "after", time.Since(e.began).Round(time.Millisecond))
		e.began = time.Time{}
	}
}
