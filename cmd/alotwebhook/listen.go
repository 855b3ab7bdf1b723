package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/alot/alotwebhook"
)

// listenFlags are the command's own.
type listenFlags struct {
	secrets secretFlags
	client  clientFlags

	addr, control, forward string
	keep                   int
	maxBody                int64
	skipVerify, asJSON     bool
}

const (
	defaultAddr    = "127.0.0.1:4280"
	defaultControl = "127.0.0.1:4281"
)

func (a *app) listenCommand() *cobra.Command {
	var f listenFlags
	cmd := &cobra.Command{
		Use:   "listen",
		Short: "Receive events, verify and print them, and pass them on to your own receiver",
		Long: `Receive events at any path of an address on this machine, verify and print them,
and, with --forward, pass the exact bytes and headers on to your own receiver,
whose answer becomes the answer. Without --forward they are answered with 200, and
what is verified but no event with 400. What is not verified is answered with 401,
printed with what may be wrong, and not passed on.

The last events are kept and can be sent to your receiver again: on a terminal,
type r and Enter for the last one, or r with its number or id; from elsewhere, by
the command replay. l lists them, q ends.

The exit code is 0 when it was ended by Ctrl-C or q.`,
		Example: `  alotwebhook listen
  alotwebhook listen --forward http://localhost:3000/alot/webhook
  alotwebhook listen --json | jq .type
  alotwebhook send http://127.0.0.1:4280/          # in another window
  alotwebhook replay last`,
		Args: cobra.NoArgs,
		RunE: a.does(func(cmd *cobra.Command, _ []string) error { return a.listen(cmd.Context(), &f) }),
	}
	f.secrets.add(cmd)
	f.client.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.addr, "addr", defaultAddr, "the `address` to receive at; one that is not on loopback can be reached by others")
	flags.StringVar(&f.control, "control", defaultControl, "the loopback `address` at which the command replay asks; empty: none")
	flags.StringVar(&f.forward, "forward", "", "the `URL` of your own receiver")
	flags.IntVar(&f.keep, "keep", 100, "how many events to keep")
	flags.Int64Var(&f.maxBody, "max-body", alotwebhook.DefaultMaxBodyBytes, "the largest body that is taken, in `bytes`")
	flags.BoolVar(&f.skipVerify, "skip-verify", false, "take what is not verified, too; works without a secret")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object for each request")
	return cmd
}

func (a *app) listen(ctx context.Context, f *listenFlags) error {
	l, err := a.newListener(f)
	if err != nil {
		return err
	}
	ctx, l.quit = context.WithCancel(ctx)
	defer l.quit()
	receive, err := net.Listen("tcp", f.addr)
	if err != nil {
		return usagef("cannot receive at %s: %w", f.addr, err)
	}
	defer receive.Close()
	servers := []*served{serve(receive, http.HandlerFunc(l.receive))}
	fmt.Fprintf(a.err, "Receiving at http://%s/\n", receive.Addr())
	if f.control != "" {
		control, err := listenLoopback(f.control)
		if err != nil {
			return err
		}
		defer control.Close()
		servers = append(servers, serve(control, l.controls()))
		fmt.Fprintf(a.err, "Replaying at http://%s/\n", control.Addr())
	}
	if f.forward != "" {
		fmt.Fprintf(a.err, "Forwarding to %s\n", printable(f.forward))
	}
	if a.isTerminal(a.in) {
		fmt.Fprintln(a.err, "Keys: r replays the last event, l lists them, q ends; then Enter.")
		go l.keys(ctx, a.in)
	}
	return l.wait(ctx, servers)
}

func (a *app) newListener(f *listenFlags) (*listener, error) {
	if f.forward != "" {
		if err := checkURL(f.forward); err != nil {
			return nil, err
		}
	}
	if f.keep < 0 || f.maxBody <= 0 {
		return nil, usagef("--keep must be 0 or more, and --max-body 1 or more")
	}
	l := &listener{app: a, flags: f, client: f.client.client(), style: a.styleFor(a.out)}
	secret, err := a.secret(&f.secrets)
	if f.skipVerify && a.none(&f.secrets) {
		return l, nil
	}
	l.secret = secret
	return l, err
}

// served is a server at work; ended gets its error.
type served struct {
	*http.Server
	ended chan error
}

func serve(on net.Listener, h http.Handler) *served {
	s := &served{&http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: time.Minute}, make(chan error, 1)}
	go func() { s.ended <- s.Serve(on) }()
	return s
}

// wait ends with the context or with the first server that fails, and lets the
// requests under way end.
func (l *listener) wait(ctx context.Context, servers []*served) error {
	failed := make(chan error, len(servers))
	for _, s := range servers {
		go func() { failed <- <-s.ended }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, s := range servers {
		if s.Shutdown(last) != nil {
			_ = s.Close()
		}
	}
	l.client.CloseIdleConnections()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// receive takes one request: verify, pass on, keep, print, answer.
func (l *listener) receive(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "Events come by POST.", http.StatusMethodNotAllowed)
		fmt.Fprintf(l.app.err, "%s %s was answered with 405: events come by POST.\n", printable(r.Method), printable(r.RequestURI))
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, l.flags.maxBody))
	if limit := (*http.MaxBytesError)(nil); errors.As(err, &limit) {
		http.Error(w, "Body too large.", http.StatusRequestEntityTooLarge)
		fmt.Fprintf(l.app.err, "A body of more than %d bytes was answered with 413.\n", limit.Limit)
		return
	}
	if err != nil {
		fmt.Fprintf(l.app.err, "A body broke off: %s\n", plain(err))
		return
	}
	rec := &record{At: time.Now(), Method: r.Method, URI: r.RequestURI, Header: r.Header.Clone(), Body: body}
	l.judge(rec)
	if rec.Problem != nil && !l.flags.skipVerify {
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		l.print(rec, nil)
		return
	}
	l.store(rec)
	if l.flags.forward == "" {
		w.WriteHeader(rec.status())
		l.print(rec, nil)
		return
	}
	got := l.pass(r.Context(), rec)
	l.print(rec, &got)
	relay(w, got)
}

// judge verifies a request and reads its event as far as it is one.
func (l *listener) judge(rec *record) {
	signatures := rec.Header[alotwebhook.SignatureHeader]
	switch {
	case l.secret == "":
		rec.Problem = alotwebhook.ErrNoSecret
	case len(signatures) > 1:
		rec.Problem = alotwebhook.ErrMalformedSignature
		rec.Hints = []string{"The signature header stands there several times."}
	default:
		signature := rec.Header.Get(alotwebhook.SignatureHeader)
		if rec.Problem = alotwebhook.Verify(rec.Body, signature, l.secret); rec.Problem != nil {
			rec.Hints = diagnose(rec.Body, signature, l.secret)
		}
	}
	rec.Event, rec.NoEvent = alotwebhook.ParseEvent(rec.Body)
}

// status is the answer where there is no receiver behind to give one.
func (rec *record) status() int {
	switch encoding := rec.Header.Get("Content-Encoding"); {
	case encoding != "" && encoding != "identity":
		return http.StatusUnsupportedMediaType
	case rec.NoEvent != nil:
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// relay answers with the receiver's answer.
func relay(w http.ResponseWriter, got answer) {
	if got.err != nil {
		http.Error(w, "The receiver behind gave no answer.", http.StatusBadGateway)
		return
	}
	for _, name := range []string{"Content-Type", "Retry-After", "Location"} {
		if values := got.header[name]; values != nil {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(got.status)
	_, _ = w.Write(got.body) // the sender may have hung up
}
