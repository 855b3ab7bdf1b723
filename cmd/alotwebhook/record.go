package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/alot/alotwebhook"
)

// listener is a running command listen.
type listener struct {
	app    *app
	flags  *listenFlags
	secret alotwebhook.Secret
	client *http.Client
	style  style
	quit   context.CancelFunc

	mu    sync.Mutex // guards the fields below, and the output
	count int
	kept  []*record // oldest first
}

// record is one request as it arrived.
type record struct {
	Number  int // from 1; 0 for a request that was refused
	At      time.Time
	Method  string
	URI     string
	Header  http.Header
	Body    []byte
	Problem error // why it is not verified
	Hints   []string
	Event   alotwebhook.Event
	NoEvent error // why it is no event
}

func (l *listener) store(rec *record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	rec.Number = l.count
	l.kept = append(l.kept, rec)
	if extra := len(l.kept) - l.flags.keep; extra > 0 {
		l.kept = slices.Delete(l.kept, 0, extra)
	}
}

// find returns the newest of the kept requests that has this number or event id, or
// the newest of all for "last".
func (l *listener) find(which string) (*record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, rec := range slices.Backward(l.kept) {
		if which == "last" || which == strconv.Itoa(rec.Number) || which == rec.Event.ID {
			return rec, nil
		}
	}
	if len(l.kept) == 0 {
		return nil, fmt.Errorf("no event is kept yet")
	}
	return nil, fmt.Errorf("no event %q is kept; the oldest one kept has number %d", which, l.kept[0].Number)
}

// records returns the kept requests, oldest first.
func (l *listener) records() []*record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.kept)
}

// perHop lists headers that belong to one connection, and are not passed on.
var perHop = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// pass sends a request to the receiver, with its exact bytes and headers.
func (l *listener) pass(ctx context.Context, rec *record) response {
	header := rec.Header.Clone()
	for _, line := range header["Connection"] { // it names more such headers
		for name := range strings.SplitSeq(line, ",") {
			header.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range perHop {
		header.Del(name)
	}
	if header.Get("User-Agent") == "" {
		header.Set("User-Agent", "") // net/http would add its own
	}
	return post(ctx, l.client, l.flags.client.timeout, l.flags.forward, header, rec.Body)
}

// replay sends a kept event to the receiver again.
func (l *listener) replay(ctx context.Context, which string) (*record, response, error) {
	if l.flags.forward == "" {
		return nil, response{}, fmt.Errorf("there is no receiver to send it to: start listen with --forward URL")
	}
	rec, err := l.find(which)
	if err != nil {
		return nil, response{}, err
	}
	got := l.pass(ctx, rec)
	l.print(rec, &got)
	return rec, got, nil
}

// print prints a request, and the receiver's response if there is one.
func (l *listener) print(rec *record, got *response) {
	text := l.readable(rec, got)
	if l.flags.asJSON {
		text = jsonLine(rec, got)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprint(l.app.out, text)
}

func (l *listener) readable(rec *record, got *response) string {
	var b strings.Builder
	s := l.style
	fmt.Fprintf(&b, "%s  %s", s.dim(rec.At.Format(time.TimeOnly)), rec.title(s))
	switch {
	case rec.Problem != nil && l.secret == "":
		b.WriteString("  " + s.dim("not verified: there is no secret"))
	case rec.Problem != nil:
		b.WriteString("  " + s.bad(plain(rec.Problem)))
	default:
		b.WriteString("  " + s.good("verified"))
	}
	if got != nil {
		b.WriteString("  → " + l.outcome(got))
	}
	b.WriteString("\n")
	for _, hint := range rec.Hints {
		b.WriteString("  - " + hint + "\n")
	}
	if rec.NoEvent != nil && rec.Problem == nil {
		b.WriteString("  - " + plain(rec.NoEvent) + "\n")
	}
	b.WriteString(indented(shown(rec.Body)))
	if got != nil && !got.ok() && len(got.body) > 0 {
		b.WriteString(s.dim("  the receiver said:") + "\n" + indented(shown(got.body)))
	}
	return b.String()
}

// title describes a request in a few words.
func (rec *record) title(s style) string {
	number := ""
	if rec.Number > 0 {
		number = "#" + strconv.Itoa(rec.Number) + "  "
	}
	if rec.NoEvent != nil {
		return number + fmt.Sprintf("%s %s, %d bytes", rec.Method, printable(rec.URI), len(rec.Body))
	}
	return number + s.bold(printable(rec.Event.Type)) + "  " + rec.Event.ID
}

func (l *listener) outcome(got *response) string {
	if got.err != nil {
		return got.said(l.style) + l.style.dim(" after "+took(got.took))
	}
	return l.style.status(got.status) + l.style.dim(" in "+took(got.took))
}

// passed is the receiver's response in JSON.
type passed struct {
	Status       int     `json:"status,omitempty"`
	Error        string  `json:"error,omitempty"`
	Milliseconds float64 `json:"milliseconds"`
}

func passedOf(got *response) *passed {
	if got == nil {
		return nil
	}
	p := &passed{Status: got.status, Milliseconds: float64(got.took.Microseconds()) / 1000}
	if got.err != nil {
		p.Error = got.err.Error()
	}
	return p
}

// jsonLine returns a request as one line of JSON. A body that is not UTF-8 is in
// base64.
func jsonLine(rec *record, got *response) string {
	line := struct {
		Number   int         `json:"number,omitempty"`
		At       time.Time   `json:"at"`
		Verified bool        `json:"verified"`
		Problem  string      `json:"problem,omitempty"`
		Hints    []string    `json:"hints,omitempty"`
		ID       string      `json:"id,omitempty"`
		Type     string      `json:"type,omitempty"`
		URI      string      `json:"uri"`
		Header   http.Header `json:"header"`
		Body     string      `json:"body,omitempty"`
		Raw      []byte      `json:"bodyBase64,omitempty"`
		Forward  *passed     `json:"forward,omitempty"`
	}{rec.Number, rec.At, rec.Problem == nil, "", rec.Hints, rec.Event.ID, rec.Event.Type, rec.URI, rec.Header, "", nil, passedOf(got)}
	if rec.Problem != nil {
		line.Problem = plain(rec.Problem)
	} else if rec.NoEvent != nil {
		line.Problem = plain(rec.NoEvent)
	}
	if utf8.Valid(rec.Body) {
		line.Body = string(rec.Body)
	} else {
		line.Raw = rec.Body
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(line) // it always encodes
	return b.String()
}
