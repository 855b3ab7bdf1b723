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
	if err := measureAll(ctx, o, stdout); err != nil {
		fmt.Fprintln(stderr, "emit:", err)
		return 1
	}
	return 0
}

// options are the values of the flags.
type options struct {
	transactions, rounds int
	batch                int
	organizations        int
	stores, drivers      []string
}

var (
	storeNames  = []string{"postgres", "sqlite"}
	driverNames = []string{"pgx", "pq"}
)

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("emit", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.IntVar(&o.transactions, "n", 3000, "the number of `transactions` of each contender in each round")
	fs.IntVar(&o.rounds, "rounds", 3, "the number of `rounds`")
	fs.IntVar(&o.batch, "batch", 1000, "the number of `events` that are emitted at once; 0 leaves that out")
	fs.IntVar(&o.organizations, "organizations", 200, "the number of `organizations`, with an endpoint each")
	names := fs.String("store", "postgres", "`stores` to measure: "+strings.Join(storeNames, ", "))
	drivers := fs.String("driver", "pgx", "the host's `drivers` for PostgreSQL: "+strings.Join(driverNames, ", "))
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q: every option begins with -", fs.Arg(0))
	}
	if min(o.transactions, o.rounds, o.organizations) < 1 || o.batch < 0 {
		return o, errors.New("-n, -rounds and -organizations must be at least 1, -batch at least 0")
	}
	var err error
	if o.stores, err = choose("store", *names, storeNames); err == nil {
		o.drivers, err = choose("driver", *drivers, driverNames)
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

// measureAll measures store by store and prints a table for each group of contenders.
func measureAll(ctx context.Context, o options, w io.Writer) error {
	fmt.Fprintf(w, "%d transactions each in each of %d rounds, %d organizations, payloads of %d bytes\n",
		o.transactions, o.rounds, o.organizations, payloadSize)
	for _, store := range o.stores {
		open := openSQLite
		if store == "postgres" {
			open = openPostgres
		}
		if err := measureStore(ctx, o, open, w); err != nil {
			return fmt.Errorf("%s: %w", store, err)
		}
	}
	return nil
}

func measureStore(ctx context.Context, o options, open func(context.Context, options) (*subject, error), w io.Writer) (err error) {
	s, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, g := range s.groups {
		results, err := measure(ctx, o, s, g)
		if err != nil {
			return err
		}
		printTable(w, g, results)
	}
	return nil
}
