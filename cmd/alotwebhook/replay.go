package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/alot/alotwebhook/cmd/alotwebhook/internal/moving"
)

// controlHeader is a header that every request to the controls must have. A browser
// asks before it sends such a header to another site, and gets no permission here,
// so no web page can read or replay events.
const controlHeader = "X-Alot-Control"

// listenLoopback listens at an address that only this machine can reach.
func listenLoopback(addr string) (net.Listener, error) {
	at, err := netip.ParseAddrPort(strings.Replace(addr, "localhost:", "127.0.0.1:", 1))
	if err != nil || !at.Addr().IsLoopback() {
		return nil, usagef("--control is %q; it must be an address on loopback with a port, such as %s, or empty", addr, defaultControl)
	}
	control, err := net.Listen("tcp", at.String())
	if err != nil {
		return nil, usagef("cannot wait for replays at %s: %w; if another listen runs there, give --control another port", addr, err)
	}
	return control, nil
}

// kept is a kept event, as the command replay sees it.
type kept struct {
	Number int       `json:"number"`
	At     time.Time `json:"at"`
	ID     string    `json:"id,omitempty"`
	Type   string    `json:"type,omitempty"`
}

// replayed is a replayed event with the receiver's response.
type replayed struct {
	kept
	Response *passed `json:"response"`
}

func keptOf(rec *record) kept { return kept{rec.Number, rec.At, rec.Event.ID, rec.Event.Type} }

// controls returns the handler that the command replay talks to.
func (l *listener) controls() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, _ *http.Request) {
		list := []kept{}
		for _, rec := range l.records() {
			list = append(list, keptOf(rec))
		}
		respondJSON(w, list)
	})
	mux.HandleFunc("POST /events/{which}/replay", func(w http.ResponseWriter, r *http.Request) {
		rec, got, err := l.replay(r.Context(), r.PathValue("which"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		respondJSON(w, replayed{keptOf(rec), passedOf(&got)})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(controlHeader, "1") // tells replay that the text of an error is for it
		// Anybody can make a name of theirs point to loopback, so a name is refused.
		if host, err := netip.ParseAddrPort(r.Host); err != nil || !host.Addr().IsLoopback() || r.Header.Get(controlHeader) == "" {
			http.Error(w, "Only for the command alotwebhook replay.", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func respondJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}

// keys obeys the lines that are typed.
func (l *listener) keys(ctx context.Context, in io.Reader) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		word, which, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		switch word {
		case "":
		case "r":
			if which = strings.TrimPrefix(strings.TrimSpace(which), "#"); which == "" {
				which = "last"
			}
			if _, _, err := l.replay(ctx, which); err != nil {
				fmt.Fprintln(l.app.err, plain(err))
			}
		case "l":
			l.list()
		case "q":
			l.quit()
			return
		default:
			fmt.Fprintln(l.app.err, "r replays the last event, r 3 or r evt_… that one, l lists them, q ends.")
		}
	}
}

func (l *listener) list() {
	for _, rec := range l.records() {
		fmt.Fprintf(l.app.err, "%s  %s\n", rec.At.Format(time.TimeOnly), rec.title(l.app.styleFor(l.app.err)))
	}
}

func (a *app) replayCommand() *cobra.Command {
	var control string
	var list bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "replay [ID]",
		Short: "Make a running listen send an event to your receiver again",
		Long: `Make a running listen send one of the events that it keeps to your receiver again,
with the same bytes and headers. ID is the number or the id of the event; without
it, the last event is sent.

The exit code is 0 for a 2xx response and 1 for anything else.`,
		Example: `  alotwebhook replay
  alotwebhook replay 3
  alotwebhook replay evt_01jcc7wjz3e4qv8x5k2m9n6p0r
  alotwebhook replay --list`,
		Args: cobra.MaximumNArgs(1),
		RunE: a.does(func(cmd *cobra.Command, args []string) error {
			c := controlClient{base: "http://" + strings.Replace(control, "localhost:", "127.0.0.1:", 1), timeout: timeout}
			if list {
				return a.listKept(cmd.Context(), c)
			}
			which := "last"
			if len(args) > 0 {
				which = strings.TrimPrefix(args[0], "#")
			}
			if which == "" || which == "." || which == ".." {
				return usagef("%q is no id of an event; give its number or its id, or none for the last event", args[0])
			}
			return a.replay(cmd.Context(), c, which)
		}),
	}
	cmd.Flags().StringVar(&control, "control", defaultControl, "the `address` that listen printed")
	cmd.Flags().BoolVar(&list, "list", false, "list the events that are kept")
	timeoutFlag(cmd, &timeout, time.Minute, "how long to wait for the response")
	return cmd
}

func (a *app) listKept(ctx context.Context, c controlClient) error {
	var list []kept
	if err := c.ask(ctx, http.MethodGet, "/events", &list); err != nil {
		return err
	}
	for _, k := range list {
		fmt.Fprintf(a.out, "#%-4d %s  %-24s %s\n", k.Number, k.At.Format(time.TimeOnly), printable(k.Type), printable(k.ID))
	}
	return nil
}

func (a *app) replay(ctx context.Context, c controlClient, which string) error {
	var r replayed
	if err := c.ask(ctx, http.MethodPost, "/events/"+url.PathEscape(which)+"/replay", &r); err != nil {
		return err
	}
	if r.Response == nil || r.Number == 0 {
		return c.notListen("what it has sent is no event")
	}
	style := a.styleFor(a.out)
	var failure error
	if r.Response.Error != "" {
		failure = errors.New(r.Response.Error)
	}
	got := style.response(r.Response.Status, failure)
	fmt.Fprintf(a.out, "#%d  %s  %s  → %s %s\n", r.Number, style.bold(printable(r.Type)), printable(r.ID), got,
		style.dim("in "+took(time.Duration(r.Response.Milliseconds*float64(time.Millisecond)))))
	if r.Response.Error != "" || r.Response.Status < 200 || r.Response.Status > 299 {
		return errSaid
	}
	return nil
}

// controlClient talks to a running listen.
type controlClient struct {
	base    string
	timeout time.Duration
}

func (c controlClient) ask(ctx context.Context, method, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, nil)
	if err != nil {
		return usageError{err}
	}
	r.Header.Set(controlHeader, "1")
	client := (&clientFlags{}).client()
	defer client.CloseIdleConnections()
	resp, err := client.Do(r)
	if err = moving.Cause(err); errors.Is(err, moving.ErrInterrupted) {
		return err
	}
	if err != nil {
		return fmt.Errorf("`alotwebhook listen` is not running at %s: %w; start it, or give the address that it printed as --control", c.base, err)
	}
	body, err := moving.Body(resp, maxControl)
	said := strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
	switch {
	case errors.Is(err, context.Canceled):
		return moving.ErrInterrupted
	case err != nil:
		return c.notListen(fmt.Sprintf("the response was %s, but %v", said, moving.Cause(err)))
	case resp.StatusCode != http.StatusOK && resp.Header.Get(controlHeader) != "":
		return errors.New(strings.TrimSpace(string(body)))
	case resp.StatusCode != http.StatusOK || json.Unmarshal(body, into) != nil:
		return c.notListen("the response was " + said)
	}
	return nil
}

// maxControl is how much of a response is read, in bytes: a list has 150 for each event that is kept.
const maxControl = 16 << 20

// notListen says that something else is at the address.
func (c controlClient) notListen(found string) error {
	return fmt.Errorf("%s is not what `alotwebhook listen` answers as: %s; give the address that listen printed as --control", c.base, found)
}
