// Hosts emits from the libraries that products keep their data with, each in a
// transaction of its own: GORM, sqlx, bun, ent and sqlc on PostgreSQL, and GORM on SQLite
// with another driver than the store's.
//
//	go run ./examples/hosts -host gorm -database postgres://app@127.0.0.1/app?sslmode=disable
//	go run ./examples/hosts -host gorm-sqlite -database app.db
//
// There is a file for each library. Its function complete is what there is to see:
// a row and an event that are stored together, or not at all.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alot/alotwebhook"
)

// candidate is the product's own row.
type candidate struct {
	SessionID string
	Score     int
}

// errScore is why a transaction is rolled back after its event was emitted.
var errScore = errors.New("a score is at least 0")

// host is a product on one of the libraries.
type host interface {
	// complete stores the candidate and emits the event in one transaction.
	// A score below 0 rolls it back.
	complete(ctx context.Context, d *alotwebhook.Dispatcher, c candidate, event alotwebhook.Event) error
	store() alotwebhook.Store
	close() error
}

// hosts open a database, by the name of the library.
var hosts = map[string]func(ctx context.Context, database string) (host, error){
	"gorm":        openGORM,
	"gorm-sqlite": openGORMSQLite,
	"sqlx":        openSQLX,
	"bun":         openBun,
	"ent":         openEnt,
	"sqlc":        openSQLC,
}

type options struct {
	host, database, endpoint string
	candidates               int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	o, err := parse(os.Args[1:], os.Stderr)
	if err == nil {
		err = run(ctx, o, os.Stdout)
	}
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "hosts:", err)
		os.Exit(1)
	}
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	names := strings.Join(slices.Sorted(maps.Keys(hosts)), ", ")
	fs := flag.NewFlagSet("hosts", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.host, "host", "", "keep data with `LIBRARY`: "+names)
	fs.StringVar(&o.database, "database", "", "connection string of PostgreSQL, or the path of a SQLite `FILE`")
	fs.StringVar(&o.endpoint, "endpoint", "", "register `URL`, plain http on loopback, for the events")
	fs.IntVar(&o.candidates, "candidates", 10, "complete so many candidates, and one more that is rolled back")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	switch {
	case hosts[o.host] == nil:
		return o, fmt.Errorf("-host is %q; it must be one of %s", o.host, names)
	case o.database == "":
		return o, errors.New("-database is missing; give a connection string of PostgreSQL or the path of a SQLite file")
	}
	return o, nil
}

// run is a process of the product: it delivers until ctx ends, and completes
// candidates meanwhile.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	h, err := hosts[o.host](ctx, o.database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	d, err := alotwebhook.NewDispatcher(h.store(), development())
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	err = work(ctx, h, d, o, out)
	if err == nil {
		slog.Info("all completed; delivering until SIGTERM")
		<-ctx.Done()
	}
	return errors.Join(err, <-ended) // what is in flight is recorded before the database is closed
}
