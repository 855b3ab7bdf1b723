// Deliver measures how many events a second a dispatcher delivers, beside the
// most that net/http can do at all:
//
//	go run ./bench/deliver -n 200000 -rounds 3 -store memory,sqlite
//
// Every contender posts the same signed 300-byte payload to the same receiver,
// a process of its own on loopback that answers 204. The raw one is a loop of
// http.Client.Do in as many goroutines as the others have in flight; it stores
// nothing. The dispatchers run with every feature on, over events that were
// stored before the clock starts, until the last outcome is recorded.
//
// With -river, a job queue does the same in the same run: River, tuned.
//
// With -pin, PostgreSQL has to do it also while a transaction that began before
// is still open; with -read, every store also while somebody pages through the
// history, four pages a second.
//
// The contenders take turns, round by round, because a machine's speed drifts.
// The absolute figures are medians; the ratio to raw is the median of the
// ratios within each round, and is what to compare.
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

// options are what the flags say.
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
	fs.IntVar(&o.deliveries, "n", 200_000, "`deliveries` of each contender in each round")
	fs.IntVar(&o.rounds, "rounds", 3, "`rounds`")
	fs.IntVar(&o.inFlight, "inflight", 200, "`requests` in flight at once")
	names := fs.String("store", "memory,sqlite", "`stores` to measure: "+strings.Join(stores.Names(), ", "))
	endpoints := fs.String("endpoints", "10,1000", "how many `endpoints` the deliveries are spread over")
	fs.BoolVar(&o.pin, "pin", false, "measure PostgreSQL once more while a transaction keeps a snapshot of before, as a backup does")
	fs.BoolVar(&o.river, "river", false, "measure River, a job queue on PostgreSQL, doing the same")
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

// measureAll lets the contenders take turns and prints the table.
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
