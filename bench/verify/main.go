// Verify measures the verification of a webhook, in one run, beside the form that one would
// write by hand and beside the libraries of others:
//
//	go run ./bench/verify
//
// It first checks that each subject accepts the good body and refuses a changed one. Then
// all subjects take turns, round by round, on one processor. In each round, the time of a
// subject is divided by the time of the bare form. A figure is the median of these ratios,
// so that a disturbance affects all subjects alike. The output is two tables.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/alot/alotwebhook/bench/internal/verify"
)

func main() {
	rounds := flag.Int("rounds", 15, "the `number` of rounds")
	turn := flag.Duration("turn", 40*time.Millisecond, "the `duration` of a turn")
	flag.Parse()
	if err := run(*rounds, *turn); err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(1)
	}
}

func run(rounds int, turn time.Duration) error {
	if rounds < 1 || turn <= 0 {
		return fmt.Errorf("-rounds is %d and -turn %v: both must be greater than 0", rounds, turn)
	}
	fmt.Printf("%s %s/%s, %d rounds of %v each\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, rounds, turn)
	tables, err := verify.Measure(verify.Sizes(), rounds, turn)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if err := t.Print(os.Stdout); err != nil {
			return err
		}
		fmt.Println()
	}
	return nil
}
