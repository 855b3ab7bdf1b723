// Package latency measures the time from the call of Emit until the receiver sees the request,
// on an idle system, and how much of it passes after Emit has returned.
package latency

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/bench/internal/child"
	"github.com/alot/alotwebhook/bench/internal/report"
	"github.com/alot/alotwebhook/bench/internal/stores"
)

// patience is how long an event may take before it counts as lost.
const patience = 10 * time.Minute

const role = "latency"

// Roles are the roles of the processes that this package starts.
func Roles() child.Roles { return child.Roles{role: deliver} }

// Case is one way from emit to receiver.
type Case struct {
	Name, Store string
	// Across is set if another process than the emitting one delivers, and Notify if the
	// two notify each other.
	Across, Notify bool
}

// Cases are all ways.
func Cases() []Case {
	return []Case{
		{"memory, one process", "memory", false, false},
		{"sqlite, one process", "sqlite", false, false},
		{"sqlite, across processes", "sqlite", true, false},
		{"postgres, one process", "postgres", false, false},
		{"postgres, across processes", "postgres", true, false},
		{"postgres, across, notified", "postgres", true, true},
	}
}

// deliver is the role of the process that delivers, with the default configuration.
func deliver(ctx context.Context, text json.RawMessage) (child.Handler, error) {
	var place stores.Place
	if err := json.Unmarshal(text, &place); err != nil {
		return nil, err
	}
	store, err := stores.Open(ctx, place, func() error { return nil })
	if err != nil {
		return nil, err
	}
	d, err := newDispatcher(store)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	return func(context.Context, string, json.RawMessage) (any, error) {
		cancel() // there is one method only: stop
		return nil, errors.Join(<-ended, store.Close())
	}, nil
}

func newDispatcher(store *stores.Store) (*alotwebhook.Dispatcher, error) {
	return alotwebhook.NewDispatcher(store.Store, &alotwebhook.Config{
		AllowHTTP: true,
		AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Logger:    slog.New(slog.DiscardHandler),
	})
}

// Measure measures n emits of each case, and calls progress before each.
func Measure(ctx context.Context, cases []Case, n int, progress func(string)) (report.Table, error) {
	t := report.Table{Title: "from Emit to the receiver, ms", Columns: []report.Column{
		{Name: "p50", Decimals: 2}, {Name: "p99", Decimals: 2}, {Name: "slowest", Decimals: 2},
		{Name: "of that, Emit p50", Decimals: 2}, {Name: "p99", Decimals: 2},
		{Name: "after Emit p50", Decimals: 2}, {Name: "p99", Decimals: 2},
	}}
	for _, c := range cases {
		progress(c.Name)
		took, err := c.measure(ctx, n)
		if err != nil {
			return t, fmt.Errorf("%s: %w", c.Name, err)
		}
		whole, emit, after := took.sorted(whole), took.sorted(emit), took.sorted(after)
		t.Rows = append(t.Rows, report.Row{Name: c.Name, Figures: []*report.Figure{
			at(whole, 0.50), at(whole, 0.99), at(whole, 1), at(emit, 0.50), at(emit, 0.99), at(after, 0.50), at(after, 0.99),
		}})
	}
	return t, nil
}

// journey is when Emit was called, when it returned, and when the receiver saw the request,
// which may be before Emit has returned.
type journey struct{ called, returned, arrived time.Time }

func whole(j journey) time.Duration { return j.arrived.Sub(j.called) }
func emit(j journey) time.Duration  { return j.returned.Sub(j.called) }
func after(j journey) time.Duration { return max(j.arrived.Sub(j.returned), 0) }

type journeys []journey

// sorted returns a part of each journey, the shortest first.
func (all journeys) sorted(part func(journey) time.Duration) []time.Duration {
	took := make([]time.Duration, len(all))
	for i, j := range all {
		took[i] = part(j)
	}
	slices.Sort(took)
	return took
}

// at returns the quantile, in ms.
func at(took []time.Duration, share float64) *report.Figure {
	d := took[min(len(took)-1, int(share*float64(len(took))))]
	return report.Of(float64(d) / float64(time.Millisecond))
}

func (c Case) measure(ctx context.Context, n int) (took journeys, err error) {
	store, err := stores.New(ctx, c.Store)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if !c.Notify {
		return emitAndWait(ctx, store, c.Across, n)
	}
	place := store.Place
	place.Notify = true
	notifying, err := stores.Open(ctx, place, func() error { return nil })
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, notifying.Close()) }()
	return emitAndWait(ctx, notifying, c.Across, n)
}

func emitAndWait(ctx context.Context, store *stores.Store, across bool, n int) (journeys, error) {
	arrived := make(chan time.Time, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- time.Now()
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()
	d, err := newDispatcher(store)
	if err != nil {
		return nil, err
	}
	_, err = d.CreateEndpoint(ctx, alotwebhook.Endpoint{
		OrganizationID: "org_1", URL: receiver.URL + "/hook", EventTypes: []string{alotwebhook.EventCandidateCompleted},
	})
	if err != nil {
		return nil, err
	}
	stop, err := start(ctx, d, store.Place, across)
	if err != nil {
		return nil, err
	}
	defer stop()
	var took journeys
	for i := range n + 1 {
		time.Sleep(50*time.Millisecond + rand.N(200*time.Millisecond))
		event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, "org_1", json.RawMessage(`{"score":82}`))
		if err != nil {
			return nil, err
		}
		began := time.Now()
		if err := d.Emit(ctx, event); err != nil {
			return nil, err
		}
		returned := time.Now()
		select {
		case at := <-arrived:
			if i > 0 { // the first emit waits until the process has started
				took = append(took, journey{began, returned, at})
			}
		case <-time.After(patience):
			return nil, fmt.Errorf("an event did not arrive within %v", patience)
		}
	}
	return took, nil
}

// start runs the dispatcher in this process, or another one in a child process.
func start(ctx context.Context, d *alotwebhook.Dispatcher, place stores.Place, across bool) (stop func(), err error) {
	if !across {
		ctx, cancel := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() { defer close(ended); _ = d.Run(ctx) }()
		return func() { cancel(); <-ended }, nil
	}
	process, err := child.Start(ctx, role, place)
	if err != nil {
		return nil, err
	}
	return func() {
		_ = process.Call(ctx, "stop", nil, nil)
		process.Stop()
	}, nil
}
