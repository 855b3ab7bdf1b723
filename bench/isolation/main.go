// Isolation measures how long healthy customers wait for their events while the receivers of
// others are bad:
//
//	go run ./bench/isolation -store memory,sqlite,postgres -seconds 20
//
// Each row is a run of its own. The bad organizations have a backlog for each of their
// endpoints when the dispatcher starts, and 50 healthy organizations get 100 events a second
// in all from the first moment on. An event that has not arrived at the end counts with its
// age, and in the last column. The defaults of the dispatcher are in force, and every
// receiver has a loopback address of its own.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alot/alotwebhook/bench/internal/stores"
)

// row says whose receivers are bad, and how.
type row struct {
	name          string
	organizations int // bad ones
	endpoints     int // of each
	backlog       int // events of each organization
	behave        func(http.ResponseWriter, *http.Request)
}

// after responds after so long, or when the sender gives up.
func after(d time.Duration, status int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-time.After(d):
			w.WriteHeader(status)
		case <-r.Context().Done():
		}
	}
}

var rows = []row{
	{"nobody", 0, 0, 0, nil},
	{"8 endpoints of one respond 200 after 14 s", 1, 8, 400, after(14*time.Second, 200)},
	{"50 endpoints of one respond 200 after 14 s", 1, 50, 200, after(14*time.Second, 200)},
	{"50 endpoints of one hang", 1, 50, 200, after(time.Hour, 200)},
	{"300 endpoints of one hang", 1, 300, 100, after(time.Hour, 200)},
	{"50 organizations of 100 hang", 50, 1, 200, after(time.Hour, 200)},
	{"300 organizations of 350 hang", 300, 1, 50, after(time.Hour, 200)},
	{"50 organizations of 100 respond 503 after 5 s", 50, 1, 200, after(5*time.Second, 503)},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	names := flag.String("store", "memory,sqlite,postgres", "the `stores` to measure")
	seconds := flag.Int("seconds", 20, "how many `seconds` of events each row has, from 1 to 600")
	only := flag.String("row", "", "measure the rows alone whose name holds this `text`")
	flag.Parse()
	if err := run(ctx, *names, *seconds, *only); err != nil {
		fmt.Fprintln(os.Stderr, "isolation:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, names string, seconds int, only string) error {
	if seconds < 1 || seconds > 600 {
		return fmt.Errorf("-seconds is %d, which is not from 1 to 600", seconds)
	}
	fmt.Printf("%-10s %-46s %10s %10s %10s %14s\n", "store", "bad", "p50", "p99", "slowest", "not delivered")
	for name := range strings.SplitSeq(names, ",") {
		for _, r := range rows {
			if !strings.Contains(r.name, only) {
				continue
			}
			took, missing, err := measure(ctx, name, r, seconds)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", name, r.name, err)
			}
			fmt.Printf("%-10s %-46s %10v %10v %10v %6d of %d\n", name, r.name, at(took, 0.50), at(took, 0.99), at(took, 1), missing, len(took))
		}
	}
	return nil
}

// at returns the duration that a share of them does not pass.
func at(sorted []time.Duration, share float64) time.Duration {
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)].Round(10 * time.Microsecond)
}

// measure returns how long each healthy event took, sorted, and how many did not arrive.
func measure(ctx context.Context, name string, r row, seconds int) (took []time.Duration, missing int, err error) {
	if !slices.Contains(stores.Names(), name) {
		return nil, 0, fmt.Errorf("unknown store; take of %s", strings.Join(stores.Names(), ", "))
	}
	store, err := stores.New(ctx, name)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	c, err := newCrowd(ctx, store, r)
	if err != nil {
		return nil, 0, err
	}
	defer c.close()
	emitted, err := c.emit(ctx, seconds)
	if err != nil {
		return nil, 0, err
	}
	end := time.Now()
	for id, at := range emitted {
		arrived, ok := c.arrived(id)
		if !ok {
			missing++
		}
		took = append(took, cmp.Or(arrived, end).Sub(at))
	}
	slices.Sort(took)
	return took, missing, nil
}
