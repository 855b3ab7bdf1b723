// Bench measures all that docs/performance.md shows, beside the most that net/http can do and
// beside River:
//
//	go run ./bench
//	go run ./bench -only backlog,processes -quick
//	go run ./bench -json docs/performance/results.json -plots docs/performance -page docs/performance.md
//
// It starts what it needs by itself: PostgreSQL from the binaries of the machine, River, a
// receiver on loopback in a process of its own, and each dispatcher in another one. The last
// form makes the page anew; sections that were not measured stay as they are in the results.
//
// All entries of a section take turns, round by round, because the speed of a machine drifts.
// Right before each turn the raw loop runs, http.Client.Do in as many goroutines as there are
// requests in flight: compare the ratios to it. A turn in which other processes used the
// machine is repeated, and the output says if that did not help. Figures are medians over the
// rounds, those of cost for one delivery.
//
// Everything takes some hours, two of them for steady load; -quick takes minutes and shows only
// that it works. Each turn is bounded by -limit.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/alot/alotwebhook/bench/internal/child"
	"github.com/alot/alotwebhook/bench/internal/command"
	"github.com/alot/alotwebhook/bench/internal/deliver"
	"github.com/alot/alotwebhook/bench/internal/latency"
	"github.com/alot/alotwebhook/bench/internal/load"
	"github.com/alot/alotwebhook/bench/internal/report"
	"github.com/alot/alotwebhook/bench/internal/stores"
)

// roles are those of all processes that a section starts.
func roles() child.Roles {
	all := child.Roles{}
	for _, some := range []child.Roles{deliver.Roles(), latency.Roles(), load.Roles()} {
		for name, role := range some {
			all[name] = role
		}
	}
	return all
}

var program = command.Program{Name: "bench", Does: "measures all that docs/performance.md shows, in some hours", Roles: roles(), Options: func() command.Options { return new(options) }}

func main() { program.Main() }

// options are the values of the flags.
type options struct {
	deliveries, inFlight int
	names                string
	stores               []string // of names
	only                 string
	sections             []section // of only
	rounds               deliver.Rounds
	quick                bool
	most                 int // of a sweep's values; 0 for all
	steady               time.Duration
	output               report.Output
}

// Flags implements [command.Options].
func (o *options) Flags(fs *flag.FlagSet) {
	fs.IntVar(&o.deliveries, "n", 60_000, "the number of `deliveries` in each turn, from 100; fewer of large payloads")
	fs.IntVar(&o.inFlight, "inflight", 200, "the number of `requests` in flight at the same time, of all processes together")
	fs.IntVar(&o.rounds.Rounds, "rounds", 3, "the number of `rounds`")
	fs.IntVar(&o.rounds.Repeats, "repeats", 3, "how `many` times a disturbed turn is repeated")
	fs.Float64Var(&o.rounds.Tolerate, "tolerate", 0.1, "the `share` of all processors that other processes may have, from 0 to 1")
	fs.DurationVar(&o.rounds.Limit, "limit", 20*time.Minute, "the most `time` that a turn, with its preparations, or a section without turns may take")
	fs.DurationVar(&o.steady, "steady", time.Hour, "the `time` of steady load on each store, from 10s")
	fs.BoolVar(&o.quick, "quick", false, "measure as little as shows that it works")
	fs.IntVar(&o.most, "most", 0, "leave out the points of a series that have more than this `number`, such as backlogs of over 1000000; 0 leaves out none")
	fs.StringVar(&o.names, "store", "memory,sqlite,postgres", "the `stores`: "+strings.Join(stores.Names(), ", "))
	fs.StringVar(&o.only, "only", "", "measure these `sections` alone: "+strings.Join(sectionNames(), ", ")+"; none measures nothing, and writes again what -json has")
	o.output.Flags(fs)
}

// Check implements [command.Options].
func (o *options) Check(fs *flag.FlagSet) (err error) {
	if o.quick {
		o.scaleDown(fs)
	}
	if err := o.checkBounds(); err != nil {
		return err
	}
	o.stores, err = command.Choose("store", o.names, stores.Names())
	return cmp.Or(err, o.chooseSections())
}

func (o *options) checkBounds() error {
	return cmp.Or(
		command.AtLeast("n", o.deliveries, 100),
		command.AtLeast("inflight", o.inFlight, 1),
		command.AtLeast("rounds", o.rounds.Rounds, 1),
		command.AtLeast("repeats", o.rounds.Repeats, 0),
		command.Within("tolerate", o.rounds.Tolerate, 0, 1),
		command.AtLeast("limit", o.rounds.Limit, 1),
		command.AtLeast("steady", o.steady, 10*time.Second),
		command.AtLeast("most", o.most, 0),
	)
}

// scaleDown takes the place of the defaults of flags that were not given.
func (o *options) scaleDown(fs *flag.FlagSet) {
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range map[string]string{
		"n": "1000", "inflight": "20", "rounds": "1", "repeats": "0", "steady": "10s",
	} {
		if !given[name] {
			_ = fs.Set(name, value) // these values are right
		}
	}
}

func (o *options) chooseSections() error {
	switch o.only {
	case "":
		o.sections = sections
		return nil
	case "none":
		return nil
	}
	for name := range strings.SplitSeq(o.only, ",") {
		i := slices.IndexFunc(sections, func(s section) bool { return s.name == name })
		if i < 0 {
			return fmt.Errorf("-only: unknown section %q; there are %s", name, strings.Join(sectionNames(), ", "))
		}
		o.sections = append(o.sections, sections[i])
	}
	return nil
}

// Measure implements [command.Options]. It writes the results after each section, so that none is
// lost. A section that fails does not stop the others.
func (o *options) Measure(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	all, err := o.output.Load()
	if err != nil {
		return err
	}
	thisRun := report.NewRun("go run ./bench", args)
	if thisRun.PostgreSQL, err = o.postgresVersion(ctx); err != nil {
		return err
	}
	var failed error
	for _, s := range o.sections {
		o.rounds.Progress = func(text string) { fmt.Fprintf(stderr, "%s: %s\n", s.name, text) }
		result, err := s.measure(ctx, *o)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.name, err))
			fmt.Fprintf(stderr, "%s: %v\n", s.name, err)
			if ctx.Err() != nil {
				break
			}
			continue
		}
		result.Name, result.Run = s.name, thisRun
		all.Put(result)
		if err := result.Print(o.output.Tables(stdout)); err != nil {
			return err
		}
		if err := o.output.Write(all, io.Discard); err != nil {
			return err
		}
	}
	return errors.Join(failed, o.output.Write(all, stdout))
}

// postgresVersion returns the version of the server, and so finds out whether there is one
// before hours have passed.
func (o *options) postgresVersion(ctx context.Context) (version string, err error) {
	if !slices.Contains(o.stores, "postgres") || len(o.sections) == 0 {
		return "", nil
	}
	s, err := stores.New(ctx, "postgres")
	if err != nil {
		return "", fmt.Errorf("PostgreSQL does not start; leave it out with -store memory,sqlite: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Version(ctx)
}
