package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

// subject is a database with a store in it.
type subject struct {
	groups []group
	events func(n int) ([]alotwebhook.Event, error)
	cpu    func() (time.Duration, error) // the processor time of the database so far
	close  func() error
}

// group is what is compared with each other.
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

// cost is what the transactions of one contender took in one round, each, or their events.
type cost struct{ host, cpu time.Duration }

func (c cost) minus(d cost) cost { return cost{c.host - d.host, c.cpu - d.cpu} }

// measure returns the costs by round and contender.
func measure(ctx context.Context, o options, s *subject, g group) ([][]cost, error) {
	n := o.transactions
	if g.size > 1 {
		n = max(1, 10*n/g.size) // ten times as many events as transactions with one
	}
	for _, c := range g.contenders { // connects, and prepares what is prepared
		if _, err := measureSlice(ctx, s, c, min(n, 10), g.size); err != nil {
			return nil, err
		}
	}
	results := make([][]cost, o.rounds)
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

// printTable prints a line for each contender: what it costs in all, and above the base.
func printTable(w io.Writer, g group, results [][]cost) {
	unit := "each"
	if g.size > 1 {
		unit = "event"
	}
	fmt.Fprintf(w, "\n%-40s%12s%12s%12s%12s%11s%11s\n", g.title, "µs/"+unit, "above", "CPU/"+unit, "above", "of River", "CPU of it")
	for i, c := range g.contenders {
		own := column(results, i, g.base)
		fmt.Fprintf(w, "%-40s%12.1f%12.1f%12.1f%12.1f", c.name,
			micro(median(hosts(column(results, i, false)))), micro(median(hosts(own))), micro(median(cpus(column(results, i, false)))), micro(median(cpus(own))))
		if !g.base || i > 0 { // River is the last
			peer := column(results, len(g.contenders)-1, g.base)
			fmt.Fprintf(w, "%11.2f%11.2f", median(ratios(hosts(own), hosts(peer))), median(ratios(cpus(own), cpus(peer))))
		}
		fmt.Fprintln(w)
	}
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

func hosts(costs []cost) (all []time.Duration) {
	for _, c := range costs {
		all = append(all, c.host)
	}
	return all
}

func cpus(costs []cost) (all []time.Duration) {
	for _, c := range costs {
		all = append(all, c.cpu)
	}
	return all
}

func ratios(of, to []time.Duration) (all []float64) {
	for i := range of {
		all = append(all, float64(of[i])/float64(to[i]))
	}
	return all
}

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// median returns the middle value, or the lower one of two.
func median[T cmp.Ordered](s []T) T {
	s = slices.Sorted(slices.Values(s))
	return s[(len(s)-1)/2]
}
