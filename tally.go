package alotwebhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/alot/alotwebhook/internal/pace"
)

// Tally counts the attempts of an hour that were made to an endpoint.
type Tally struct {
	EndpointID string
	// Hour is when the hour begins: UTC and whole. An attempt belongs to the
	// hour in which it was started, by the clock of the dispatcher that made it.
	Hour time.Time
	// Succeeded counts the attempts that were answered with a 2xx status.
	Succeeded int64
	// Reasons counts the others by why they failed; nil when there were none.
	Reasons map[FailureReason]int64
	// Duration is what all attempts took together, Slowest the longest of them.
	Duration, Slowest time.Duration
}

// Failed counts the attempts that failed.
func (t Tally) Failed() int64 {
	var n int64
	for _, of := range t.Reasons {
		n += of
	}
	return n
}

// Average is how long an attempt took on average; 0 when there was none.
func (t Tally) Average() time.Duration {
	return t.Duration / time.Duration(max(t.Succeeded+t.Failed(), 1))
}

// Add adds other to t, whatever its endpoint and hour are.
func (t *Tally) Add(other Tally) {
	t.Succeeded += other.Succeeded
	t.Duration += other.Duration
	t.Slowest = max(t.Slowest, other.Slowest)
	if t.Reasons == nil && len(other.Reasons) > 0 {
		t.Reasons = make(map[FailureReason]int64, len(other.Reasons))
	}
	for reason, n := range other.Reasons {
		t.Reasons[reason] += n
	}
}

// Tallier is an optional capability of a [Store]: it keeps tallies, so that
// success, latency and reasons can be shown without counting the history. A
// dispatcher that finds it tallies its attempts; nothing depends on it.
//
// Purge deletes what has passed PurgeRequest.Tallies.
type Tallier interface {
	// AddTallies adds to what is stored for each endpoint and hour: all of the
	// batch or, with an error, nothing; after an error that leaves open which,
	// some attempts count twice or not at all. Several processes may add to the
	// same hours at once, in batches of any order, without waiting for each
	// other in a circle. Endpoints need not exist.
	AddTallies(ctx context.Context, tallies []Tally) error
	// Tallies returns those of the endpoints whose Hour is since or later, by
	// endpoint and then by hour. An hour without attempts has none.
	Tallies(ctx context.Context, endpointIDs []string, since time.Time) ([]Tally, error)
}

// tallier finds the capability, or returns nil.
func tallier(s Store) Tallier {
	t, _ := s.(Tallier)
	return t
}

// tallyRetention is how long tallies are kept: a week, in every time zone.
const tallyRetention = 8 * day

// Tallies returns the tallies of the endpoints, of the hour that since falls
// into and later, by endpoint and then by hour: what was added to the store, by
// all processes, and what this one is about to. Others add theirs every few
// seconds. They are kept for eight days. A process that is killed takes its last
// seconds of them with it: they are for charts, and the history is what counts.
//
// Test for [errors.ErrUnsupported] when the store is no [Tallier].
func (d *Dispatcher) Tallies(ctx context.Context, since time.Time, endpointIDs ...string) ([]Tally, error) {
	list, err := d.tallies.read(ctx, since.UTC().Truncate(time.Hour), endpointIDs)
	if err != nil {
		return nil, explain(err, "tallies not read")
	}
	return list, nil
}

// tallies are the attempts of this process that its store does not know of yet.
type tallies struct {
	store Tallier // nil: nothing is tallied

	mu      sync.Mutex
	pending map[tallyKey]*Tally

	// moving is held while pending ones go to the store: a reader finds each
	// attempt here or there.
	moving sync.Mutex
}

type tallyKey struct {
	endpointID string
	hour       int64 // Unix time
}

// maxTallies bounds the memory while the store does not take them.
const maxTallies = 50_000

func (t *Tally) key() tallyKey { return tallyKey{t.EndpointID, t.Hour.Unix()} }

func byEndpointAndHour(a, b Tally) int {
	return cmp.Or(cmp.Compare(a.EndpointID, b.EndpointID), a.Hour.Compare(b.Hour))
}

// of returns the pending tally of an endpoint and hour; the caller holds mu.
func (ts *tallies) of(endpointID string, hour time.Time) *Tally {
	key := tallyKey{endpointID, hour.Unix()}
	t := ts.pending[key]
	if t == nil {
		t = &Tally{EndpointID: endpointID, Hour: hour}
		if len(ts.pending) < maxTallies {
			ts.pending[key] = t
		}
	}
	return t
}

// count tallies an attempt; the caller holds mu.
func (ts *tallies) count(endpointID string, a *Attempt) {
	t := ts.of(endpointID, a.StartedAt.UTC().Truncate(time.Hour))
	t.Duration += a.Duration
	t.Slowest = max(t.Slowest, a.Duration)
	if a.Reason == "" {
		t.Succeeded++
		return
	}
	if t.Reasons == nil {
		t.Reasons = map[FailureReason]int64{}
	}
	t.Reasons[a.Reason]++
}

// countAll tallies the attempts of a batch.
func (ts *tallies) countAll(batch []finished) {
	if ts.store == nil {
		return
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for i := range batch {
		if a := &batch[i].Attempt; a.Number != 0 {
			ts.count(batch[i].endpointID, a)
		}
	}
}

// tallyInterval is how often tallies go to the store, if there are any.
const tallyInterval = 5 * time.Second

// tallyUp moves tallies to the store until ctx is done.
func (d *Dispatcher) tallyUp(ctx context.Context) {
	if d.tallies.store == nil {
		return
	}
	episode := pace.Episode{Log: d.log, Operation: "tally"}
	for pace.Pause(ctx, tallyInterval-rand.N(tallyInterval/4)) {
		if err := d.flushTallies(); err != nil {
			episode.Failed(err)
		} else {
			episode.Over()
		}
	}
}

// flushTallies is bounded, and not cut off by the end of a run: that would leave
// open what was stored.
func (d *Dispatcher) flushTallies() error {
	ctx, cancel := context.WithTimeout(context.Background(), finishTimeout)
	defer cancel()
	return d.tallies.flush(ctx)
}

// lastTallies is the end of a run.
func (d *Dispatcher) lastTallies() {
	if d.tallies.store == nil {
		return
	}
	if err := d.flushTallies(); err != nil {
		d.log.Error("alotwebhook: the last tallies could not be stored; the charts lack some seconds", "error", err)
	}
}

// flush moves what is pending to the store, or keeps it after an error.
func (ts *tallies) flush(ctx context.Context) error {
	ts.moving.Lock()
	defer ts.moving.Unlock()
	ts.mu.Lock()
	batch := make([]Tally, 0, len(ts.pending))
	for _, t := range ts.pending {
		batch = append(batch, *t)
	}
	clear(ts.pending)
	ts.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	slices.SortFunc(batch, byEndpointAndHour)
	err := ts.store.AddTallies(ctx, batch)
	if err != nil {
		ts.mu.Lock()
		defer ts.mu.Unlock()
		for _, t := range batch {
			ts.of(t.EndpointID, t.Hour).Add(t)
		}
	}
	return err
}

// read returns what is stored with what is pending.
func (ts *tallies) read(ctx context.Context, since time.Time, endpointIDs []string) ([]Tally, error) {
	if ts.store == nil {
		return nil, fmt.Errorf("the store keeps none: %w", errors.ErrUnsupported)
	}
	ts.moving.Lock()
	defer ts.moving.Unlock()
	stored, err := ts.store.Tallies(ctx, endpointIDs, since)
	if err != nil {
		return nil, err
	}
	sums := make(map[tallyKey]*Tally, len(stored))
	add := func(t Tally) {
		if sum := sums[t.key()]; sum != nil {
			sum.Add(t)
			return
		}
		t.Reasons = maps.Clone(t.Reasons) // what is pending goes on being counted
		sums[t.key()] = &t
	}
	for _, t := range stored {
		add(t)
	}
	ts.mu.Lock()
	for _, t := range ts.pending {
		if slices.Contains(endpointIDs, t.EndpointID) && !t.Hour.Before(since) {
			add(*t)
		}
	}
	ts.mu.Unlock()
	list := make([]Tally, 0, len(sums))
	for _, t := range sums {
		list = append(list, *t)
	}
	slices.SortFunc(list, byEndpointAndHour)
	return list, nil
}
