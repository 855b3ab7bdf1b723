// Soak puts each database under the steady load of a host for half an hour, and disturbs it:
//
//	go run ./bench/soak
//	go run ./bench/soak -store postgres -minutes 120
//
// There are 300 endpoints on as many loopback addresses. One in a hundred hangs and one fails,
// until they are healed after two thirds of the time. The host emits in transactions of its
// own, stores rows of its own and pages through the history. On PostgreSQL two processes
// deliver. Then come, one after the other: a snapshot that is kept, locks that last longer than
// statements may, maintenance, and the end of all connections.
//
// It prints what happened minute by minute, and exits with 1 if a delivery of an event whose
// emit returned without an error did not arrive at a healthy receiver.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/alot/alotwebhook/bench/internal/command"
	"github.com/alot/alotwebhook/bench/internal/load"
	"github.com/alot/alotwebhook/bench/internal/report"
)

var program = command.Program{Name: "soak", Does: "puts each database under the steady load of a host for half an hour, and disturbs it", Roles: load.Roles(), Options: func() command.Options { return new(options) }}

func main() { program.Main() }

// options are the values of the flags.
type options struct {
	names   string
	stores  []string // of names
	minutes float64
	rate    int
	output  report.Output
}

// Flags implements [command.Options].
func (o *options) Flags(fs *flag.FlagSet) {
	fs.StringVar(&o.names, "store", "sqlite,postgres", "the `stores`, one after the other: sqlite, postgres")
	fs.Float64Var(&o.minutes, "minutes", 30, "how many `minutes` each store is under load, from 0.1 to 1440")
	fs.IntVar(&o.rate, "rate", 0, "how many `events` the host emits a second; 0 stands for 400 on PostgreSQL and 150 on SQLite")
	o.output.Flags(fs)
}

// Check implements [command.Options].
func (o *options) Check(*flag.FlagSet) (err error) {
	o.stores, err = command.Choose("store", o.names, []string{"sqlite", "postgres"})
	return cmp.Or(err, command.Within("minutes", o.minutes, 0.1, 1440), command.AtLeast("rate", o.rate, 0))
}

// Measure implements [command.Options]. It writes the results after each store, so that none is
// lost.
func (o *options) Measure(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	all, err := o.output.Load()
	if err != nil {
		return err
	}
	missing := 0
	for _, store := range o.stores {
		result, err := load.Run(ctx, load.Config{
			Store: store, Length: time.Duration(o.minutes * float64(time.Minute)), Rate: o.rate, Disturb: true,
			Progress: func(text string) { fmt.Fprintf(stderr, "%s: %s\n", store, text) },
		})
		if err != nil {
			return fmt.Errorf("%s: %w", store, err)
		}
		missing += result.Missing
		s := o.section(store, result)
		s.Run = report.NewRun("go run ./bench/soak", args)
		s.Run.PostgreSQL = result.PostgreSQL
		all.Put(s)
		if err := s.Print(o.output.Tables(stdout)); err != nil {
			return err
		}
		if err := o.output.Write(all, io.Discard); err != nil {
			return err
		}
	}
	if err := o.output.Write(all, stdout); err != nil {
		return err
	}
	if missing > 0 {
		return fmt.Errorf("%d deliveries did not arrive", missing)
	}
	return nil
}

func (o *options) section(store string, r *load.Result) report.Section {
	return report.Section{
		Name:  "soak-" + store,
		Title: "A soak with disturbances: " + map[string]string{"postgres": "PostgreSQL", "sqlite": "SQLite"}[store],
		About: fmt.Sprintf("%v minutes of steady load, %d events of 1.5 deliveries a second, to %d endpoints of which one in a hundred hangs and "+
			"one fails, until they are healed. The host emits in transactions of its own and writes rows of its own. Dotted lines are the "+
			"disturbances of the table.", o.minutes, r.Config.Rate, r.Config.Endpoints),
		Tables: []report.Table{r.DisturbanceTable(), r.Table()},
		Plots:  r.Plots("soak-" + store),
		Notes:  r.Notes(),
	}
}
