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
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/alot/alotwebhook/bench/internal/command"
	"github.com/alot/alotwebhook/bench/internal/verify"
)

var program = command.Program{
	Name: "verify", Does: "measures the verification of a webhook, beside the libraries of others",
	Options: func() command.Options { return new(options) },
}

func main() { program.Main() }

// options are the values of the flags.
type options struct {
	rounds int
	turn   time.Duration
}

// Flags implements [command.Options].
func (o *options) Flags(fs *flag.FlagSet) {
	fs.IntVar(&o.rounds, "rounds", 15, "the number of `rounds`")
	fs.DurationVar(&o.turn, "turn", 40*time.Millisecond, "the `time` of a turn, from 1ms")
}

// Check implements [command.Options].
func (o *options) Check(*flag.FlagSet) error {
	return cmp.Or(command.AtLeast("rounds", o.rounds, 1), command.AtLeast("turn", o.turn, time.Millisecond))
}

// Measure implements [command.Options].
func (o *options) Measure(_ context.Context, _ []string, stdout, _ io.Writer) error {
	fmt.Fprintf(stdout, "%s %s/%s, %d rounds of %v each\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, o.rounds, o.turn)
	tables, err := verify.Measure(verify.Sizes(), o.rounds, o.turn)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if err := t.Print(stdout); err != nil {
			return err
		}
		fmt.Fprintln(stdout)
	}
	return nil
}
