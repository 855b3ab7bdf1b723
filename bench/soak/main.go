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
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alot/alotwebhook/bench/internal/child"
	"github.com/alot/alotwebhook/bench/internal/load"
	"github.com/alot/alotwebhook/bench/internal/report"
)

func main() {
	child.Main(load.Roles())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "soak:", err)
		return 2
	}
	if err := soakAll(ctx, o, args, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "soak:", err)
		return 1
	}
	return 0
}

// options are the values of the flags.
type options struct {
	stores  []string
	minutes float64
	rate    int
	output  report.Output
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("soak", flag.ContinueOnError)
	fs.SetOutput(stderr)
	names := fs.String("store", "sqlite,postgres", "the `stores`, one after the other: sqlite, postgres")
	fs.Float64Var(&o.minutes, "minutes", 30, "how many `minutes` each of them is under load, from 0.1 to 1440")
	fs.IntVar(&o.rate, "rate", 0, "how many `events` the host emits a second; 0 stands for 400 on PostgreSQL and 150 on SQLite")
	o.output.Flags(fs)
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q: every option begins with -", fs.Arg(0))
	}
	if o.minutes < 0.1 || o.minutes > 1440 || o.rate < 0 {
		return o, errors.New("-minutes must be from 0.1 to 1440, and -rate not negative")
	}
	o.stores = strings.Split(*names, ",")
	for _, s := range o.stores {
		if s != "sqlite" && s != "postgres" {
			return o, fmt.Errorf("-store: unknown store %q; there are sqlite and postgres", s)
		}
	}
	return o, nil
}

// soakAll writes the results after each store, so that none is lost.
func soakAll(ctx context.Context, o options, args []string, stdout, stderr io.Writer) error {
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
		s := section(store, o, result)
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

func section(store string, o options, r *load.Result) report.Section {
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
