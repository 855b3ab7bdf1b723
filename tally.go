package alotwebhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/alot/alotwebhook/internal/tally"
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
	since = since.UTC().Truncate(time.Hour)
	list, err := d.tallies.Read(func() ([]Tally, error) {
		if d.tallier == nil {
			return nil, fmt.Errorf("the store keeps none: %w", errors.ErrUnsupported)
		}
		return d.tallier.Tallies(ctx, endpointIDs, since)
	}, func(t Tally) bool { return slices.Contains(endpointIDs, t.EndpointID) && !t.Hour.Before(since) })
	return list, explain(err, "tallies not read")
}

// hour is what an attempt is tallied by.
type hour struct {
	endpointID string
	begins     int64 // Unix time
}

func (d *Dispatcher) newTallies() *tally.Sums[hour, Tally] {
	return tally.New(tally.Config[hour, Tally]{
		Key: func(t Tally) hour { return hour{t.EndpointID, t.Hour.Unix()} },
		New: func(h hour) Tally { return Tally{EndpointID: h.endpointID, Hour: time.Unix(h.begins, 0).UTC()} },
		Add: (*Tally).Add,
		Order: func(a, b Tally) int {
			return cmp.Or(cmp.Compare(a.EndpointID, b.EndpointID), a.Hour.Compare(b.Hour))
		},
		Store: func(ctx context.Context, batch []Tally) error { return d.tallier.AddTallies(ctx, batch) },
		Log:   d.log,
	})
}

// tally counts an attempt, if the store is a [Tallier]. A released delivery has none.
func (d *Dispatcher) tally(endpointID string, a *Attempt) {
	if d.tallier == nil || a.Number == 0 {
		return
	}
	d.tallies.Count(hour{endpointID, a.StartedAt.Truncate(time.Hour).Unix()}, func(t *Tally) {
		one := Tally{Duration: a.Duration, Slowest: a.Duration}
		if a.Reason == "" {
			one.Succeeded = 1
		} else {
			one.Reasons = map[FailureReason]int64{a.Reason: 1}
		}
		t.Add(one)
	})
}
