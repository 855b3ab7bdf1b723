// Package isolation measures how long healthy customers wait for their events while the
// receivers of others are bad.
package isolation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/alot/alotwebhook/bench/internal/report"
	"github.com/alot/alotwebhook/bench/internal/stores"
)

// row says whose receivers are bad, and how.
type row struct {
	name          string
	organizations int // bad ones
	endpoints     int // of each
	backlog       int // events of each organization
	behave        func(http.ResponseWriter, *http.Request)
}

// after responds after so long, or when the sender gives up.
func after(d time.Duration, status int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-time.After(d):
			w.WriteHeader(status)
		case <-r.Context().Done():
		}
	}
}

// rows are all rows.
var rows = []row{
	{"nobody", 0, 0, 0, nil},
	{"8 endpoints of one respond 200 after 14 s", 1, 8, 400, after(14*time.Second, 200)},
	{"50 endpoints of one respond 200 after 14 s", 1, 50, 200, after(14*time.Second, 200)},
	{"50 endpoints of one hang", 1, 50, 200, after(time.Hour, 200)},
	{"300 endpoints of one hang", 1, 300, 100, after(time.Hour, 200)},
	{"50 organizations of 100 hang", 50, 1, 200, after(time.Hour, 200)},
	{"300 organizations of 350 hang", 300, 1, 50, after(time.Hour, 200)},
	{"50 organizations of 100 respond 503 after 5 s", 50, 1, 200, after(5*time.Second, 503)},
}

// Rows returns the names of all rows.
func Rows() []string {
	var names []string
	for _, r := range rows {
		names = append(names, r.name)
	}
	return names
}

// Measure gives each row whose name holds the text so many seconds of events, on a store that
// [stores.New] knows. It calls progress before each.
func Measure(ctx context.Context, store string, seconds int, only string, progress func(string)) (report.Table, error) {
	t := report.Table{Title: store + ", ms; bad:", Columns: []report.Column{
		{Name: "p50", Decimals: 2}, {Name: "p99", Decimals: 2}, {Name: "slowest", Decimals: 2}, {Name: "of"}, {Name: "not delivered"},
	}}
	for _, r := range rows {
		if !strings.Contains(r.name, only) {
			continue
		}
		progress(store + ", bad: " + r.name)
		took, missing, err := measure(ctx, store, r, seconds)
		if err != nil {
			return t, fmt.Errorf("%s, %s: %w", store, r.name, err)
		}
		t.Rows = append(t.Rows, report.Row{Name: r.name, Figures: []*report.Figure{
			at(took, 0.50), at(took, 0.99), at(took, 1), {Median: float64(len(took))}, {Median: float64(missing)},
		}})
	}
	return t, nil
}

// at returns the duration that a share of them does not pass.
func at(sorted []time.Duration, share float64) *report.Figure {
	d := sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
	return report.Of(float64(d) / float64(time.Millisecond))
}

// measure returns how long each healthy event took, sorted, and how many did not arrive.
func measure(ctx context.Context, name string, r row, seconds int) (took []time.Duration, missing int, err error) {
	if !slices.Contains(stores.Names(), name) {
		return nil, 0, fmt.Errorf("unknown store; take of %s", strings.Join(stores.Names(), ", "))
	}
	store, err := stores.New(ctx, name)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	c, err := newCrowd(ctx, store, r)
	if err != nil {
		return nil, 0, err
	}
	defer c.close()
	emitted, err := c.emit(ctx, seconds)
	if err != nil {
		return nil, 0, err
	}
	end := time.Now()
	for id, at := range emitted {
		arrived, ok := c.arrived(id)
		if !ok {
			missing++
		}
		took = append(took, cmp.Or(arrived, end).Sub(at))
	}
	slices.Sort(took)
	return took, missing, nil
}
