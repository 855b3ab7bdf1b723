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
// second. With -observe, every store is also measured while an observer reads every report, and
// while package otelwebhook makes metrics of them.
//
// The contenders take turns, round by round, because the speed of a machine drifts. Each is
// compared with the raw loop that runs right before it: the ratio is the median of those in
// all rounds, with the least and the most. A turn is repeated if other processes used the
// machine. The absolute figures are medians.
//
// go run ./bench does this with all that else is measured, and draws it.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/bench/internal/command"
	"github.com/alot/alotwebhook/bench/internal/deliver"
	"github.com/alot/alotwebhook/bench/internal/stores"
	"github.com/alot/alotwebhook/otelwebhook"
)

// payloadSize is the length of every payload, in bytes.
const payloadSize = 300

var program = command.Program{Name: "deliver", Does: "measures how many events a dispatcher delivers in a second, beside the most that net/http can do", Roles: deliver.Roles(), Options: func() command.Options { return new(options) }}

func main() { program.Main() }

// options are the values of the flags.
type options struct {
	deliveries int
	rounds     int
	inFlight   int
	names      string
	stores     []string // of names
	numbers    string
	endpoints  []int // of numbers
	pin, read  bool
	river      bool
	observe    bool
	profile    string
}

// Flags implements [command.Options].
func (o *options) Flags(fs *flag.FlagSet) {
	fs.IntVar(&o.deliveries, "n", 200_000, "the number of `deliveries` of each contender in each round")
	fs.IntVar(&o.rounds, "rounds", 3, "the number of `rounds`")
	fs.IntVar(&o.inFlight, "inflight", 200, "the number of `requests` in flight at the same time")
	fs.StringVar(&o.names, "store", "memory,sqlite", "`stores` to measure: "+strings.Join(stores.Names(), ", "))
	fs.StringVar(&o.numbers, "endpoints", "10,1000", "the numbers of `endpoints` over which the deliveries are spread")
	fs.BoolVar(&o.pin, "pin", false, "measure PostgreSQL once more while a transaction keeps an old snapshot, as a backup does")
	fs.BoolVar(&o.river, "river", false, "measure River, a job queue on PostgreSQL, with the same work")
	fs.BoolVar(&o.read, "read", false, "measure every store once more while somebody pages through its history")
	fs.BoolVar(&o.observe, "observe", false, "measure every store once more while an observer reads all that it is told, and with the metrics of OpenTelemetry")
	fs.StringVar(&o.profile, "cpuprofile", "", "write a profile of this process, raw loops included, to that `file`")
}

// Check implements [command.Options].
func (o *options) Check(*flag.FlagSet) (err error) {
	if o.stores, err = command.Choose("store", o.names, stores.Names()); err != nil {
		return err
	}
	for s := range strings.SplitSeq(o.numbers, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return fmt.Errorf("-endpoints: %q is no number from 1 on; give some, such as 10,1000", s)
		}
		o.endpoints = append(o.endpoints, n)
	}
	return cmp.Or(command.AtLeast("n", o.deliveries, 1), command.AtLeast("rounds", o.rounds, 1), command.AtLeast("inflight", o.inFlight, 1))
}

// Measure implements [command.Options]: it measures the contenders in turns and prints the table.
func (o *options) Measure(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	load := deliver.Load{Deliveries: o.deliveries, InFlight: o.inFlight, Payload: payloadSize}
	rounds := deliver.Rounds{Rounds: o.rounds, Tolerate: 0.1, Repeats: 2, Limit: time.Hour,
		Progress: func(text string) { fmt.Fprintln(stderr, text) }}
	entries, err := o.entries(load)
	if err != nil {
		return err
	}
	var all []deliver.Measured
	err = command.Profiled(o.profile, func() (err error) {
		all, err = rounds.Measure(ctx, entries)
		return err
	})
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

func (o *options) entries(l deliver.Load) ([]deliver.Entry, error) {
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
			if o.observe {
				telemetry, err := openTelemetry()
				if err != nil {
					return nil, err
				}
				for i, observer := range []*alotwebhook.Observer{reader(), telemetry} {
					name := fmt.Sprintf("%s, %d endpoints, %s", store, n, []string{"observed", "OpenTelemetry"}[i])
					c := deliver.Dispatchers{Store: store, Endpoints: n, Observer: observer}
					entries = append(entries, deliver.Entry{Contender: c.Contender(name), Load: l})
				}
			}
		}
	}
	return entries, nil
}

// reader returns an observer that counts all that it is told.
func reader() *alotwebhook.Observer {
	var attempts, bytes, calls int
	return &alotwebhook.Observer{
		Emitted: func(alotwebhook.EmitReport) { calls++ },
		Claimed: func(alotwebhook.ClaimReport) { calls++ },
		Finished: func(r alotwebhook.FinishReport) {
			calls++
			for i := range r.Attempts {
				attempts++
				bytes += r.Attempts[i].PayloadBytes
			}
		},
	}
}

// openTelemetry returns the observer that makes metrics, without spans.
func openTelemetry() (*alotwebhook.Observer, error) {
	telemetry, err := otelwebhook.New(&otelwebhook.Options{
		MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())),
		TracerProvider: noop.NewTracerProvider(),
	})
	if err != nil {
		return nil, err
	}
	return telemetry.Observer(), nil
}
