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
	"slices"
	"strings"

	"github.com/alot/alotwebhook/bench/internal/command"
	"github.com/alot/alotwebhook/bench/internal/latency"
)

var program = command.Program{
	Name: "latency", Does: "measures the time from the call of Emit until the receiver sees the request, on an idle system",
	Roles: latency.Roles(), Options: func() command.Options { return new(options) },
}

func main() { program.Main() }

// options are the values of the flags.
type options struct {
	emits int
	only  string
	cases []latency.Case // those that have only in their names
}

// Flags implements [command.Options].
func (o *options) Flags(fs *flag.FlagSet) {
	fs.IntVar(&o.emits, "n", 300, "the number of `emits` for each figure")
	fs.StringVar(&o.only, "only", "", "measure the ways alone that have this `text` in their name, such as \"one process\"")
}

// Check implements [command.Options].
func (o *options) Check(*flag.FlagSet) error {
	var names []string
	for _, c := range latency.Cases() {
		names = append(names, c.Name)
	}
	o.cases = slices.DeleteFunc(latency.Cases(), func(c latency.Case) bool { return !strings.Contains(c.Name, o.only) })
	if len(o.cases) == 0 {
		return fmt.Errorf("-only: no way has %q in its name; there are: %s", o.only, strings.Join(names, "; "))
	}
	return command.AtLeast("n", o.emits, 1)
}

// Measure implements [command.Options].
func (o *options) Measure(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	table, err := latency.Measure(ctx, o.cases, o.emits, func(name string) { fmt.Fprintln(stderr, name) })
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d emits each, idle\n", o.emits)
	return table.Print(stdout)
}
