// Package emit measures what an event costs the host that emits it, beside River.
package emit

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/bench/internal/report"
)

// Config says what is measured.
type Config struct {
	// Transactions of each contender in each of the Rounds; at least 1 of both.
	Transactions, Rounds int
	// Batch is how many events are emitted at once; 0 leaves that out.
	Batch int
	// Organizations have an endpoint each; at least 1.
	Organizations int
	// Stores are some of [Stores], and Drivers some of [Drivers]: the host's own drivers
	// for PostgreSQL.
	Stores, Drivers []string
}

// Stores returns the stores that can be measured.
func Stores() []string { return []string{"postgres", "sqlite"} }

// Drivers returns the drivers for PostgreSQL.
func Drivers() []string { return []string{"pgx", "pq"} }

// Text describes the load.
func (o Config) Text() string {
	return fmt.Sprintf("%d transactions each in each of %d rounds, %d organizations, payloads of %d bytes",
		o.Transactions, o.Rounds, o.Organizations, payloadSize)
}

// Measure returns a table for each group of contenders. It calls progress before each.
func Measure(ctx context.Context, o Config, progress func(string)) ([]report.Table, error) {
	var tables []report.Table
	for _, store := range o.Stores {
		open := openSQLite
		if store == "postgres" {
			open = openPostgres
		}
		some, err := measureStore(ctx, o, open, progress)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", store, err)
		}
		tables = append(tables, some...)
	}
	return tables, nil
}

func measureStore(ctx context.Context, o Config, open func(context.Context, Config) (*subject, error), progress func(string)) (tables []report.Table, err error) {
	s, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, g := range s.groups {
		progress(g.title)
		results, err := measure(ctx, o, s, g)
		if err != nil {
			return nil, err
		}
		tables = append(tables, g.table(results))
	}
	return tables, nil
}

// subject is a database with a store in it.
type subject struct {
	groups []group
	events func(n int) ([]alotwebhook.Event, error)
	cpu    func() (time.Duration, error) // the processor time of the database so far
	close  func() error
}

// group has the contenders that are compared with each other.
type group struct {
	title      string
	contenders []contender // the last one is River
	size       int         // how many events one call emits
	base       bool        // the first contender is the business row alone
}

// contender is one way to emit.
type contender struct {
	name string
	emitter
}

// emitter executes one transaction, in which it emits the events.
type emitter func(ctx context.Context, events []alotwebhook.Event) error

// slice is how many transactions a contender has in its turn, or how many events.
const slice = 100

// cost says how much one transaction of a contender took in one round, or one of its events.
type cost struct{ host, cpu time.Duration }

func (c cost) minus(d cost) cost { return cost{c.host - d.host, c.cpu - d.cpu} }

// measure returns the costs by round and contender.
func measure(ctx context.Context, o Config, s *subject, g group) ([][]cost, error) {
	n := o.Transactions
	if g.size > 1 {
		n = max(1, 10*n/g.size) // ten times as many events as transactions with one
	}
	for _, c := range g.contenders { // connects, and prepares what is prepared
		if _, err := measureSlice(ctx, s, c, min(n, 10), g.size); err != nil {
			return nil, err
		}
	}
	results := make([][]cost, o.Rounds)
	turn := max(1, slice/g.size)
	for round := range results {
		sums := make([]cost, len(g.contenders))
		for left := n; left > 0; left -= turn {
			for i, c := range g.contenders {
				took, err := measureSlice(ctx, s, c, min(left, turn), g.size)
				if err != nil {
					return nil, err
				}
				sums[i].host += took.host
				sums[i].cpu += took.cpu
			}
		}
		each := time.Duration(n * g.size)
		for _, sum := range sums {
			results[round] = append(results[round], cost{sum.host / each, sum.cpu / each})
		}
	}
	return results, nil
}

// measureSlice measures n transactions with size events each. The events are made before the
// clock starts.
func measureSlice(ctx context.Context, s *subject, c contender, n, size int) (cost, error) {
	events, err := s.events(n * size)
	if err != nil {
		return cost{}, err
	}
	runtime.GC() // so that no contender pays for another's garbage
	before, err := s.cpu()
	if err != nil {
		return cost{}, err
	}
	start := time.Now()
	for i := range n {
		if err := c.emitter(ctx, events[i*size:(i+1)*size]); err != nil {
			return cost{}, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	elapsed := time.Since(start)
	after, err := s.cpu()
	return cost{elapsed, after - before}, err
}

// table has a row for each contender: what it costs in all, and above the base.
func (g group) table(results [][]cost) report.Table {
	unit := "each"
	if g.size > 1 {
		unit = "event"
	}
	t := report.Table{Title: g.title, Columns: []report.Column{
		{Name: "µs/" + unit, Decimals: 1}, {Name: "above the row", Decimals: 1},
		{Name: "processor µs/" + unit, Decimals: 1}, {Name: "above the row", Decimals: 1},
		{Name: "of River", Decimals: 2, Range: true}, {Name: "processor of River's", Decimals: 2, Range: true},
	}}
	for i, c := range g.contenders {
		own := column(results, i, g.base)
		figures := []*report.Figure{
			report.Of(hosts(column(results, i, false))...), report.Of(hosts(own)...),
			report.Of(cpus(column(results, i, false))...), report.Of(cpus(own)...), nil, nil,
		}
		if !g.base || i > 0 { // River is the last
			peer := column(results, len(g.contenders)-1, g.base)
			figures[4], figures[5] = report.Of(ratios(hosts(own), hosts(peer))...), report.Of(ratios(cpus(own), cpus(peer))...)
		}
		t.Rows = append(t.Rows, report.Row{Name: c.name, Figures: figures})
	}
	return t
}

// column returns the costs of contender i by round, without those of the base if there is one.
func column(results [][]cost, i int, base bool) (costs []cost) {
	for _, round := range results {
		c := round[i]
		if base {
			c = c.minus(round[0])
		}
		costs = append(costs, c)
	}
	return costs
}

// hosts and cpus return microseconds.
func hosts(costs []cost) (all []float64) {
	for _, c := range costs {
		all = append(all, micros(c.host))
	}
	return all
}

func cpus(costs []cost) (all []float64) {
	for _, c := range costs {
		all = append(all, micros(c.cpu))
	}
	return all
}

// ratios has no figure where there is nothing to compare with.
func ratios(of, to []float64) (all []float64) {
	for i := range of {
		if to[i] == 0 {
			return nil
		}
		all = append(all, of[i]/to[i])
	}
	return all
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
