// Emit measures what an event costs the host that emits it:
//
//	go run ./bench/emit -n 3000 -rounds 3 -store sqlite,postgres
//
// A host inserts a business row in a transaction of its own, alone, and with one event beside
// it: by EmitTo and, on PostgreSQL, by the InsertTx of River, a job queue that one could use
// instead. What such a transaction costs more than that of the row alone is the price. It is
// told in time of the host, from the beginning of the transaction to the end of its commit, and
// in processor time: on PostgreSQL that of all the server's processes, on SQLite that of this
// one. The payload has 300 bytes, and each organization one endpoint, so that an event is a
// delivery.
//
// Then many events are emitted at once: by Emit, by EmitTo and by River's fastest insert, and
// told by the event.
//
// The contenders take turns, 100 transactions each, because the speed of a machine drifts. A
// figure is the median over the rounds; the ratio to River is the median of the ratios within
// each round: compare this one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alot/alotwebhook/bench/internal/emit"
)

func main() {
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
		fmt.Fprintln(stderr, "emit:", err)
		return 2
	}
	if err := measure(ctx, o, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "emit:", err)
		return 1
	}
	return 0
}

// measure measures and prints a table for each group of contenders.
func measure(ctx context.Context, o emit.Config, stdout, stderr io.Writer) error {
	tables, err := emit.Measure(ctx, o, func(text string) { fmt.Fprintln(stderr, text) })
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, o.Text())
	for _, t := range tables {
		fmt.Fprintln(stdout)
		if err := t.Print(stdout); err != nil {
			return err
		}
	}
	return nil
}

func parse(args []string, stderr io.Writer) (emit.Config, error) {
	var o emit.Config
	fs := flag.NewFlagSet("emit", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.IntVar(&o.Transactions, "n", 3000, "the number of `transactions` of each contender in each round")
	fs.IntVar(&o.Rounds, "rounds", 3, "the number of `rounds`")
	fs.IntVar(&o.Batch, "batch", 1000, "the number of `events` that are emitted at once; 0 leaves that out")
	fs.IntVar(&o.Organizations, "organizations", 200, "the number of `organizations`, with an endpoint each")
	names := fs.String("store", "postgres", "`stores` to measure: "+strings.Join(emit.Stores(), ", "))
	drivers := fs.String("driver", "pgx", "the host's `drivers` for PostgreSQL: "+strings.Join(emit.Drivers(), ", "))
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q: every option begins with -", fs.Arg(0))
	}
	if min(o.Transactions, o.Rounds, o.Organizations) < 1 || o.Batch < 0 {
		return o, errors.New("-n, -rounds and -organizations must be at least 1, -batch at least 0")
	}
	var err error
	if o.Stores, err = choose("store", *names, emit.Stores()); err == nil {
		o.Drivers, err = choose("driver", *drivers, emit.Drivers())
	}
	return o, err
}

// choose splits the value of a flag and refuses what is none of the names.
func choose(flag, value string, names []string) ([]string, error) {
	chosen := strings.Split(value, ",")
	for _, c := range chosen {
		if !slices.Contains(names, c) {
			return nil, fmt.Errorf("-%s: unknown %s %q; there are %s", flag, flag, c, strings.Join(names, ", "))
		}
	}
	return chosen, nil
}
