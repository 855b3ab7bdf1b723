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
// The contenders take turns, round by round, because the speed of a machine drifts. Each is
// compared with the raw loop that runs right before it: the ratio is the median of those in
// all rounds, with the least and the most. A turn is repeated if other processes used the
// machine. The absolute figures are medians.
//
// go run ./bench does this with all that else is measured, and draws it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alot/alotwebhook/bench/internal/child"
	"github.com/alot/alotwebhook/bench/internal/deliver"
	"github.com/alot/alotwebhook/bench/internal/stores"
)

// payloadSize is the length of every payload, in bytes.
const payloadSize = 300

func main() {
	child.Main(deliver.Roles())
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
	if err := profiled(o.profile, func() error { return measureAll(ctx, o, stdout, stderr) }); err != nil {
		fmt.Fprintln(stderr, "deliver:", err)
		return 1
	}
	return 0
}

// profiled runs f and writes a profile of it to a file, unless path is "".
func profiled(path string, f func() error) (err error) {
	if path == "" {
		return f()
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return f()
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
	profile    string
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
	fs.StringVar(&o.profile, "cpuprofile", "", "write a profile of this process, raw loops included, to that `file`, for go tool pprof")
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
func measureAll(ctx context.Context, o options, stdout, stderr io.Writer) error {
	load := deliver.Load{Deliveries: o.deliveries, InFlight: o.inFlight, Payload: payloadSize}
	rounds := deliver.Rounds{Rounds: o.rounds, Tolerate: 0.1, Repeats: 2, Limit: time.Hour,
		Progress: func(text string) { fmt.Fprintln(stderr, text) }}
	all, err := rounds.Measure(ctx, o.entries(load))
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d deliveries of %d bytes each, %d in flight, %d rounds\n", load.Deliveries, load.Payload, load.InFlight, o.rounds)
	if err := deliver.Table("", all).Print(stdout); err != nil {
		return err
	}
	for _, note := range rounds.Notes(all) {
		fmt.Fprintln(stdout, note)
	}
	return nil
}

func (o options) entries(l deliver.Load) []deliver.Entry {
	var entries []deliver.Entry
	if o.river {
		entries = append(entries, deliver.Entry{Contender: deliver.River(), Load: l})
	}
	for _, store := range o.stores {
		for _, n := range o.endpoints {
			disturbances := []deliver.Disturbance{{}}
			if o.pin && store == "postgres" {
				disturbances = append(disturbances, deliver.Pinned)
			}
			if o.read {
				disturbances = append(disturbances, deliver.Read)
			}
			for _, d := range disturbances {
				name := fmt.Sprintf("%s, %d endpoints%s", store, n, d.Name)
				c := deliver.Dispatchers{Store: store, Endpoints: n, Disturbance: d}
				entries = append(entries, deliver.Entry{Contender: c.Contender(name), Load: l})
			}
		}
	}
	return entries
}
