// Emit measures what an event costs the host that emits it:
//
//	go run ./bench/emit -n 3000 -rounds 3 -store sqlite,postgres
//
// A host inserts a business row in a transaction of its own, alone, and with one event beside
// it: by EmitTo and, on PostgreSQL, by the InsertTx of River, a job queue that one could use
// instead. What such a transaction costs more than that of the row alone is the price. It is
// told in time of the host, from the beginning of the transaction to the end of its commit, and
// in processor time: on PostgreSQL that of all the server's processes, on SQLite that of this
// one. The payload has 300 bytes, and each organization one endpoint, so that an event is a
// delivery.
//
// Then many events are emitted at once: by Emit, by EmitTo and by River's fastest insert, and
// told by the event.
//
// The contenders take turns, 100 transactions each, because the speed of a machine drifts. A
// figure is the median over the rounds; the ratio to River is the median of the ratios within
// each round: compare this one.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/alot/alotwebhook/bench/internal/command"
	"github.com/alot/alotwebhook/bench/internal/emit"
)

var program = command.Program{Name: "emit", Does: "measures what an event costs the host that emits it", Options: func() command.Options { return new(options) }}

func main() { program.Main() }

// options are the values of the flags.
type options struct {
	emit.Config
	stores, drivers string // as they were given
}

// Flags implements [command.Options].
func (o *options) Flags(fs *flag.FlagSet) {
	fs.IntVar(&o.Transactions, "n", 3000, "the number of `transactions` of each contender in each round")
	fs.IntVar(&o.Rounds, "rounds", 3, "the number of `rounds`")
	fs.IntVar(&o.Batch, "batch", 1000, "the number of `events` that are emitted at once; 0 leaves that out")
	fs.IntVar(&o.Organizations, "organizations", 200, "the number of `organizations`, with an endpoint each")
	fs.StringVar(&o.stores, "store", "postgres", "`stores` to measure: "+strings.Join(emit.Stores(), ", "))
	fs.StringVar(&o.drivers, "driver", "pgx", "the host's `drivers` for PostgreSQL: "+strings.Join(emit.Drivers(), ", "))
}

// Check implements [command.Options].
func (o *options) Check(*flag.FlagSet) (err error) {
	if err := o.checkBounds(); err != nil {
		return err
	}
	if o.Stores, err = command.Choose("store", o.stores, emit.Stores()); err == nil {
		o.Drivers, err = command.Choose("driver", o.drivers, emit.Drivers())
	}
	return err
}

func (o *options) checkBounds() error {
	return cmp.Or(
		command.AtLeast("n", o.Transactions, 1),
		command.AtLeast("rounds", o.Rounds, 1),
		command.AtLeast("organizations", o.Organizations, 1),
		command.AtLeast("batch", o.Batch, 0),
	)
}

// Measure implements [command.Options]: it prints a table for each group of contenders.
func (o *options) Measure(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	tables, err := emit.Measure(ctx, o.Config, func(text string) { fmt.Fprintln(stderr, text) })
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, o.Text())
	for _, t := range tables {
		fmt.Fprintln(stdout)
		if err := t.Print(stdout); err != nil {
			return err
		}
	}
	return nil
}
