package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/alot/alotwebhook/bench/internal/deliver"
	"github.com/alot/alotwebhook/bench/internal/emit"
	"github.com/alot/alotwebhook/bench/internal/isolation"
	"github.com/alot/alotwebhook/bench/internal/latency"
	"github.com/alot/alotwebhook/bench/internal/load"
	"github.com/alot/alotwebhook/bench/internal/operate"
	"github.com/alot/alotwebhook/bench/internal/plot"
	"github.com/alot/alotwebhook/bench/internal/report"
	"github.com/alot/alotwebhook/bench/internal/verify"
)

// section is one subject. measure returns tables and plots; the name and the run are added.
type section struct {
	name    string
	measure func(context.Context, options) (report.Section, error)
}

// sections are measured in this order. A new one needs one line here and, if it starts processes,
// their roles in roles.
var sections = []section{
	{"deliver", delivering},
	{"backlog", backlog.measure},
	{"endpoints", endpoints.measure},
	{"idle", idle.measure},
	{"organizations", organizations.measure},
	{"processes", processes.measure},
	{"fanout", fanOut.measure},
	{"payload", payload.measure},
	{"emit", emitting},
	{"snapshot", snapshot},
	{"latency", fromEmitToReceiver},
	{"isolation", isolated},
	{"operators", operating},
	{"verify", verifying},
	{"steady", steady},
}

func sectionNames() []string {
	var names []string
	for _, s := range sections {
		names = append(names, s.name)
	}
	return names
}

// payloadSize is the length of a payload where nothing else is said, in bytes.
const payloadSize = 300

func (o options) load() deliver.Load {
	return deliver.Load{Deliveries: o.deliveries, InFlight: o.inFlight, Payload: payloadSize}
}

// processesOf returns in how many processes a store is measured: one in memory can only be in this
// one.
func processesOf(store string) int {
	if store == "memory" {
		return 0
	}
	return 1
}

// title returns the name of a store for people.
func title(store string) string {
	return map[string]string{"memory": "memory", "sqlite": "SQLite", "postgres": "PostgreSQL"}[store]
}

// loadText describes the load.
func (o options) loadText() string {
	return fmt.Sprintf("%d requests in flight, payloads of %d bytes, %d rounds", o.inFlight, payloadSize, o.rounds.Rounds)
}

func delivering(ctx context.Context, o options) (report.Section, error) {
	var entries []deliver.Entry
	numbers := []int{10, 1000}
	if o.quick {
		numbers = []int{10, 100}
	}
	for _, store := range o.stores {
		for _, n := range numbers {
			c := deliver.Dispatchers{Store: store, Endpoints: n, Processes: processesOf(store)}
			entries = append(entries, deliver.Entry{Contender: c.Contender(fmt.Sprintf("%s, %d endpoints", title(store), n)), Load: o.load()})
		}
	}
	if slices.Contains(o.stores, "postgres") {
		entries = append(entries, deliver.Entry{Contender: deliver.River(), Load: o.load()})
	}
	all, err := o.rounds.Measure(ctx, entries)
	if err != nil {
		return report.Section{}, err
	}
	return report.Section{
		Title: "Delivering",
		About: fmt.Sprintf("Each contender delivers the same %d signed events, stored before the clock starts, to a local receiver "+
			"that responds with 204. The raw loop is `http.Client.Do` in as many goroutines as there are requests in flight; it signs and sends, "+
			"and stores nothing. The library has everything on: signatures, the check of addresses, limits, turns between endpoints, and the "+
			"history. River is tuned, and makes the same requests without any of that. Every commit is synced. Costs are those of one delivery: "+
			"processor time of each process, and bytes of PostgreSQL's write-ahead log while sending and, before, while storing. %s.", o.deliveries, o.loadText()),
		Tables: []report.Table{deliver.Table("", all)},
		Notes:  o.rounds.Notes(all),
	}, nil
}

func snapshot(ctx context.Context, o options) (report.Section, error) {
	l := o.load()
	l.Deliveries *= 10
	var entries []deliver.Entry
	for _, store := range o.stores {
		for _, d := range []deliver.Disturbance{{}, deliver.Pinned, deliver.Read} {
			if store == "memory" || store != "postgres" && d.Name == deliver.Pinned.Name {
				continue
			}
			c := deliver.Dispatchers{Store: store, Endpoints: 10, Processes: 1, Disturbance: d}
			entries = append(entries, deliver.Entry{Contender: c.Contender(title(store) + d.Name), Load: l})
		}
	}
	all, err := o.rounds.Measure(ctx, entries)
	if err != nil {
		return report.Section{}, err
	}
	return report.Section{
		Title: "Under a backup, and beside readers",
		About: fmt.Sprintf("%d deliveries to 10 endpoints, while a transaction keeps an old snapshot, as a backup does (pinned), and while somebody "+
			"pages through the history, four pages a second (read). %s.", l.Deliveries, o.loadText()),
		Tables: []report.Table{deliver.Table("", all)},
		Notes:  o.rounds.Notes(all),
	}, nil
}

func emitting(ctx context.Context, o options) (report.Section, error) {
	ctx, cancel := context.WithTimeout(ctx, o.rounds.Limit)
	defer cancel()
	c := emit.Config{Transactions: 3000, Rounds: o.rounds.Rounds, Batch: 1000, Organizations: 200, Drivers: emit.Drivers()}
	if o.quick {
		c.Transactions, c.Batch, c.Organizations = 20, 20, 3
	}
	for _, store := range o.stores {
		if slices.Contains(emit.Stores(), store) {
			c.Stores = append(c.Stores, store)
		}
	}
	tables, err := emit.Measure(ctx, c, o.rounds.Progress)
	return report.Section{
		Title: "Emitting",
		About: "A host inserts a business row in a transaction of its own, alone, and with one event beside it; River inserts a job instead. " +
			"What such a transaction costs more than that of the row alone is the price, in µs of time and of the processor: on PostgreSQL that " +
			"of the server, on SQLite that of the process. Many events at once cost a fraction of that each. " + c.Text() + ".",
		Tables: tables,
	}, err
}

func fromEmitToReceiver(ctx context.Context, o options) (report.Section, error) {
	n := 300
	if o.quick {
		n = 3
	}
	ctx, cancel := context.WithTimeout(ctx, o.rounds.Limit)
	defer cancel()
	cases := slices.DeleteFunc(latency.Cases(), func(c latency.Case) bool { return !slices.Contains(o.stores, c.Store) })
	table, err := latency.Measure(ctx, cases, n, o.rounds.Progress)
	return report.Section{
		Title: "From emit to receiver",
		About: fmt.Sprintf("From the call of `Emit` until the receiver sees the request, on an idle system with the default configuration: "+
			"%d emits one at a time, at random instants. Across processes the dispatcher is in another one than the emit, and polls every 200 ms "+
			"or is notified.", n),
		Tables: []report.Table{table},
	}, err
}

func isolated(ctx context.Context, o options) (report.Section, error) {
	ctx, cancel := context.WithTimeout(ctx, o.rounds.Limit)
	defer cancel()
	seconds, only := 20, ""
	if o.quick {
		seconds, only = 1, "nobody"
	}
	s := report.Section{
		Title: "While the receivers of others are bad",
		About: fmt.Sprintf("How long 50 healthy organizations wait for their 100 events a second, while others have a backlog for receivers that "+
			"hang, respond slowly or fail: %d s each, with the default configuration.", seconds),
	}
	for _, store := range o.stores {
		table, err := isolation.Measure(ctx, store, seconds, only, o.rounds.Progress)
		if err != nil {
			return s, err
		}
		s.Tables = append(s.Tables, table)
	}
	return s, nil
}

// operating looks at the operators' pages, and then delivers while somebody looks.
func operating(ctx context.Context, o options) (report.Section, error) {
	limited, cancel := context.WithTimeout(ctx, o.rounds.Limit)
	defer cancel()
	c := operate.Config{Deliveries: 1_000_000, Organizations: 10_000, Views: 21, Progress: o.rounds.Progress}
	if o.quick {
		c.Deliveries, c.Organizations, c.Views = 1000, 100, 1
	}
	s := report.Section{
		Title: "The operators' pages",
		About: fmt.Sprintf("How long each page takes, in ms of %d views, over %d deliveries (one of a hundred failed, two unfinished), %d organizations "+
			"with an endpoint each and the tallies of a day; and what it costs those who deliver that somebody looks at the overview all the time. %s.",
			c.Views, c.Deliveries, c.Organizations, o.loadText()),
	}
	var entries []deliver.Entry
	for _, store := range o.stores {
		if store == "memory" {
			continue
		}
		table, err := operate.Measure(limited, store, c)
		if err != nil {
			return s, err
		}
		table.Title = title(store)
		s.Tables = append(s.Tables, table)
		for _, d := range []deliver.Disturbance{{}, deliver.Overseen} {
			l := o.load()
			l.Deliveries *= 5
			w := deliver.Dispatchers{Store: store, Endpoints: 1000, Processes: 1, Disturbance: d}
			entries = append(entries, deliver.Entry{Contender: w.Contender(title(store) + d.Name), Load: l})
		}
	}
	all, err := o.rounds.Measure(ctx, entries)
	if err != nil {
		return s, err
	}
	s.Tables, s.Notes = append(s.Tables, deliver.Table("", all)), o.rounds.Notes(all)
	return s, nil
}

func verifying(_ context.Context, o options) (report.Section, error) {
	rounds, turn := 15, 40*time.Millisecond
	if o.quick {
		rounds, turn = 1, time.Millisecond
	}
	tables, err := verify.Measure(verify.Sizes(), rounds, turn)
	return report.Section{
		Title: "Verifying",
		About: "The time of a call in relation to the bare `crypto/hmac` that one would write by hand; the body is in memory, all take turns on " +
			"one processor. In the second table three of the allocations are the request's. Ours refuses a key that stands twice, where " +
			"`encoding/json` takes the last.",
		Tables: tables,
	}, err
}

// steady gives each database the same load for an hour: something that grows all that time would
// grow for ever.
func steady(ctx context.Context, o options) (report.Section, error) {
	s := report.Section{
		Title: "Under steady load",
		About: fmt.Sprintf("%v of steady load on each database, the host's own transactions included, with healthy receivers: dead rows, "+
			"tables, indexes and memory must not grow. `go run ./bench/soak` does the same with receivers that hang, and with disturbances.", o.steady),
	}
	for _, store := range o.stores {
		if store == "memory" {
			continue
		}
		result, err := load.Run(ctx, load.Config{Store: store, Length: o.steady, Progress: o.rounds.Progress})
		if err != nil {
			return s, fmt.Errorf("%s: %w", store, err)
		}
		s.Tables = append(s.Tables, result.Table())
		s.Plots = append(s.Plots, result.Plots("steady-"+store)...)
		s.Notes = append(s.Notes, result.Notes()...)
		if result.Missing > 0 {
			return s, fmt.Errorf("%s: %d deliveries did not arrive", store, result.Missing)
		}
	}
	return s, nil
}

// lines returns one line for each name, in the order of the names.
func lines(names []string, points map[string][]plot.Point) []plot.Line {
	var all []plot.Line
	for _, name := range names {
		if len(points[name]) > 0 {
			all = append(all, plot.Line{Name: name, Points: points[name]})
		}
	}
	return all
}
