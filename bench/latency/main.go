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
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alot/alotwebhook/bench/internal/child"
	"github.com/alot/alotwebhook/bench/internal/latency"
)

func main() {
	child.Main(latency.Roles())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	n := flag.Int("n", 300, "the number of `emits` for each figure")
	only := flag.String("only", "", "measure the `ways` alone whose names have this in them, such as \"one process\"")
	flag.Parse()
	if err := run(ctx, *n, *only, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "latency:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, n int, only string, w io.Writer) error {
	if n < 1 {
		return fmt.Errorf("-n is %d, which is not at least 1", n)
	}
	cases := slices.DeleteFunc(latency.Cases(), func(c latency.Case) bool { return !strings.Contains(c.Name, only) })
	if len(cases) == 0 {
		return fmt.Errorf("-only: no way has %q in its name", only)
	}
	table, err := latency.Measure(ctx, cases, n, func(name string) { fmt.Fprintln(os.Stderr, name) })
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d emits each, idle\n", n)
	return table.Print(w)
}
