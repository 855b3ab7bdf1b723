// Monolith stands for a product that sends webhooks. It has its own API and its own tables,
// and the webhooks are part of the same program and the same database.
//
//	go run ./examples/monolith -dev
//
// To complete a candidate, it writes a row and emits candidate.completed in one transaction.
// Package settings is mounted behind the product's own authentication, so that customers
// can register endpoints and read their history. With -store sqlite:PATH or postgres:DSN,
// everything is kept. Several processes may share a PostgreSQL database.
//
//	POST /v1/candidates/{sessionId}/complete   complete a candidate: 201 {"eventId": …}
//	GET  /v1/candidates/{sessionId}            read a candidate
//	     /v1/webhooks…                         the API of package settings
//	     /settings/webhooks/…                  the pages of package settings, for browsers
//	GET  /livez, /readyz                       whether the process is alive, and ready
//	GET  /metrics                              the metrics, with -observe only
//	GET  /dev/token?organization=org_123       a bearer token, with -dev only
//	GET  /dev/login?organization=org_demo      a session for the pages, with -dev only
//	GET  /dev/operator?name=jane               a session for the operators' pages, with -observe only
//
// With &role=viewer, token and session are those of somebody who may only look.
//
// With -dev, the organization org_demo has endpoints and a day of history to look at. With
// -observe as well, GET /metrics has what Prometheus scrapes, and events happen all the time to
// three more organizations: org_quiet, org_failing, whose receiver fails, and org_flood.
//
// A score below 0 is refused with 422 after the event was emitted, so that the transaction
// rolls back: neither the row nor the event exists afterwards.
//
// After SIGTERM or SIGINT, the program finishes the requests and the deliveries under way
// and ends. A second signal ends it at once.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alot/alotwebhook"
)

var (
	startTimeout = 15 * time.Second // to connect to the database and migrate it
	seedTimeout  = 5 * time.Minute  // to make a day of history, for development
	drainTimeout = 25 * time.Second // longer than an attempt can take, 15 s
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run runs the program and returns its exit code: 0 after a clean end, 1 after an error, 2
// if the arguments are wrong.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	o, err := parse(args, getenv, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if err := start(ctx, o, stdout, slog.New(slog.NewTextHandler(stderr, nil))); err != nil {
		fmt.Fprintln(stderr, "monolith:", err)
		return 1
	}
	return 0
}

// start opens the database, listens, serves and delivers until ctx is done.
func start(ctx context.Context, o *options, stdout io.Writer, log *slog.Logger) (err error) {
	db, err := open(ctx, o, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.close()) }()
	cfg := o.config(log)
	var observed *observed
	if o.observe {
		if observed, err = observe(cfg); err != nil {
			return err
		}
	}
	d, err := alotwebhook.NewDispatcher(db.store(), cfg)
	if err != nil {
		return err
	}
	handler, err := routes(o, db, d, observed, log)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.addr)
	if err != nil {
		return err
	}
	o.warn(log)
	address := "http://" + listener.Addr().String()
	if err := prepare(ctx, o, db, address); err != nil {
		return errors.Join(err, listener.Close())
	}
	fmt.Fprintln(stdout, "monolith: listening on", address)
	if o.dev {
		fmt.Fprintf(stdout, "monolith: look at %s/dev/login?organization=%s\n", address, demo)
	}
	if o.observe {
		fmt.Fprintf(stdout, "monolith: metrics are at %s/metrics\n", address)
		fmt.Fprintf(stdout, "monolith: operators look at %s/dev/operator?name=jane\n", address)
		for _, t := range observedTraffic {
			go t.happen(ctx, d, address, log)
		}
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	return work(ctx, server, listener, d)
}

func open(ctx context.Context, o *options, log *slog.Logger) (database, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return o.open(ctx, log)
}

// prepare stores the history of the demonstration. It does so even if ctx has ended, because
// half of a history would be of no use to the next run.
func prepare(ctx context.Context, o *options, db database, address string) error {
	if !o.dev {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), seedTimeout)
	defer cancel()
	if err := seed(ctx, db.store(), address); err != nil {
		return fmt.Errorf("history of %s: %w", demo, err)
	}
	return nil
}

// work serves and delivers until ctx is done. Then it first stops the server, so that no
// request emits new events, and after that the dispatcher.
func work(ctx context.Context, server *http.Server, listener net.Listener, d *alotwebhook.Dispatcher) error {
	served, delivered := make(chan error, 1), make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	go func() { delivered <- d.Run(context.WithoutCancel(ctx)) }()
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-served:
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	failure = errors.Join(failure, server.Shutdown(drain))
	failure = errors.Join(failure, d.Shutdown(drain))
	if err := <-delivered; !errors.Is(err, alotwebhook.ErrDispatcherClosed) { // returned if Shutdown came before Run
		failure = errors.Join(failure, err)
	}
	return failure
}
