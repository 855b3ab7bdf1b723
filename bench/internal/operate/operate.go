// Package operate measures the operators' pages over a long history of many organizations.
package operate

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/bench/internal/report"
	"github.com/alot/alotwebhook/bench/internal/stores"
	"github.com/alot/alotwebhook/settings"
)

// Config says what there is to look at.
type Config struct {
	Deliveries, Organizations, Views int
	Progress                         func(string)
}

// Measure fills a store and looks at each page Views times.
func Measure(ctx context.Context, name string, c Config) (table report.Table, err error) {
	s, err := stores.New(ctx, name)
	if err != nil {
		return table, err
	}
	defer func() {
		if e := s.Close(); err == nil {
			err = e
		}
	}()
	f := &filler{store: s, Config: c}
	if err := f.fill(ctx); err != nil {
		return table, err
	}
	if err := s.Settle(ctx); err != nil {
		return table, err
	}
	handler, err := settings.NewOperatorPages(f.dispatcher, &settings.OperatorOptions{
		Operator: func(*http.Request) (string, error) { return "bench", nil },
		May:      func(*http.Request, settings.Action) bool { return true },
	})
	if err != nil {
		return table, err
	}
	table = report.Table{Title: name, Columns: []report.Column{
		{Name: "ms", Decimals: 1, Range: true},
	}}
	for _, p := range f.pages() {
		c.Progress(fmt.Sprintf("%s: %s", name, p.what))
		figure, err := look(ctx, handler, p, c.Views)
		if err != nil {
			return table, err
		}
		table.Rows = append(table.Rows, report.Row{Name: p.what, Figures: []*report.Figure{figure}})
	}
	return table, nil
}

// page is a page to look at.
type page struct {
	what, path string
	form       url.Values // nil for a page that is read
	// again is the wait before each view, so that nothing is kept of the view before.
	again time.Duration
}

// pages are those whose cost could grow with what there is.
func (f *filler) pages() []page {
	until := time.Now().UTC()
	since := until.Add(-time.Hour)
	text := func(t time.Time) string { return t.Format("2006-01-02T15:04:05") }
	return []page{
		{what: "overview, kept for 5 s", path: "/"},
		{what: "overview, counted anew", path: "/", again: 5100 * time.Millisecond},
		{what: "search: an event", path: "/search?q=" + f.event},
		{what: "search: a part of a URL", path: "/search?q=hook/77"},
		{what: "endpoints that are failing", path: "/endpoints?failing=yes"},
		{what: "endpoints with a part of a URL", path: "/endpoints?url=hook/77"},
		{what: "deliveries of all", path: "/deliveries"},
		{what: "failed deliveries of all", path: "/deliveries?status=failed"},
		{what: "the audit trail of all", path: "/operations"},
		{what: "an organization's endpoints", path: "/organizations/org_77/"},
		{what: "an organization's history", path: "/organizations/org_77/history"},
		{what: "a dry count of what failed in an hour", path: "/recover", form: url.Values{"since": {text(since)}, "until": {text(until)}, "note": {"to be counted"}}},
	}
}

// look returns how long each of n views took, in milliseconds.
func look(ctx context.Context, h http.Handler, p page, n int) (*report.Figure, error) {
	if p.again > 0 {
		n = min(n, 5)
	}
	var took []float64
	for range n {
		time.Sleep(p.again)
		r := httptest.NewRequest(http.MethodGet, p.path, nil).WithContext(ctx)
		if p.form != nil {
			r = httptest.NewRequest(http.MethodPost, p.path, strings.NewReader(p.form.Encode())).WithContext(ctx)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		w := httptest.NewRecorder()
		began := time.Now()
		h.ServeHTTP(w, r)
		took = append(took, float64(time.Since(began).Microseconds())/1000)
		if w.Code != http.StatusOK && w.Code != http.StatusSeeOther {
			return nil, fmt.Errorf("%s: status %d", p.path, w.Code)
		}
	}
	return report.Of(took...), nil
}

// filler fills a store: each organization has an endpoint, and of a hundred deliveries one has
// failed and two are unfinished.
type filler struct {
	Config
	store      *stores.Store
	dispatcher *alotwebhook.Dispatcher
	event      string // the id of one
}

func organization(i int) string { return fmt.Sprintf("org_%d", i) }

func (f *filler) fill(ctx context.Context) (err error) {
	f.dispatcher, err = alotwebhook.NewDispatcher(f.store.Store, &alotwebhook.Config{
		ChangesPerMinute: -1, MaxEndpoints: -1, AllowHTTP: true,
	})
	if err != nil {
		return err
	}
	f.Progress("creating endpoints")
	var ids []string
	for i := range f.Organizations {
		e, err := f.dispatcher.CreateEndpoint(ctx, alotwebhook.Endpoint{
			OrganizationID: organization(i), URL: fmt.Sprintf("https://example.com/hook/%d", i),
			EventTypes: []string{alotwebhook.EventCandidateInvited}, Disabled: i%100 == 99,
		})
		if err != nil {
			return err
		}
		ids = append(ids, e.ID)
	}
	f.Progress("storing deliveries")
	for stored := 0; stored < f.Deliveries; {
		n := min(1000, f.Deliveries-stored)
		if err := f.emit(ctx, stored, n); err != nil {
			return err
		}
		if stored += n; stored > f.Deliveries-f.Deliveries/50 { // the last stay unfinished
			continue
		}
		if err := f.finish(ctx); err != nil {
			return err
		}
	}
	return f.tally(ctx, ids)
}

func (f *filler) emit(ctx context.Context, from, n int) error {
	events := make([]alotwebhook.Event, n)
	for i := range events {
		var err error
		events[i], err = alotwebhook.NewEvent(alotwebhook.EventCandidateInvited, organization((from+i)%f.Organizations), map[string]int{"n": from + i})
		if err != nil {
			return err
		}
	}
	f.event = events[0].ID
	return f.dispatcher.Emit(ctx, events...)
}

// finish records outcomes of all that is due.
func (f *filler) finish(ctx context.Context) error {
	for {
		got, err := f.store.Claim(ctx, alotwebhook.ClaimRequest{Limit: 1000, PerEndpoint: 32, Lease: time.Minute})
		if err != nil || len(got.Deliveries) == 0 {
			return err
		}
		outcomes := make([]alotwebhook.Outcome, len(got.Deliveries))
		for i, c := range got.Deliveries {
			o := alotwebhook.Outcome{
				DeliveryID: c.DeliveryID, Token: c.Token, State: alotwebhook.StateDelivered,
				Attempt: alotwebhook.Attempt{Number: c.Attempt, StartedAt: time.Now().UTC(), Duration: 20 * time.Millisecond, StatusCode: 200},
			}
			if i%100 == 0 {
				o.State, o.Attempt.StatusCode, o.Attempt.Reason = alotwebhook.StateFailed, 503, alotwebhook.ReasonStatus
			}
			outcomes[i] = o
		}
		if _, err := f.store.Finish(ctx, outcomes); err != nil {
			return err
		}
	}
}

// tally stores what the attempts of a day would have been.
func (f *filler) tally(ctx context.Context, ids []string) error {
	tallier, ok := f.store.Store.(alotwebhook.Tallier)
	if !ok {
		return nil
	}
	f.Progress("storing tallies")
	hour := time.Now().UTC().Truncate(time.Hour)
	for h := range 24 {
		for first := 0; first < len(ids); first += 1000 {
			var batch []alotwebhook.Tally
			for _, id := range ids[first:min(first+1000, len(ids))] {
				batch = append(batch, alotwebhook.Tally{
					EndpointID: id, Hour: hour.Add(-time.Duration(h) * time.Hour), Succeeded: 4, Duration: time.Second, Slowest: time.Second,
					Reasons: map[alotwebhook.FailureReason]int64{alotwebhook.ReasonStatus: 1},
				})
			}
			if err := tallier.AddTallies(ctx, batch); err != nil {
				return err
			}
		}
	}
	return nil
}
