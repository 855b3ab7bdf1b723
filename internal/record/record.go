// Package record stores the outcomes of attempts, in batches, and remembers which are not
// stored yet.
//
// A store may fail in two ways. If it is away, everything waits until it is back. If it
// refuses one outcome, because of the text in it, say, the others must not wait for that
// one. From outside, both look alike: a call has failed. So a batch that fails is split,
// again and again. If any part of it can be stored, the store is there, and whatever fails
// alone is at fault itself. It is stored without the text that came from outside; if that
// fails too, it is logged and waits for the next claim of its delivery.
//
// An outcome is lost if its token is not that of the newest claim. Either the delivery was
// claimed again, perhaps by this process, which has not heard of it yet: then the outcome is
// put aside, until a claim comes under whose token it can be stored. Or the delivery has
// ended meanwhile, or a call that failed has stored the outcome: then it is over. The store
// is asked which.
package record

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook/internal/pace"
)

const (
	// batchSize is the most outcomes that are stored in one call.
	batchSize = 512
	// While at least quick more come in a millisecond, to wait until worthwhile are there pays.
	// To wait longer does not: claims have to step over what is not recorded.
	worthwhile, quick = 48, 4
	// maxTries is how many calls may fail in a row before the store counts as away: enough
	// to come from a whole batch down to some outcomes by themselves.
	maxTries = 12
	// thorough is in how many rounds a batch is split. After them, some outcomes are tried
	// by themselves in each round, in turns.
	thorough, probes = 2, 8
	// chances is how many further times an outcome is tried as it is once the store is
	// known to be there. It may have failed by chance.
	chances = 2
	// lonely is after how many rounds, each time, an outcome is stored without its text, although no
	// other outcome has shown that the store is there. Some 6 seconds have passed by then.
	lonely = 8
	// callTimeout bounds one call. Without it, a connection that is dead and does not say
	// so would hold up all outcomes for many minutes. After a call that it has ended, calls
	// have shortTimeout at first, to find out whether one outcome is what hangs.
	callTimeout, shortTimeout = 30 * time.Second, 2 * time.Second
	// awayPause is how long to wait before each claim while no outcome can be stored. All
	// that is sent then is sent again if the process is killed.
	awayPause, longestPause = time.Second, 10 * time.Minute
)

// Claim is a claim of a delivery.
type Claim struct {
	// ID is the delivery's, Attempt the number of its attempt since it was made, Try that since
	// it was redelivered.
	ID           string
	Attempt, Try int
	Token        int64
	// HoldsUp is for how long the delivery may hold up others; 0 unless it is one in order.
	HoldsUp time.Duration
}

// Outcome is an outcome on its way to the store. Its claim is the newest of the delivery's
// when it is stored: the delivery may have been canceled and redelivered during the attempt,
// so that Try begins anew.
type Outcome[O any] struct {
	Claim
	Value O
}

// Config says how a [Recorder] works. All fields are needed.
type Config[O any] struct {
	// Store stores a batch: all of it or, with an error, nothing. It returns the ids of the
	// deliveries whose outcome changed nothing, because their newest claim has another
	// token or they are finished.
	Store func(ctx context.Context, batch []Outcome[O]) (lost []string, err error)
	// Extend extends the leases of deliveries to Lease from now.
	Extend func(ctx context.Context, batch []Claim) error
	Lease  time.Duration
	// Over reports whether an attempt of a delivery can have no outcome any more: it has one,
	// or the delivery has ended or is gone. If so, an error is of no account.
	Over func(ctx context.Context, deliveryID string, attempt int) (bool, error)
	// Stored is called after an outcome was stored.
	Stored func(*Outcome[O])
	// Strip takes the text out of an outcome that came from outside.
	Strip func(*Outcome[O])
	// More says that further outcomes are to be expected, so that a batch is worth a wait.
	More func() bool
	// Capacity is how many outcomes wait to be stored before Add waits, if that is more than are
	// worthwhile.
	Capacity int
	Log      *slog.Logger
}

// Recorder stores outcomes. Its methods may be called from many goroutines at once.
type Recorder[O any] struct {
	cfg           Config[O]
	in            chan Outcome[O]
	held          held[O]
	ctx           context.Context // ends when the recorder gives up
	giveUp        context.CancelFunc
	away          atomic.Bool
	done, watched chan struct{} // are closed when run and watch have ended
	known         atomic.Bool   // something was claimed that this process holds already
	moved         pace.Moment   // when something was stored last, or came after a while
	wait          time.Duration // of the next AwaitStore

	// The goroutine of run alone uses these.
	episode   pace.Episode
	limit     time.Duration // of a call
	rounds    int           // that failed in a row
	doubt     bool          // a call with outcomes of the current batch has failed, but may have stored them
	extendAt  time.Time     // when leases are to be extended next
	again     []Outcome[O]  // to be stored once more, since their delivery was claimed again
	unwritten int
}

// New returns a recorder that stores outcomes until Close.
func New[O any](cfg Config[O]) *Recorder[O] { return start(cfg, cfg.Capacity) }

// start is New with room for that many outcomes before Add waits.
func start[O any](cfg Config[O], room int) *Recorder[O] {
	cfg.Capacity = max(cfg.Capacity, worthwhile)
	r := &Recorder[O]{
		cfg: cfg, in: make(chan Outcome[O], max(room, worthwhile)), held: newHeld[O](),
		done: make(chan struct{}), watched: make(chan struct{}), wait: awayPause, limit: callTimeout, episode: pace.Episode{Log: cfg.Log, Operation: "finish"},
	}
	r.ctx, r.giveUp = context.WithCancel(context.Background())
	go r.run()
	go r.watch()
	return r
}

// Claimed notes that a delivery was claimed. It returns false if the attempt must not be
// made: this process has made it already, or is making it. Then its outcome is stored under
// the token of this claim.
func (r *Recorder[O]) Claimed(c Claim) bool {
	first, again := r.held.claim(c, time.Now())
	if !first && again == nil {
		r.known.Store(true)
	}
	if again != nil {
		select {
		case r.in <- *again:
		default: // full: it waits for one more claim
			r.held.keep(again)
		}
	}
	return first
}

// Add gives the recorder the outcome of a claimed delivery.
func (r *Recorder[O]) Add(o Outcome[O]) { r.in <- o }

// AwaitStore waits before a claim while the store is away: for a second, and twice as long
// after each claim of a delivery that this process holds already. Each such claim brings the
// delivery nearer to being taken for poison. AwaitStore returns sooner when the store is
// back, and false if ctx is done. One goroutine may call it.
func (r *Recorder[O]) AwaitStore(ctx context.Context) bool {
	if r.known.Swap(false) {
		r.wait = min(2*r.wait, longestPause)
	}
	for waited := time.Duration(0); r.Away(); waited += awayPause {
		if waited >= r.wait {
			return true
		}
		if !pace.Pause(ctx, awayPause) {
			return false
		}
	}
	r.wait = awayPause
	return true
}

// Away reports whether the store has taken no outcome in the last tries. Whoever claims
// should then claim little: what is sent now may be sent again after a crash.
func (r *Recorder[O]) Away() bool { return r.away.Load() }

// GiveUpIn has the recorder give up what it has not stored when that time has passed.
func (r *Recorder[O]) GiveUpIn(patience time.Duration) {
	timer := time.AfterFunc(patience, r.giveUp)
	context.AfterFunc(r.ctx, func() { timer.Stop() })
}

// Close waits until all outcomes are stored or given up, and returns how many were given
// up, those that the store has refused included. No Add may follow.
func (r *Recorder[O]) Close() (unwritten int) {
	close(r.in)
	<-r.done
	r.giveUp()
	<-r.watched
	r.tellLate()
	return r.unwritten + len(r.held.refused())
}

// run stores outcomes until no more can come.
func (r *Recorder[O]) run() {
	defer close(r.done)
	batch := make([]Outcome[O], 0, batchSize)
	var left []Outcome[O]
	var took time.Duration
	for {
		batch = append(batch[:0], left...)
		if len(batch) == 0 {
			o, open := <-r.in
			if !open {
				r.tryRefused()
				return
			}
			r.moved.Note()
			batch = append(batch, o)
			r.await(took)
		}
		batch = r.gather(batch)
		began := time.Now()
		var wait time.Duration
		left, wait = r.store(batch)
		took = time.Since(began)
		if left = r.rest(left, wait); len(left) > 0 && r.ctx.Err() != nil {
			r.abandon(left)
			return
		}
	}
}

// await waits for more outcomes, since a call for many costs little more than one for a single
// outcome: for as long as the last call took, and longer while a few come all the time.
func (r *Recorder[O]) await(took time.Duration) {
	if !r.cfg.More() || len(r.in) >= batchSize/4 {
		return
	}
	wait, until := pace.Gather(took), time.Now().Add(pace.MostGather)
	for n := len(r.in); n < worthwhile && pace.Pause(r.ctx, wait); n = len(r.in) {
		if wait = pace.LeastGather; len(r.in)-n < quick || !time.Now().Before(until) {
			return
		}
	}
}

// rest waits before what is left is stored. A single outcome may be at fault by itself: the
// next one tells whether the store is there, so it ends the wait.
func (r *Recorder[O]) rest(left []Outcome[O], wait time.Duration) []Outcome[O] {
	if len(left) == 0 {
		return left
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	next := r.in
	if len(left) > 1 {
		next = nil
	}
	for {
		select {
		case o, open := <-next:
			if open {
				return append(left, o)
			}
			next = nil
		case <-t.C:
			return left
		case <-r.ctx.Done():
			return left
		}
	}
}

// gather fills a batch with the outcomes that are there already. It does not wait.
func (r *Recorder[O]) gather(batch []Outcome[O]) []Outcome[O] {
	for len(batch) < batchSize {
		select {
		case o, open := <-r.in:
			if !open {
				return batch
			}
			batch = append(batch, o)
		default:
			return batch
		}
	}
	return batch
}

// abandon counts the outcomes that are not going to be stored.
func (r *Recorder[O]) abandon(left []Outcome[O]) {
	r.unwritten += len(left)
	for range r.in {
		r.unwritten++
	}
}

// store stores a batch. It returns the outcomes that are still to be stored, and how long
// to wait before.
func (r *Recorder[O]) store(batch []Outcome[O]) (left []Outcome[O], wait time.Duration) {
	r.again, r.doubt = nil, r.doubt && r.rounds > 0
	t := &trial[O]{r: r}
	if r.rounds < thorough {
		t.try(batch)
	} else {
		t.probe(batch)
	}
	if t.stored {
		r.rounds = 0
		r.away.Store(false)
		if atFault := r.judge(t.refused); t.err != nil && !atFault { // calls failed by chance
			r.episode.Failed(t.err)
		}
		r.episode.Over()
		if t.err == nil {
			r.limit = callTimeout
		}
		return append(t.left, r.again...), 0
	}
	switch hung := errors.Is(t.err, context.DeadlineExceeded); {
	case hung && r.limit == callTimeout:
		r.limit = shortTimeout
	case hung:
		r.limit = min(2*r.limit, callTimeout)
	}
	r.rounds++
	left = append(t.left, t.refused...)
	r.away.Store(r.rounds >= thorough && len(left) > 1) // one by itself may be at fault
	r.extend()
	return left, r.episode.Failed(t.err)
}

// extend extends the leases of what is not recorded yet, so that no process claims it
// again meanwhile. It is no harm if that fails as well: what this process claims again it
// does not send.
func (r *Recorder[O]) extend() {
	now := time.Now()
	if now.Before(r.extendAt) {
		return
	}
	r.extendAt = now.Add(r.cfg.Lease / 4)
	for batch := range slices.Chunk(r.held.leasedBefore(now.Add(-r.cfg.Lease/4)), batchSize) {
		ctx, cancel := context.WithTimeout(r.ctx, callTimeout)
		err := r.cfg.Extend(ctx, batch)
		cancel()
		if err != nil {
			return
		}
		r.held.extended(batch, now)
	}
}

// call makes one call of the store.
func (r *Recorder[O]) call(batch []Outcome[O]) error {
	r.held.fence(batch)
	ctx, cancel := context.WithTimeout(r.ctx, r.limit)
	defer cancel()
	list, err := r.cfg.Store(ctx, batch)
	if err == nil {
		r.moved.Note()
	} else {
		r.doubt = true
		return err
	}
	var lost map[string]bool // nil for most
	if len(list) > 0 {
		lost = make(map[string]bool, len(list))
		for _, id := range list {
			lost[id] = true
		}
	}
	again := r.held.settle(batch, lost, !r.doubt)
	r.again = append(r.again, again...)
	for i := range batch {
		if o := &batch[i]; !lost[o.ID] {
			r.cfg.Stored(o)
		}
	}
	return nil
}

// tellLate logs which outcomes came too late. A claim of this process may be why, and its
// deliveries may come only now: then they are recorded yet. So it is called when no claim is
// under way.
func (r *Recorder[O]) tellLate() {
	if late := r.held.takeLate(); len(late) > 0 {
		r.cfg.Log.Warn("alotwebhook: outcomes came too late to be recorded: meanwhile their deliveries were claimed again or canceled, their events were erased, or their endpoint was deleted",
			"deliveries", len(late), "first", late[0])
	}
}
