// Latency measures the time from the call of Emit until the receiver sees the request, on an
// idle system:
//
//	go run ./bench/latency -n 300
//
// It does so with emitting and delivering in one process, and with the dispatcher in a
// process of its own. That one learns of an event by its poll or, if the store is a
// Notifier, from the emitting process. The emits come one at a time and at random instants,
// so that they are not in step with the poll.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/bench/internal/stores"
)

// patience is how long an event may take before it counts as lost.
const patience = 10 * time.Minute

// placeVariable names the environment variable that tells a child process which store to
// deliver from.
const placeVariable = "LATENCY_PLACE"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if text := os.Getenv(placeVariable); text != "" {
		err = deliver(ctx, text)
	} else {
		n := flag.Int("n", 300, "the number of `emits` for each figure")
		flag.Parse()
		err = measureAll(ctx, *n, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "latency:", err)
		os.Exit(1)
	}
}

// deliver is the child process. It runs a dispatcher with the default configuration.
func deliver(ctx context.Context, text string) error {
	var place stores.Place
	if err := json.Unmarshal([]byte(text), &place); err != nil {
		return err
	}
	store, err := stores.Open(ctx, place, func() error { return nil })
	if err != nil {
		return err
	}
	d, err := newDispatcher(store)
	if err != nil {
		return err
	}
	return errors.Join(d.Run(ctx), store.Close())
}

func newDispatcher(store *stores.Store) (*alotwebhook.Dispatcher, error) {
	return alotwebhook.NewDispatcher(store.Store, &alotwebhook.Config{
		AllowHTTP: true,
		AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Logger:    slog.New(slog.DiscardHandler),
	})
}

func measureAll(ctx context.Context, n int, w io.Writer) error {
	fmt.Fprintf(w, "%d emits each, idle, from Emit to the receiver\n%-32s %10s %10s %10s\n", n, "", "p50", "p99", "most")
	for _, c := range []struct {
		name, store    string
		across, notify bool
	}{
		{"memory, one process", "memory", false, false},
		{"sqlite, one process", "sqlite", false, false},
		{"sqlite, across processes", "sqlite", true, false},
		{"postgres, one process", "postgres", false, false},
		{"postgres, across processes", "postgres", true, false},
		{"postgres, across, notified", "postgres", true, true},
	} {
		took, err := measure(ctx, c.store, c.across, c.notify, n)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		slices.Sort(took)
		at := func(share float64) time.Duration {
			return took[min(len(took)-1, int(share*float64(len(took))))].Round(10 * time.Microsecond)
		}
		fmt.Fprintf(w, "%-32s %10v %10v %10v\n", c.name, at(0.50), at(0.99), took[len(took)-1].Round(10*time.Microsecond))
	}
	return nil
}

func measure(ctx context.Context, name string, across, notify bool, n int) (took []time.Duration, err error) {
	store, err := stores.New(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if !notify {
		return emitAndWait(ctx, store, across, n)
	}
	place := store.Place
	place.Notify = true
	notifying, err := stores.Open(ctx, place, func() error { return nil })
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, notifying.Close()) }()
	return emitAndWait(ctx, notifying, across, n)
}

func emitAndWait(ctx context.Context, store *stores.Store, across bool, n int) ([]time.Duration, error) {
	arrived := make(chan time.Time, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- time.Now()
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()
	d, err := newDispatcher(store)
	if err != nil {
		return nil, err
	}
	_, err = d.CreateEndpoint(ctx, alotwebhook.Endpoint{
		OrganizationID: "org_1", URL: receiver.URL + "/hook", EventTypes: []string{alotwebhook.EventCandidateCompleted},
	})
	if err != nil {
		return nil, err
	}
	stop, err := start(ctx, d, store.Place, across)
	if err != nil {
		return nil, err
	}
	defer stop()
	var took []time.Duration
	for i := range n + 1 {
		time.Sleep(50*time.Millisecond + rand.N(200*time.Millisecond))
		event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, "org_1", json.RawMessage(`{"score":82}`))
		if err != nil {
			return nil, err
		}
		began := time.Now()
		if err := d.Emit(ctx, event); err != nil {
			return nil, err
		}
		select {
		case at := <-arrived:
			if i > 0 { // the first emit waits until the process has started
				took = append(took, at.Sub(began))
			}
		case <-time.After(patience):
			return nil, fmt.Errorf("an event did not arrive within %v", patience)
		}
	}
	return took, nil
}

// start runs the dispatcher in this process, or another one in a child process.
func start(ctx context.Context, d *alotwebhook.Dispatcher, place stores.Place, across bool) (stop func(), err error) {
	if !across {
		ctx, cancel := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() { defer close(ended); _ = d.Run(ctx) }()
		return func() { cancel(); <-ended }, nil
	}
	text, err := json.Marshal(place)
	if err != nil {
		return nil, err
	}
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), placeVariable+"="+string(text))
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		return nil, err
	}
	return func() {
		_ = child.Process.Signal(syscall.SIGTERM)
		_ = child.Wait()
	}, nil
}
