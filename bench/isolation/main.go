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
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alot/alotwebhook/bench/internal/command"
	"github.com/alot/alotwebhook/bench/internal/isolation"
	"github.com/alot/alotwebhook/bench/internal/stores"
)

var program = command.Program{
	Name: "isolation", Does: "measures how long healthy customers wait for their events while the receivers of others are bad",
	Options: func() command.Options { return new(options) },
}

func main() { program.Main() }

// options are the values of the flags.
type options struct {
	stores  string
	seconds int
	only    string
}

// Flags implements [command.Options].
func (o *options) Flags(fs *flag.FlagSet) {
	fs.StringVar(&o.stores, "store", "memory,sqlite,postgres", "the `stores` to measure: "+strings.Join(stores.Names(), ", "))
	fs.IntVar(&o.seconds, "seconds", 20, "how many `seconds` of events each row has, from 1 to 600")
	fs.StringVar(&o.only, "row", "", "measure the rows alone that have this `text` in their name")
}

// Check implements [command.Options].
func (o *options) Check(*flag.FlagSet) error {
	if !slices.ContainsFunc(isolation.Rows(), func(name string) bool { return strings.Contains(name, o.only) }) {
		return fmt.Errorf("-row: no row has %q in its name; there are: %s", o.only, strings.Join(isolation.Rows(), "; "))
	}
	_, err := command.Choose("store", o.stores, stores.Names())
	return cmp.Or(err, command.Within("seconds", o.seconds, 1, 600))
}

// Measure implements [command.Options]: it prints a table for each store.
func (o *options) Measure(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	for name := range strings.SplitSeq(o.stores, ",") {
		table, err := isolation.Measure(ctx, name, o.seconds, o.only, func(text string) { fmt.Fprintln(stderr, text) })
		if err != nil {
			return err
		}
		if err := table.Print(stdout); err != nil {
			return err
		}
		fmt.Fprintln(stdout)
	}
	return nil
}
