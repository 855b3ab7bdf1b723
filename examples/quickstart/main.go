// Quickstart shows webhooks at work, end to end, in a few seconds:
//
//	go run ./examples/quickstart
//
// A dispatcher on a SQLite file emits events of all four types to three
// endpoints of two organizations: one answers, one fails twice and then
// answers, one hangs. A receiver on loopback verifies what arrives. Then the
// history is read back. With -db PATH the file is kept, and running again
// continues where the last run ended.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// longest is how long a run may take before it ends with work left over.
var longest = 12 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code: 0 when all went well, Ctrl-C included; 1 when
// something failed; 2 when the arguments are wrong.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	path, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if err := demonstrate(ctx, path, stdout); err != nil {
		fmt.Fprintln(stderr, "quickstart:", err)
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (path string, err error) {
	fs := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprint(stderr, "usage: go run ./examples/quickstart [-db PATH]\n\n"+
			"Emits webhooks to three local endpoints, retries what fails and prints the history.\n\n")
		fs.PrintDefaults()
	}
	fs.StringVar(&path, "db", "", "the SQLite file at `PATH`, kept and continued by the next run (default a temporary one)")
	if err := fs.Parse(args); err != nil {
		return "", err
	}
	if fs.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
		fmt.Fprintln(stderr, "quickstart:", err)
		fs.Usage()
	}
	return path, err
}

// demonstrate runs the whole thing on the file at path, or on a temporary one.
func demonstrate(ctx context.Context, path string, w io.Writer) (err error) {
	note := "kept; run again to continue"
	if path == "" {
		dir, err := os.MkdirTemp("", "alotwebhook-quickstart-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		path, note = filepath.Join(dir, "quickstart.db"), "temporary; -db PATH keeps one"
	}
	out := &output{w: w, start: time.Now()}
	out.printf(`alotwebhook quickstart

  Database      %s
                (%s)
  Development   plain http and loopback addresses are allowed here, and by default are not
  Shortened     retries after %v and %v instead of 30s and 10m, timeout %v instead of 15s
`, path, note, retries[0], retries[1], timeout)
	return deliver(ctx, path, out)
}
