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
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alot/alotwebhook/bench/internal/isolation"
)

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
	for name := range strings.SplitSeq(names, ",") {
		table, err := isolation.Measure(ctx, name, seconds, only, func(text string) { fmt.Fprintln(os.Stderr, text) })
		if err != nil {
			return err
		}
		if err := table.Print(os.Stdout); err != nil {
			return err
		}
		fmt.Println()
	}
	return nil
}
