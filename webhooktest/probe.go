package webhooktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

type doer = func(*http.Request) (*http.Response, error)

// probe runs the checks.
type probe struct {
	Battery
	ctx   context.Context
	do    doer
	local bool // the handler is in this process

	first     time.Duration // how long the first answer took
	refused   bool          // the first good event was refused
	silent    bool          // the first got no answer at all
	elsewhere bool          // the first was redirected
	unusable  bool
}

// shot is one request to be sent.
type shot struct {
	what    string // for the report: "with sha1= in front"
	method  string // empty: POST
	event   alotwebhook.Event
	body    []byte
	auth    http.Header // what signs it
	at      time.Time   // when it was signed, for Standard Webhooks
	header  http.Header
	chunked bool // without a Content-Length
	refusal int  // a status that refuses it, too, besides 4xx; 0: none
}

// answer is what came of it.
type answer struct {
	status int
	text   string // headers and body, to look for leaks in
	took   time.Duration
	err    error
}

func (a answer) ok() bool { return a.err == nil && a.status >= 200 && a.status < 300 }

func (a answer) refused() bool { return a.err == nil && a.status >= 400 && a.status < 500 }

func (a answer) String() string {
	if a.err == nil {
		return fmt.Sprintf("it answered %d %s", a.status, http.StatusText(a.status))
	}
	if p := (*panicked)(nil); errors.As(a.err, &p) {
		return fmt.Sprintf("it panicked: %v", p.value)
	}
	if errors.Is(a.err, context.DeadlineExceeded) {
		return fmt.Sprintf("there was no answer within %v", a.took.Truncate(time.Millisecond))
	}
	if e := (*url.Error)(nil); errors.As(a.err, &e) {
		return "there was no answer: " + e.Err.Error() // without the URL, which the caller knows
	}
	return "there was no answer: " + a.err.Error()
}

// event makes a new one of the type that the receiver is glad of.
func (p *probe) event() alotwebhook.Event {
	e, err := alotwebhook.NewEvent(p.EventType, p.OrganizationID, p.Data)
	if err != nil {
		panic(err) // settings has tried it
	}
	return e
}

// signed is a shot of exactly these bytes, signed.
func (p *probe) signed(e alotwebhook.Event, body []byte) shot {
	s := shot{event: e, body: body, at: time.Now()}
	if !p.StandardWebhooks {
		s.auth = signature(alotwebhook.Sign(body, p.Secret))
		return s
	}
	id := e.ID
	if id == "" {
		id = p.event().ID
	}
	s.auth = standardHeader(id, s.at, alotwebhook.SignStandard(body, id, s.at, p.Secret))
	return s
}

// signature is the header of that name, with these lines.
func signature(lines ...string) http.Header { return http.Header{alotwebhook.SignatureHeader: lines} }

// good is a new event, signed.
func (p *probe) good() shot {
	e := p.event()
	return p.signed(e, e.Payload())
}

// maxAnswer is how much of an answer's body is read.
const maxAnswer = 64 << 10

// send waits longer than the sender would, so that a late answer is seen as one.
func (p *probe) send(s shot) answer {
	ctx, cancel := context.WithTimeout(p.ctx, 2*p.Timeout)
	defer cancel()
	start := time.Now()
	resp, err := p.do(p.request(ctx, s))
	if err != nil {
		return answer{err: err, took: time.Since(start)}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	var text bytes.Buffer
	_ = resp.Header.Write(&text) // a buffer takes everything
	text.Write(body)
	return answer{status: resp.StatusCode, text: text.String(), took: time.Since(start), err: err}
}

func (p *probe) request(ctx context.Context, s shot) *http.Request {
	method := s.method
	if method == "" {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(ctx, method, p.URL, bytes.NewReader(s.body))
	if err != nil {
		panic(err) // settings has tried it
	}
	if s.chunked {
		r.ContentLength, r.GetBody = -1, nil
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "alotwebhook/1")
	r.Header.Set(alotwebhook.EventHeader, s.event.Type)
	r.Header.Set(alotwebhook.DeliveryHeader, deliveryID(s.event))
	r.Header.Set(alotwebhook.AttemptHeader, "1")
	for name, values := range s.header {
		r.Header[name] = values
	}
	for name, values := range s.auth {
		r.Header[name] = values
	}
	return r
}

// accepts sends what a right receiver accepts and acts on once. It returns the
// problem, or "".
func (p *probe) accepts(shots ...shot) string {
	for _, s := range shots {
		if a := p.send(s); !a.ok() {
			return s.say("a good event", a.String()+", not 2xx")
		}
		if n, known := p.handled(s); known && n != 1 {
			return s.say("a good event", fmt.Sprintf("it was answered with 2xx and acted on %s", times(n)))
		}
	}
	return ""
}

// refuses sends what a right receiver answers with a 4xx status and does not act on.
func (p *probe) refuses(shots ...shot) string {
	for _, s := range shots {
		a := p.send(s)
		if n, known := p.handled(s); known && n != 0 {
			return s.say("a request", fmt.Sprintf("%s, and acted on it %s", a, times(n)))
		}
		if !a.refused() && (a.err != nil || a.status != s.refusal) {
			return s.say("a request", a.String()+", not 4xx")
		}
	}
	return ""
}

// handled asks how often an event was acted on, if that can be known.
func (p *probe) handled(s shot) (n int, known bool) {
	if p.Handled == nil || s.event.ID == "" {
		return 0, false
	}
	return p.Handled(s.event.ID), true
}

// say puts what was sent before what happened.
func (s shot) say(kind, happened string) string {
	if s.what == "" {
		return "sent " + kind + ": " + happened
	}
	return "sent " + kind + " " + s.what + ": " + happened
}

func times(n int) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

// panicked is a handler's panic.
type panicked struct{ value any }

func (p *panicked) Error() string { return fmt.Sprintf("the handler panicked: %v", p.value) }

var errAborted = errors.New("the handler cut the connection")

// inProcess serves requests by a handler, each in a goroutine of its own, since
// one that hangs must not hang the test.
func inProcess(handler http.Handler) doer {
	type served struct {
		resp *http.Response
		err  error
	}
	return func(r *http.Request) (*http.Response, error) {
		done := make(chan served, 1)
		go func() {
			w := httptest.NewRecorder()
			defer func() {
				switch v := recover(); v {
				case nil:
					done <- served{resp: w.Result()}
				case http.ErrAbortHandler:
					done <- served{err: errAborted}
				default:
					done <- served{err: &panicked{v}}
				}
			}()
			handler.ServeHTTP(w, asServed(r))
		}()
		select {
		case s := <-done:
			return s.resp, s.err
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

// asServed turns a client's request into the one that a server hands on.
func asServed(r *http.Request) *http.Request {
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	in.RemoteAddr = "127.0.0.1:54321"
	in.Host = r.URL.Host
	// A server's request has its host apart.
	in.URL.Scheme, in.URL.Host = "", ""
	in.Header = cloneCanonical(r.Header)
	if r.ContentLength < 0 {
		in.TransferEncoding = []string{"chunked"}
	}
	return in
}

func cloneCanonical(h http.Header) http.Header {
	c := make(http.Header, len(h))
	for name, values := range h {
		if len(values) == 0 {
			continue // not sent
		}
		c[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	return c
}
