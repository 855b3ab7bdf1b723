// Receiver is a service as a customer would build it. It receives webhooks, verifies them
// and handles each event once.
//
//	export ALOT_WEBHOOK_SECRET=your-signing-secret
//	go run ./examples/receiver -db receiver.db
//
// For each completed candidate it stores a row in its own SQLite database, in one
// transaction with the mark that the event was handled. An event that comes again changes
// nothing, even if the process was killed in between. During the rotation of the secret,
// put the old one into ALOT_WEBHOOK_OLD_SECRET.
//
//	POST /alot/webhook   receives the webhooks
//	GET  /results        lists the rows as JSON; a real service would require a login
//
// After SIGTERM or SIGINT it finishes the requests under way and ends. A second signal ends
// it at once.
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

// drainTimeout is how long the requests under way may take after a signal. It is longer
// than a request can take.
const drainTimeout = 25 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run runs the program and returns its exit code: 0 after a clean end, 1 after an error, 2
// if the arguments are wrong.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("receiver", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "127.0.0.1:8081", "the `address` to listen on")
	path := flags.String("db", "receiver.db", "the SQLite `file`; it is created if it does not exist")
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

// secrets returns the secret in use and, during a rotation, the old one.
func secrets(getenv func(string) string) []alotwebhook.Secret {
	all := []alotwebhook.Secret{alotwebhook.Secret(getenv("ALOT_WEBHOOK_SECRET"))}
	if old := getenv("ALOT_WEBHOOK_OLD_SECRET"); old != "" {
		all = append(all, alotwebhook.Secret(old))
	}
	return all
}

// start opens the database, listens, and serves until ctx is done.
func start(ctx context.Context, addr, path string, secrets []alotwebhook.Secret, stdout io.Writer, log *slog.Logger) (err error) {
	// A missing secret must end the program now, and not show at the first event.
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

// newServer returns a server with the limits that net/http does not set by default. The
// Receiver limits the time for the body of a webhook itself.
func newServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      60 * time.Second, // includes the time for the body and the handler
		IdleTimeout:       2 * time.Minute,  // longer than the sender keeps an idle connection, 30 s
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// serve serves until ctx is done, and then lets the requests under way finish. If it cut
// one off, the sender would repeat the event, but the work might be half done.
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
