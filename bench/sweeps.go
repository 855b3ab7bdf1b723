package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/alot/alotwebhook/bench/internal/deliver"
	"github.com/alot/alotwebhook/bench/internal/plot"
	"github.com/alot/alotwebhook/bench/internal/report"
)

// sweep shows how the cost of a delivery changes with one number.
type sweep struct {
	name, title, about string
	x                  string // the label of the axis
	values             []int
	quick              []int
	linear             bool     // whether the axis is
	stores             []string // nil stands for all
	// entry returns the dispatchers, without a name, and the load to be measured at a value.
	entry func(l deliver.Load, store string, value int) (deliver.Dispatchers, deliver.Load)
}

var databases = []string{"sqlite", "postgres"}

var backlog = sweep{
	name: "backlog", title: "Over a backlog",
	about: "The deliveries are to 100 endpoints, out of as many as are queued.",
	x:     "deliveries queued", values: []int{50_000, 1_000_000, 5_000_000}, quick: []int{1000, 3000},
	stores: databases,
	entry: func(l deliver.Load, store string, v int) (deliver.Dispatchers, deliver.Load) {
		l.Deliveries = min(l.Deliveries, v)
		return deliver.Dispatchers{Store: store, Endpoints: 100, Backlog: v, Processes: 1}, l
	},
}

var endpoints = sweep{
	name: "endpoints", title: "With more endpoints",
	about: "Each endpoint is of an organization of its own, and the deliveries are to all of them in turns.",
	x:     "endpoints", values: []int{10, 100, 1000, 10_000, 100_000}, quick: []int{10, 100},
	entry: func(l deliver.Load, store string, v int) (deliver.Dispatchers, deliver.Load) {
		l.Deliveries = max(l.Deliveries, v)
		return deliver.Dispatchers{Store: store, Endpoints: v, Processes: processesOf(store)}, l
	},
}

var idle = sweep{
	name: "idle", title: "With more endpoints that have nothing to do",
	about: "Ten endpoints get all deliveries; the others get none.",
	x:     "endpoints, of which ten have work", values: []int{10, 1000, 100_000}, quick: []int{10, 100},
	entry: func(l deliver.Load, store string, v int) (deliver.Dispatchers, deliver.Load) {
		return deliver.Dispatchers{Store: store, Endpoints: v, Active: 10, Processes: processesOf(store)}, l
	},
}

var organizations = sweep{
	name: "organizations", title: "With more organizations",
	about: "1,000 endpoints belong to as many organizations, in equal parts; each event goes to one of them.",
	x:     "organizations of 1,000 endpoints", values: []int{1, 10, 100, 1000}, quick: []int{1, 100},
	entry: func(l deliver.Load, store string, v int) (deliver.Dispatchers, deliver.Load) {
		return deliver.Dispatchers{Store: store, Endpoints: min(1000, l.Deliveries), Organizations: v, Processes: processesOf(store)}, l
	},
}

var processes = sweep{
	name: "processes", title: "With more processes",
	about: "Processes share one database and the same number of requests in flight; the deliveries are to 200 endpoints. Sender, receiver and " +
		"database have the same processors, so that more processes cannot send more: the cost of each delivery is what should not grow. The clock " +
		"starts after as many deliveries as are measured, when the processes have shared out the work.",
	x: "processes", values: []int{1, 2, 4, 8}, quick: []int{1, 2}, linear: true,
	stores: databases,
	entry: func(l deliver.Load, store string, v int) (deliver.Dispatchers, deliver.Load) {
		return deliver.Dispatchers{Store: store, Endpoints: 200, Processes: v, Warm: l.Deliveries, Backlog: 4 * l.Deliveries}, l
	},
}

// fanOutEndpoints is how many endpoints there are for every fan-out, so that their number does
// not change with it.
const fanOutEndpoints = 10_000

var fanOut = sweep{
	name: "fanout", title: "With more deliveries for each event",
	about: "10,000 endpoints belong to organizations of that many each, and each event goes to all endpoints of its organization. With fewer " +
		"organizations the same deliveries come from fewer events.",
	x: "deliveries for each event", values: []int{1, 10, 100, 1000, 10_000}, quick: []int{1, 100},
	entry: func(l deliver.Load, store string, v int) (deliver.Dispatchers, deliver.Load) {
		n := min(fanOutEndpoints, l.Deliveries)
		n -= n % v
		l.Deliveries -= l.Deliveries % v
		return deliver.Dispatchers{Store: store, Endpoints: n, Organizations: n / v, FanOut: true, Processes: processesOf(store)}, l
	},
}

var payload = sweep{
	name: "payload", title: "With larger payloads",
	about: "The deliveries are to 100 endpoints. They are fewer where the payloads are large, and the raw loop sends the same.",
	x:     "bytes of a payload", values: []int{300, 3000, 30_000, 256 << 10}, quick: []int{300, 30_000},
	entry: func(l deliver.Load, store string, v int) (deliver.Dispatchers, deliver.Load) {
		const most = 1 << 30 // bytes of a turn
		l.Payload = v
		l.Deliveries = max(100, min(l.Deliveries, most/v))
		return deliver.Dispatchers{Store: store, Endpoints: 100, Processes: processesOf(store)}, l
	},
}

// point is one value of one store.
type point struct {
	store    string
	value    int
	measured deliver.Measured
}

func (s sweep) measure(ctx context.Context, o options) (report.Section, error) {
	values := s.values
	if o.quick {
		values = s.quick
	}
	if o.most > 0 {
		values = slices.DeleteFunc(slices.Clone(values), func(v int) bool { return v > o.most })
	}
	var points []point
	var entries []deliver.Entry
	for _, store := range o.stores {
		if s.stores != nil && !slices.Contains(s.stores, store) {
			continue
		}
		for _, v := range values {
			c, l := s.entry(o.load(), store, v)
			entries = append(entries, deliver.Entry{Contender: c.Contender(fmt.Sprintf("%s, %s", title(store), plot.Number(float64(v)))), Load: l})
			points = append(points, point{store: store, value: v})
		}
	}
	all, err := o.rounds.Measure(ctx, entries)
	if err != nil {
		return report.Section{}, err
	}
	for i := range points {
		points[i].measured = all[i]
	}
	return report.Section{
		Title:  s.title,
		About:  fmt.Sprintf("%s About %d deliveries in each turn; %d requests in flight; %d rounds.", s.about, o.deliveries, o.inFlight, o.rounds.Rounds),
		Tables: []report.Table{deliver.Table(s.x, all)},
		Plots:  []plot.Figure{s.plot(points)},
		Notes:  o.rounds.Notes(all),
	}, nil
}

// curve is a line of a panel: a value of the results of one store.
type curve struct {
	name, store string
	value       func(deliver.Measured) *report.Figure
}

func of(value func(deliver.Result) float64) func(deliver.Measured) *report.Figure {
	return func(m deliver.Measured) *report.Figure { return m.Of(value) }
}

func (s sweep) plot(points []point) plot.Figure {
	return plot.Figure{Name: s.name, Title: s.title, Panels: []plot.Panel{
		s.panel("Speed", "deliveries/s as a share of the raw loop's", points, []curve{
			{"PostgreSQL", "postgres", deliver.Measured.OfRaw},
			{"SQLite", "sqlite", deliver.Measured.OfRaw},
			{"memory", "memory", deliver.Measured.OfRaw},
		}),
		s.panel("Processor", "µs for a delivery", points, []curve{
			{"PostgreSQL", "postgres", of(deliver.Processor)},
			{"SQLite", "sqlite", of(deliver.Dispatcher)},
			{"memory", "memory", of(deliver.Dispatcher)},
			{"PostgreSQL, the server alone", "postgres", of(deliver.Server)},
			{"PostgreSQL, the server, to store", "postgres", of(deliver.StoredBy)},
		}),
		s.panel("Write-ahead log", "bytes for a delivery", points, []curve{
			{"PostgreSQL", "postgres", of(deliver.WAL)},
			{"PostgreSQL, the server, to store", "postgres", of(deliver.StoredWAL)},
		}),
	}}
}

func (s sweep) panel(title, y string, points []point, curves []curve) plot.Panel {
	p := plot.Panel{Title: title, X: s.x, Y: y, LogX: !s.linear}
	names, of := []string{}, map[string][]plot.Point{}
	for _, c := range curves {
		names = append(names, c.name)
		for _, pt := range points {
			if f := c.value(pt.measured); pt.store == c.store && f != nil {
				of[c.name] = append(of[c.name], plot.Point{X: float64(pt.value), Y: f.Median, From: slices.Min(f.Rounds), To: slices.Max(f.Rounds)})
			}
		}
	}
	p.Lines = lines(names, of)
	return p
}
