// Receiver is what a customer would ship: a service that receives webhooks,
// verifies them, acts on each event once and answers.
//
//	export ALOT_WEBHOOK_SECRET=your-signing-secret
//	go run ./examples/receiver -db receiver.db
//
// A completed candidate becomes a row in the service's own SQLite database, in
// one transaction with the mark that the event was handled: an event that comes
// again changes nothing, even if the process was killed in between. While the
// secret is rotated, ALOT_WEBHOOK_OLD_SECRET holds the one before.
//
//	POST /alot/webhook   for ALOT
//	GET  /results        what was received, as JSON; yours would ask who is asking
//
// SIGTERM and SIGINT let the requests under way finish; a second one ends the
// process at once.
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

// drainTimeout is longer than a request may take.
const drainTimeout = 25 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run returns the exit code: 0 after a clean end, 1 when something failed, 2
// when the arguments are wrong.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("receiver", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "127.0.0.1:8081", "where to listen")
	path := flags.String("db", "receiver.db", "the SQLite `file`, created if need be")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	if err := start(ctx, *addr, *path, secrets(getenv), stdout, log); err != nil {
		fmt.Fprintln(stderr, "receiver:", err)
		return 1
	}
	return 0
}

// secrets are the one in use and, during a rotation, the one before.
func secrets(getenv func(string) string) []alotwebhook.Secret {
	all := []alotwebhook.Secret{alotwebhook.Secret(getenv("ALOT_WEBHOOK_SECRET"))}
	if old := getenv("ALOT_WEBHOOK_OLD_SECRET"); old != "" {
		all = append(all, alotwebhook.Secret(old))
	}
	return all
}

// start opens the database, listens and works until ctx is done.
func start(ctx context.Context, addr, path string, secrets []alotwebhook.Secret, stdout io.Writer, log *slog.Logger) (err error) {
	// A wrong secret ends the program here, not at the first event.
	verifier, err := alotwebhook.NewVerifier(secrets...)
	if err != nil {
		return fmt.Errorf("ALOT_WEBHOOK_SECRET: %w", err)
	}
	results, err := openResults(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, results.close()) }()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "receiver: listening on http://%s\n", listener.Addr())
	return serve(ctx, newServer(routes(verifier, results, log), log), listener)
}

// newServer sets the limits that net/http leaves open. The time for a webhook's
// body is the Receiver's own.
func newServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      60 * time.Second, // the time for the body and the handler too
		IdleTimeout:       2 * time.Minute,  // longer than the 30 s that the sender keeps a connection
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// serve serves until ctx is done, and then lets what is under way finish: an
// event that is cut off comes again, but its work may be half done.
func serve(ctx context.Context, server *http.Server, listener net.Listener) error {
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	return server.Shutdown(drain)
}
