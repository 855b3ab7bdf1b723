package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
)

const secretVariable = "ALOT_JWT_SECRET"

type options struct {
	addr    string
	dev     bool
	observe bool                    // implies dev
	retries alotwebhook.RetryPolicy // nil for the dispatcher's default
	open    func(context.Context, *slog.Logger) (database, error)

	secret     []byte // signs the tokens
	madeSecret bool   // secret is random
}

// parse reads the arguments. If they are wrong, it prints why before it returns the error.
func parse(args []string, getenv func(string) string, stderr io.Writer) (*options, error) {
	o := &options{open: openMemory, secret: []byte(getenv(secretVariable))}
	fs := flag.NewFlagSet("monolith", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() { usage(fs) }
	fs.StringVar(&o.addr, "addr", "127.0.0.1:8080", "listen on `HOST:PORT`; port 0 takes a free one")
	fs.BoolVar(&o.dev, "dev", false, "for development: allow endpoints with plain http and on loopback, give anybody a token at GET /dev/token, and give org_demo a day of history")
	fs.BoolVar(&o.observe, "observe", false, "like -dev, with metrics at GET /metrics, the pages and the API for operators, and with an organization that fails and one that floods")
	fs.Func("store", "keep everything in `KIND`: memory, sqlite:PATH or postgres:DSN (default memory)", o.setStore)
	fs.Func("retries", "wait these `DURATIONS` before the second attempt, the third and so on, such as 300ms,900ms (default 30s,10m)", o.setRetries)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	o.dev = o.dev || o.observe
	err := o.check(fs.Args())
	if err != nil {
		fmt.Fprintln(stderr, "monolith:", err)
		fs.Usage()
	}
	return o, err
}

func usage(fs *flag.FlagSet) {
	fmt.Fprintf(fs.Output(), `usage: go run ./examples/monolith [-addr HOST:PORT] [-store KIND] [-dev] [-observe] [-retries DURATIONS]

Stands for a product that sends webhooks, with its API and its settings pages.
%s is the secret of its HS256 bearer tokens. Their claim organizationId
names the caller's organization. The secret is required; -dev makes a random one.

`, secretVariable)
	fs.PrintDefaults()
}

// check makes the checks that need more than one flag.
func (o *options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case len(o.secret) > 0:
		return nil
	case !o.dev:
		return errors.New(secretVariable + " is not set; set it to the secret of your tokens, or use -dev")
	}
	o.secret, o.madeSecret = []byte(rand.Text()+rand.Text()), true
	return nil
}

var errStore = errors.New("want memory, sqlite:PATH or postgres:DSN")

func (o *options) setStore(value string) error {
	kind, rest, _ := strings.Cut(value, ":")
	switch {
	case value == "memory":
		o.open = openMemory
	case kind == "sqlite" && rest != "":
		o.open = func(ctx context.Context, _ *slog.Logger) (database, error) { return openSQLite(ctx, rest) }
	case (kind == "postgres" || kind == "postgresql") && rest != "":
		if strings.HasPrefix(rest, "//") { // the whole value is a URL
			rest = value
		}
		o.open = func(ctx context.Context, log *slog.Logger) (database, error) { return openPostgres(ctx, rest, log) }
	default:
		return errStore
	}
	return nil
}

func (o *options) setRetries(value string) error {
	var waits []time.Duration
	for text := range strings.SplitSeq(value, ",") {
		wait, err := time.ParseDuration(strings.TrimSpace(text))
		if err != nil || wait <= 0 {
			return fmt.Errorf("%q is not a duration above 0", text)
		}
		waits = append(waits, wait)
	}
	o.retries = alotwebhook.Schedule(waits...)
	return nil
}

// config returns the dispatcher's configuration. Only with -dev can the dispatcher connect to
// this machine.
func (o *options) config(log *slog.Logger) *alotwebhook.Config {
	c := &alotwebhook.Config{Retry: o.retries, Logger: log}
	c.OnOperation = func(ctx context.Context, o alotwebhook.Operation) error { // or a mail to whom it concerns
		log.InfoContext(ctx, "operation", "type", o.Type, "organization", o.OrganizationID, "endpoint", o.EndpointID, "note", o.Note)
		return nil
	}
	if o.dev {
		c.AllowHTTP = true
		c.KeepResponseBody = 4 << 10 // shown on the pages
		c.AllowNets = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	return c
}

// warn logs the settings that are not fit for production.
func (o *options) warn(log *slog.Logger) {
	if o.dev {
		log.Warn("development: anybody who reaches this address gets a token of any organization", "addr", o.addr)
	}
	if o.madeSecret {
		log.Warn(secretVariable + " is not set: tokens are signed with a random secret and end with this process")
	} else if least := 32; len(o.secret) < least {
		log.Warn(secretVariable+" is short; RFC 7518 asks for as many bytes as the hash has", "bytes", len(o.secret), "least", least)
	}
}
