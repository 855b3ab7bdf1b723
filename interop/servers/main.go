// Servers sends events to web servers that are in use, and prints as a table what became of them:
//
//	go run ./interop/servers
//	go run ./interop/servers -only nginx,puma -line 0
//
// Each server runs on loopback, on a port and in a folder of its own, with a receiver that notes what it
// was sent: an application, or behind a proxy one in Go. A burst of events of 300 B to 200 kB is sent, and
// the next one at about the moment at which the server ends the connections that are idle since: a client
// that takes such a connection must not lose its request. With a line of 20 ms the server's end is under
// way for longer, and is met more often. Last, events of 200 kB are sent to a path that is answered before
// the payload is read; the answer must not be lost either.
//
// A server that is not installed is named and left out. On Debian and Ubuntu all come from
//
//	apt-get install --no-install-recommends nginx apache2-bin haproxy caddy lighttpd varnish gunicorn \
//		uvicorn python3-uvloop python3-httptools python3-waitress puma php-cli php-fpm nodejs npm
//
// and with -node 18,22 further versions of Node from npm, into a temporary folder. As much as there is
// takes about half an hour, which is spent waiting. It ends with status 1 if any event was lost.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// options are the values of the flags.
type options struct {
	only, node string
	deliveries int
	burst      int
	lines      string
	parallel   int
	limit      time.Duration
}

func parse(args []string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("servers", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.only, "only", "", "beginnings of the names of servers, with commas between them; empty for all")
	flags.StringVar(&o.node, "node", "", "further versions of Node, from npm, with commas between them")
	flags.IntVar(&o.deliveries, "deliveries", 1500, "how many events each server is sent over each line")
	flags.IntVar(&o.burst, "burst", 50, "how many of them at once")
	flags.StringVar(&o.lines, "line", "0,20ms", "how long a line takes in each direction, with commas between them")
	flags.IntVar(&o.parallel, "parallel", 4, "how many servers are sent to at once")
	flags.DurationVar(&o.limit, "limit", time.Hour, "the bound of all of it")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.deliveries < 1 || o.burst < 1 || o.parallel < 1 {
		return o, errors.New("-deliveries, -burst and -parallel are at least 1")
	}
	return o, nil
}

func (o *options) delays() (all []time.Duration, err error) {
	for word := range strings.SplitSeq(o.lines, ",") {
		delay, err := time.ParseDuration(word)
		if err != nil {
			return nil, fmt.Errorf("-line: %w", err)
		}
		all = append(all, delay)
	}
	return all, nil
}

func (o *options) wants(name string) bool {
	return o.only == "" || slices.ContainsFunc(strings.Split(o.only, ","), func(begin string) bool {
		return strings.HasPrefix(strings.ToLower(name), strings.ToLower(begin))
	})
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	switch lost, err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "servers:", err)
		os.Exit(2)
	case lost:
		os.Exit(1)
	}
}

// run tries all servers, prints the table to out, and reports whether any event was lost.
func run(ctx context.Context, args []string, out, log io.Writer) (lost bool, err error) {
	o, err := parse(args, log)
	if err != nil {
		return false, err
	}
	delays, err := o.delays()
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	servers, clean, err := o.servers(ctx)
	defer clean()
	if err != nil {
		return false, err
	}
	rows := o.tryAll(ctx, servers, delays, log)
	fmt.Fprintf(out, "| server | idle connections end after | line | delivered | lost | handled twice | attempts | repeated within one | early answers read |\n")
	fmt.Fprintf(out, "|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, row := range rows {
		fmt.Fprintln(out, row)
		lost = lost || row.isBad()
	}
	fmt.Fprintf(out, "\nRun on %s by `go run ./interop/servers`, with %s on %s/%s.\n", time.Now().Format(time.DateOnly), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return lost, nil
}

// tryAll tries each server over each line, some at a time, and returns the rows in order.
func (o *options) tryAll(ctx context.Context, servers []server, delays []time.Duration, log io.Writer) []row {
	rows := make([]row, 0, len(servers)*len(delays))
	for _, s := range servers {
		for _, delay := range delays {
			rows = append(rows, row{server: s, delay: delay})
		}
	}
	var open sync.WaitGroup
	slots := make(chan struct{}, o.parallel)
	for i := range rows {
		slots <- struct{}{}
		open.Go(func() {
			defer func() { <-slots }()
			r := &rows[i]
			r.outcome, r.err = o.try(ctx, r.server, r.delay)
			fmt.Fprintf(log, "%s\n%s", r, r.notes())
		})
	}
	open.Wait()
	return rows
}

// try starts a server, sends to it, and ends it.
func (o *options) try(ctx context.Context, s server, delay time.Duration) (outcome, error) {
	running, err := start(ctx, s)
	if err != nil {
		return outcome{}, err
	}
	defer running.stop()
	return running.trial(ctx, o.deliveries, o.burst, delay)
}

// row is a line of the table.
type row struct {
	server  server
	delay   time.Duration
	outcome outcome
	err     error
}

func (r row) isBad() bool { return r.err != nil && !errors.Is(r.err, errMissing) || r.outcome.isBad() }

func (r row) String() string {
	line := "–"
	if r.delay > 0 {
		line = r.delay.String()
	}
	if r.err != nil {
		return fmt.Sprintf("| %s | | %s | %v |", r.server.title(), line, r.err)
	}
	o := &r.outcome
	return fmt.Sprintf("| %s | %s | %s | %d of %d | %d | %d | %d | %d | %d of %d |", r.server.title(), o.idleText(), line,
		o.delivered, o.sent, o.lost, o.twice, o.attempts, o.repeats, o.early, o.earlySent)
}

// notes are the failures that were met.
func (r row) notes() (text string) {
	for _, name := range slices.Sorted(maps.Keys(r.outcome.failures)) {
		text += fmt.Sprintf("  %d × %s\n", r.outcome.failures[name], name)
	}
	return text
}
