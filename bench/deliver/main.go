// Deliver measures how many events a dispatcher delivers in a second, beside the most that
// net/http can do:
//
//	go run ./bench/deliver -n 200000 -rounds 3 -store memory,sqlite
//
// Every contender posts the same signed payload of 300 bytes to the same receiver. That is a
// process of its own on loopback, and responds with 204. The contender named raw is a loop
// of http.Client.Do that stores nothing, in as many goroutines as the others have requests
// in flight. The dispatchers run with all their features. Their events are stored before the
// clock starts, and the clock stops when the last outcome is stored.
//
// With -river, the job queue River does the same in the same run, tuned for it.
//
// With -pin, PostgreSQL is also measured while an older transaction stays open. With -read,
// every store is also measured while somebody pages through the history, four pages a
// second.
//
// The contenders take turns, round by round, because the speed of a machine drifts. The
// absolute figures are medians. The ratio to raw is the median of the ratios within each
// round: compare this one.
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
	"strconv"
	"strings"
	"syscall"

	"github.com/alot/alotwebhook/bench/internal/stores"
)

func main() {
	if isReceiver() {
		os.Exit(receive(os.Stdin, os.Stdout))
	}
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
		fmt.Fprintln(stderr, "deliver:", err)
		return 2
	}
	if err := measureAll(ctx, o, stdout); err != nil {
		fmt.Fprintln(stderr, "deliver:", err)
		return 1
	}
	return 0
}

// options are the values of the flags.
type options struct {
	deliveries int
	rounds     int
	inFlight   int
	stores     []string
	endpoints  []int
	pin, read  bool
	river      bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("deliver", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.IntVar(&o.deliveries, "n", 200_000, "the number of `deliveries` of each contender in each round")
	fs.IntVar(&o.rounds, "rounds", 3, "the number of `rounds`")
	fs.IntVar(&o.inFlight, "inflight", 200, "the number of `requests` in flight at the same time")
	names := fs.String("store", "memory,sqlite", "`stores` to measure: "+strings.Join(stores.Names(), ", "))
	endpoints := fs.String("endpoints", "10,1000", "the numbers of `endpoints` over which the deliveries are spread")
	fs.BoolVar(&o.pin, "pin", false, "measure PostgreSQL once more while a transaction keeps an old snapshot, as a backup does")
	fs.BoolVar(&o.river, "river", false, "measure River, a job queue on PostgreSQL, with the same work")
	fs.BoolVar(&o.read, "read", false, "measure every store once more while somebody pages through its history")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q: every option begins with -", fs.Arg(0))
	}
	o.stores = strings.Split(*names, ",")
	for _, s := range o.stores {
		if !slices.Contains(stores.Names(), s) {
			return o, fmt.Errorf("-store: unknown store %q; there are %s", s, strings.Join(stores.Names(), ", "))
		}
	}
	for _, s := range strings.Split(*endpoints, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return o, fmt.Errorf("-endpoints: %q is not a number from 1", s)
		}
		o.endpoints = append(o.endpoints, n)
	}
	if min(o.deliveries, o.rounds, o.inFlight) < 1 {
		return o, errors.New("-n, -rounds and -inflight must be at least 1")
	}
	return o, nil
}

// measureAll measures the contenders in turns and prints the table.
func measureAll(ctx context.Context, o options, w io.Writer) error {
	contenders := []contender{raw(o.inFlight)}
	if o.river {
		contenders = append(contenders, riverQueue(o.inFlight))
	}
	for _, store := range o.stores {
		for _, n := range o.endpoints {
			contenders = append(contenders, dispatcher(store, n, o.inFlight, disturbance{}))
			if o.pin && store == "postgres" {
				contenders = append(contenders, dispatcher(store, n, o.inFlight, pinned))
			}
			if o.read {
				contenders = append(contenders, dispatcher(store, n, o.inFlight, read))
			}
		}
	}
	rx, err := startReceiver(ctx)
	if err != nil {
		return err
	}
	defer rx.stop()
	fmt.Fprintf(w, "%d deliveries of %d bytes each, %d in flight, %d rounds\n", o.deliveries, payloadSize, o.inFlight, o.rounds)
	results := make([][]result, len(contenders))
	for round := range o.rounds {
		for i, c := range contenders {
			r, err := measure(ctx, c, rx, o.deliveries)
			if err != nil {
				return fmt.Errorf("%s, round %d: %w", c.name, round+1, err)
			}
			results[i] = append(results[i], r)
		}
	}
	printTable(w, contenders, results)
	return nil
}
