package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/alot/alotwebhook"
)

// listenFlags are the flags of the command listen.
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
		Long: `Receive events at any path of an address on this machine, verify them and print
them. With --forward, pass the exact bytes and headers on to your own receiver,
and respond as it does. Without --forward, the response is 200 to an event and 400
to a verified body that is not an event. A request that is not verified gets 401
and is not passed on; its likely mistake is printed. A challenge, by which a sender
wants the URL proven, is answered here.

The last events are kept, and your receiver can get them again. On a terminal, type
r and Enter for the last event, r and a number or an id for another one, l to list
them, and q to end. In another window, use the command replay.

The exit code is 0 when Ctrl-C or q ended it.`,
		Example: `  alotwebhook listen
  alotwebhook listen --forward http://localhost:3000/alot/webhook
  alotwebhook listen --json | jq .type
  alotwebhook send http://127.0.0.1:4280/          # in another window
  alotwebhook replay last`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("listen takes no arguments, and got %q; name your own receiver with --forward", args[0])
			}
			return nil
		},
		RunE: a.does(func(cmd *cobra.Command, _ []string) error { return a.listen(cmd.Context(), &f) }),
	}
	f.secrets.add(cmd)
	f.client.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.addr, "addr", defaultAddr, "the `address` to receive at; other machines can reach it unless it is on loopback")
	flags.StringVar(&f.control, "control", defaultControl, "the loopback `address` for the command replay; empty for none")
	flags.StringVar(&f.forward, "forward", "", "the `URL` of your own receiver")
	flags.IntVar(&f.keep, "keep", 100, "how many events to keep")
	flags.Int64Var(&f.maxBody, "max-body", alotwebhook.DefaultMaxBodyBytes, "the largest body to accept, in `bytes`")
	flags.BoolVar(&f.skipVerify, "skip-verify", false, "accept requests that are not verified, too; needs no secret")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object for each request")
	return cmd
}

func (a *app) listen(ctx context.Context, f *listenFlags) error {
	l, err := a.newListener(ctx, f)
	if err != nil {
		return err
	}
	ctx, l.quit = context.WithCancel(ctx)
	defer l.quit()
	receive, err := net.Listen("tcp", f.addr)
	if err != nil {
		return usagef("cannot receive at %s: %w; give another address with --addr", f.addr, err)
	}
	defer receive.Close()
	if leadsTo(f.forward, receive.Addr()) {
		return usagef("--forward is %s, where listen itself receives: each event would come again without an end; give the URL of your own receiver", printable(f.forward))
	}
	servers := []*served{a.serve(receive, http.HandlerFunc(l.receive))}
	fmt.Fprintf(a.err, "Receiving at http://%s/\n", receive.Addr())
	if f.control != "" {
		control, err := listenLoopback(f.control)
		if err != nil {
			return err
		}
		defer control.Close()
		servers = append(servers, a.serve(control, l.controls()))
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

// leadsTo reports whether a URL leads to an address of this machine.
func leadsTo(to string, at net.Addr) bool {
	u, err := url.Parse(to)
	addr, ok := at.(*net.TCPAddr)
	if err != nil || !ok || cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme]) != strconv.Itoa(addr.Port) {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
	return addr.IP.Equal(ip) || local && (addr.IP.IsUnspecified() || u.Hostname() == "localhost" && addr.IP.IsLoopback())
}

func (a *app) newListener(ctx context.Context, f *listenFlags) (*listener, error) {
	if f.forward != "" {
		if err := checkURL(f.forward); err != nil {
			return nil, err
		}
	}
	if f.keep < 0 || f.maxBody <= 0 {
		return nil, usagef("--keep must be 0 or more, and --max-body 1 or more")
	}
	l := &listener{app: a, flags: f, client: f.client.client(), style: a.styleFor(a.out)}
	secret, err := a.secret(ctx, &f.secrets)
	if f.skipVerify && a.none(&f.secrets) {
		return l, nil
	}
	l.secret = secret
	return l, err
}

// served is a running server. The channel ended gets the error that ends it.
type served struct {
	*http.Server
	ended chan error
}

// serve serves h. Errors of net/http go where those of the command go, and may quote what
// others sent.
func (a *app) serve(on net.Listener, h http.Handler) *served {
	s := &served{&http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: time.Minute,
		ErrorLog: log.New(printableWriter{a.err}, "", 0),
	}, make(chan error, 1)}
	go func() { s.ended <- s.Serve(on) }()
	return s
}

// wait returns when the context is done or a server fails, after the requests in
// progress have ended.
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

// receive handles one request: it verifies, keeps, passes on, prints and responds.
func (l *listener) receive(w http.ResponseWriter, r *http.Request) {
	body, ok := l.readBody(w, r)
	if !ok {
		return
	}
	rec := &record{At: time.Now(), Method: r.Method, URI: r.RequestURI, Header: r.Header.Clone(), Body: body}
	l.judge(rec)
	if rec.Problem != nil && !l.flags.skipVerify {
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		l.print(rec, nil)
		return
	}
	if l.proves(w, rec) {
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

// proves answers a challenge, by which a sender wants the URL proven, in the place of a receiver: so that
// works before there is one. It answers none that is not verified.
func (l *listener) proves(w http.ResponseWriter, rec *record) bool {
	if rec.Problem != nil || rec.NoEvent != nil {
		return false
	}
	answer := alotwebhook.Prove(rec.Event, l.secret)
	if answer == nil {
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer) // the sender may have hung up
	l.print(rec, nil)
	return true
}

// readBody returns the body of a POST. It refuses any other request itself.
func (l *listener) readBody(w http.ResponseWriter, r *http.Request) (body []byte, ok bool) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "Events come by POST.", http.StatusMethodNotAllowed)
		fmt.Fprintf(l.app.err, "%s %s got the response 405: events come by POST.\n", printable(r.Method), printable(r.RequestURI))
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, l.flags.maxBody))
	if limit := (*http.MaxBytesError)(nil); errors.As(err, &limit) {
		http.Error(w, "Body too large.", http.StatusRequestEntityTooLarge)
		fmt.Fprintf(l.app.err, "A body of more than %d bytes got the response 413; --max-body sets the limit.\n", limit.Limit)
		return nil, false
	}
	if err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, os.ErrDeadlineExceeded) {
			status = http.StatusRequestTimeout
		}
		w.Header().Set("Connection", "close") // what follows would be the rest of the body
		http.Error(w, "The body is not complete.", status)
		fmt.Fprintf(l.app.err, "A request whose body was not complete got the response %d: %s\n", status, plain(err))
		return nil, false
	}
	return body, true
}

// judge verifies a request and parses its event.
func (l *listener) judge(rec *record) {
	signatures := rec.Header[alotwebhook.SignatureHeader]
	switch {
	case l.secret == "":
		rec.Problem = alotwebhook.ErrNoSecret
	case len(signatures) > 1:
		rec.Problem = alotwebhook.ErrMalformedSignature
		rec.Hints = []string{"The request has several signature headers."}
	default:
		signature := rec.Header.Get(alotwebhook.SignatureHeader)
		if rec.Problem = alotwebhook.Verify(rec.Body, signature, l.secret); rec.Problem != nil {
			rec.Hints = diagnose(rec.Body, signature, l.secret)
		}
	}
	rec.Event, rec.NoEvent = alotwebhook.ParseEvent(rec.Body)
}

// status returns the status of the response where there is no --forward.
func (rec *record) status() int {
	switch encoding := rec.Header.Get("Content-Encoding"); {
	case encoding != "" && encoding != "identity":
		return http.StatusUnsupportedMediaType
	case rec.NoEvent != nil:
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// relay passes the receiver's response back.
func relay(w http.ResponseWriter, got response) {
	if got.err != nil || got.status < http.StatusOK { // net/http panics at a status below 100
		http.Error(w, "The receiver did not respond.", http.StatusBadGateway)
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
