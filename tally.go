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

// Tally counts the attempts that were made to an endpoint in an hour.
type Tally struct {
	EndpointID string
	// Hour is the whole hour in UTC. An attempt belongs to the hour in which it was
	// started, by the clock of the dispatcher that made it.
	Hour time.Time
	// Succeeded counts the attempts that got a 2xx response.
	Succeeded int64
	// Reasons counts the failed attempts by their reason; nil if there were none.
	Reasons map[FailureReason]int64
	// Duration is the time of all attempts together, Slowest that of the longest.
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

// Average returns how long an attempt took on average; 0 if there was none.
func (t Tally) Average() time.Duration {
	return t.Duration / time.Duration(max(t.Succeeded+t.Failed(), 1))
}

// Add adds the attempts of other to t. The endpoint and the hour of other do not matter.
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

// Tallier is an optional capability of a [Store]. It keeps tallies, so that success,
// latency and failure reasons can be shown without counting the history. A dispatcher
// tallies its attempts if its store is a Tallier; nothing else depends on it.
//
// Purge deletes tallies older than PurgeRequest.Tallies.
type Tallier interface {
	// AddTallies adds the batch to the stored tallies of each endpoint and hour: all of it
	// or, with an error, nothing. An error that leaves open whether it was stored, such as
	// a lost connection, may make some attempts count twice or not at all. Several
	// processes may add to the same hours at once, in batches of any order, and must not
	// deadlock. The endpoints need not exist.
	AddTallies(ctx context.Context, tallies []Tally) error
	// Tallies returns the tallies of the endpoints whose Hour is since or later, ordered
	// by endpoint and then by hour. An hour without attempts has no tally.
	Tallies(ctx context.Context, endpointIDs []string, since time.Time) ([]Tally, error)
}

// tallyRetention is how long tallies are kept: enough for a week in every time zone.
const tallyRetention = 8 * day

// Tallies returns the tallies of the endpoints from the hour of since on, ordered by
// endpoint and then by hour. Attempts of this process count at once, those of other
// processes within a few seconds. Tallies are kept for eight days. A process that is
// killed loses those of its last seconds: they are for charts, the history is exact.
//
// The error is an [errors.ErrUnsupported] if the store is no [Tallier].
func (d *Dispatcher) Tallies(ctx context.Context, since time.Time, endpointIDs ...string) ([]Tally, error) {
	list, err := d.tallies.read(ctx, since.UTC().Truncate(time.Hour), endpointIDs)
	if err != nil {
		return nil, explain(err, "tallies not read")
	}
	return list, nil
}

// tallies holds the attempts of this process that its store does not know of yet.
type tallies struct {
	store Tallier // nil if nothing is tallied

	mu      sync.Mutex
	pending map[tallyKey]*Tally

	// moving is held while pending tallies go to the store and while they are read, so
	// that a reader counts each attempt once. It is locked before mu.
	moving sync.Mutex
}

type tallyKey struct {
	endpointID string
	hour       int64 // Unix time
}

// maxTallies bounds the memory of pending tallies while the store fails. Past it, the
// attempts of further endpoints and hours are not tallied.
const maxTallies = 50_000

func (t *Tally) key() tallyKey { return tallyKey{t.EndpointID, t.Hour.Unix()} }

func byEndpointAndHour(a, b Tally) int {
	return cmp.Or(cmp.Compare(a.EndpointID, b.EndpointID), a.Hour.Compare(b.Hour))
}

// pendingFor returns the pending tally of an endpoint and hour. The caller holds mu.
func (ts *tallies) pendingFor(endpointID string, hour time.Time) *Tally {
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

// count tallies an attempt. A released delivery has none.
func (ts *tallies) count(endpointID string, a *Attempt) {
	if ts.store == nil || a.Number == 0 {
		return
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.pendingFor(endpointID, a.StartedAt.UTC().Truncate(time.Hour))
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

// tallyInterval is how often pending tallies go to the store.
const tallyInterval = 5 * time.Second

// storeTallies moves pending tallies to the store every few seconds until ctx is done.
func (d *Dispatcher) storeTallies(ctx context.Context) {
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

// flushTallies moves the pending tallies to the store, within finishTimeout. The end of a
// run does not cut it off, because that would leave open whether they were stored.
func (d *Dispatcher) flushTallies() error {
	ctx, cancel := context.WithTimeout(context.Background(), finishTimeout)
	defer cancel()
	return d.tallies.flush(ctx)
}

// storeLastTallies moves the tallies that are pending at the end of a run to the store.
func (d *Dispatcher) storeLastTallies() {
	if d.tallies.store == nil {
		return
	}
	if err := d.flushTallies(); err != nil {
		d.log.Error("alotwebhook: the last tallies could not be stored; the charts lack some seconds", "error", err)
	}
}

// flush moves the pending tallies to the store. After an error they are pending again.
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
			ts.pendingFor(t.EndpointID, t.Hour).Add(t)
		}
	}
	return err
}

// read returns the stored and the pending tallies, added up.
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
		t.Reasons = maps.Clone(t.Reasons) // a pending tally goes on counting in its own map
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
