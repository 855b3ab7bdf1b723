// Quickstart shows webhooks at work, from end to end, in a few seconds:
//
//	go run ./examples/quickstart
//
// A dispatcher on a SQLite file sends events of all four types to three endpoints of two
// organizations. One responds at once, one fails twice before it responds, and one never
// responds. A receiver on loopback verifies the requests. At the end, the program prints
// the history. With -db PATH it keeps the file, and the next run continues with it.
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

// longest is how long the dispatcher runs at most. Deliveries that are not finished by then
// stay pending.
var longest = 12 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run runs the program and returns its exit code: 0 after a clean end, also by Ctrl-C; 1
// after an error; 2 if the arguments are wrong.
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
			"Sends webhooks to three local endpoints, retries the failures and prints the history.\n\n")
		fs.PrintDefaults()
	}
	fs.StringVar(&path, "db", "", "keep everything in the SQLite file at `PATH`, with which the next run continues (default a temporary file)")
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

// demonstrate runs the demonstration on the file at path, or on a temporary one.
func demonstrate(ctx context.Context, path string, w io.Writer) (err error) {
	note := "kept; run again to continue"
	if path == "" {
		dir, err := os.MkdirTemp("", "alotwebhook-quickstart-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		path, note = filepath.Join(dir, "quickstart.db"), "temporary; use -db PATH to keep one"
	}
	out := &output{w: w, start: time.Now()}
	out.printf(`alotwebhook quickstart

  Database      %s
                (%s)
  Development   plain http and loopback addresses are allowed; by default they are refused
  Shortened     retries after %v and %v instead of 30s and 10m, timeout %v instead of 15s
`, path, note, retries[0], retries[1], timeout)
	return deliver(ctx, path, out)
}
