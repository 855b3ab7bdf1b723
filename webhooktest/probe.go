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

// doer sends a request, like the Do method of an [http.Client].
type doer = func(*http.Request) (*http.Response, error)

// probe runs the checks of one battery.
type probe struct {
	Battery
	ctx   context.Context
	do    doer
	local bool // the handler is in this process

	first     time.Duration // how long the response to the first good event took
	refused   bool          // the first good event was refused
	silent    bool          // there was no response to it
	elsewhere bool          // the response was a redirect
	refusal   int           // its status, if that is not 2xx
	unusable  bool          // the settings of the battery are wrong

	notRaw     string // the problem of the check of the raw body
	cause, why string // the check that has found what would make all others fail, and what these say of it
	name       string // the check that is being made
	taken      bool   // a good event was accepted
	lost       string // says since when good events are not accepted any more
	limits     bool   // a limit of requests is why
	last       int    // the status of the last response; once all is lost, that of every good event
	unsure     []unproven
	failed     map[string]bool   // the checks that have found a problem
	narrow     bool              // unknown fields in the data are refused
	odd        map[string]string // the word for the refusal, of each problem that is one with neither 2xx nor 4xx
	odds       map[string]string // the check that has found it, of each such word
	change     string            // what to change, in place of the check's own text
	unverified string            // says that no signature is verified
	trims      bool              // the signature is verified over the trimmed body, and a check has said so
	reencoded  *bool             // what reencodes returns, once it is known
}

// shot is one request to be sent.
type shot struct {
	what    string // describes it in the report: "with sha1= in front"
	method  string // empty for POST
	event   alotwebhook.Event
	body    []byte
	auth    http.Header // the headers of the signature
	at      time.Time   // the signed time, for Standard Webhooks
	header  http.Header // replaces other headers
	chunked bool        // without a Content-Length
	refusal int         // a status other than 4xx that also refuses it; 0 for none
}

// response is the receiver's response to a shot, or the error instead of one.
type response struct {
	status int
	text   string // headers and body, to be searched for leaks
	body   string
	took   time.Duration
	err    error
}

func (a response) ok() bool { return a.err == nil && a.status >= 200 && a.status < 300 }

// refused does not take 429 for a refusal: that is the response of a limit, which has judged nothing.
func (a response) refused() bool {
	return a.err == nil && a.status >= 400 && a.status < 500 && a.status != http.StatusTooManyRequests
}

// timedOut reports whether there was no response although the battery has waited for it.
func (a response) timedOut() bool { return errors.Is(a.err, context.DeadlineExceeded) }

func (a response) String() string {
	if a.err == nil {
		return fmt.Sprintf("the response was %d %s", a.status, http.StatusText(a.status))
	}
	if p := (*panicked)(nil); errors.As(a.err, &p) {
		return p.Error()
	}
	if a.timedOut() {
		return fmt.Sprintf("there was no response within %v", a.took.Truncate(time.Millisecond))
	}
	if e := (*url.Error)(nil); errors.As(a.err, &e) {
		return "there was no response: " + e.Err.Error() // leaves out the URL, since the caller knows it
	}
	return "there was no response: " + a.err.Error()
}

// event returns a new event that the receiver must handle.
func (p *probe) event() alotwebhook.Event {
	e, err := alotwebhook.NewEvent(p.EventType, p.OrganizationID, p.Data)
	if err != nil {
		panic(err) // cannot happen: settings has tried the same
	}
	return e
}

// signed returns a shot of exactly these bytes with a good signature.
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

// signature returns signature headers with these values.
func signature(lines ...string) http.Header { return http.Header{alotwebhook.SignatureHeader: lines} }

// good returns a shot of a new event with a good signature.
func (p *probe) good() shot {
	e := p.event()
	return p.signed(e, e.Payload())
}

// maxResponse is how much of a response's body is read, in bytes.
const maxResponse = 64 << 10

// exchange sends a shot and returns the response. It waits twice as long as the sender
// would, so that it can tell a late response from none.
func (p *probe) exchange(s shot) response {
	ctx, cancel := context.WithTimeout(p.ctx, 2*p.Timeout)
	defer cancel()
	start := time.Now()
	resp, err := p.do(p.request(ctx, s))
	switch {
	case err != nil:
	case resp == nil:
		err = errors.New("do returned neither a response nor an error")
	case resp.Body == nil:
		err = errors.New("do returned a response whose Body is nil; set it to http.NoBody, if there is none")
	}
	if err != nil {
		return response{err: err, took: time.Since(start)}
	}
	defer resp.Body.Close()
	var body []byte
	if resp.StatusCode != http.StatusSwitchingProtocols { // there, Body is the bare connection: ctx does not end a read of it
		body, err = io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	}
	var text bytes.Buffer
	_ = resp.Header.Write(&text) // a buffer never fails
	text.Write(body)
	return response{status: resp.StatusCode, text: text.String(), body: string(body), took: time.Since(start), err: err}
}

// request returns the HTTP request of a shot.
func (p *probe) request(ctx context.Context, s shot) *http.Request {
	method := s.method
	if method == "" {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(ctx, method, p.URL, bytes.NewReader(s.body))
	if err != nil {
		panic(err) // cannot happen: settings has tried the same
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

// These follow the description of a response in a problem.
const (
	mustAccept = "; the status must be 2xx"
	mustRefuse = "; the status must be 4xx"
)

// accepts sends shots that a right receiver accepts and handles once. It returns the
// problem, or "".
func (p *probe) accepts(shots ...shot) string {
	for _, s := range shots {
		a := p.send(s)
		if !a.ok() {
			return s.say("a good event", a.String()+mustAccept)
		}
		if n, known := p.handled(s); known && n != 1 {
			return s.say("a good event", fmt.Sprintf("%s, and the event %s; it must be handled once", a, handledTimes(n)))
		}
	}
	return ""
}

// refuses sends shots that a right receiver refuses with a 4xx status and does not
// handle. It returns the problem, or "". To accept one is worse than to refuse it in an odd way, so it tries all.
func (p *probe) refuses(shots ...shot) (odd string) {
	for _, s := range shots {
		a := p.send(s)
		if n, known := p.handled(s); known && n != 0 {
			return s.say("a request", fmt.Sprintf("%s, and the event %s; it must not be handled", a, handledTimes(n)))
		}
		if a.ok() || p.lost != "" {
			return s.say("a request", a.String()+mustRefuse)
		}
		if odd == "" && !a.refused() && (a.err != nil || a.status != s.refusal) {
			odd = s.say("a request", a.String()+mustRefuse)
			p.odd[odd] = a.oddly()
		}
		if a.timedOut() {
			return odd // the others would take as long
		}
	}
	return odd
}

// handled returns how often the event of a shot was handled. It is not known without
// [Battery.Handled], or if the shot has no event.
func (p *probe) handled(s shot) (n int, known bool) {
	if p.Handled == nil || s.event.ID == "" {
		return 0, false
	}
	return p.Handled(s.event.ID), true
}

// say returns a problem: a description of the shot, and then what happened.
func (s shot) say(kind, happened string) string {
	if s.what == "" {
		return "sent " + kind + ": " + happened
	}
	return "sent " + kind + " " + s.what + ": " + happened
}

// handledTimes says how often an event was handled, as the rest of a sentence.
func handledTimes(n int) string {
	switch n {
	case 0:
		return "was not handled"
	case 1:
		return "was handled once"
	case 2:
		return "was handled twice"
	}
	return fmt.Sprintf("was handled %d times", n)
}

// panicked is a handler's panic.
type panicked struct{ value any }

func (p *panicked) Error() string { return fmt.Sprintf("the handler panicked: %v", p.value) }

var errAborted = errors.New("the handler cut the connection")

// inProcess returns a doer that calls a handler in this process. Each request has its own
// goroutine, so that a handler that hangs does not hang the test.
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

// asServed returns a client's request as a server would pass it to its handler.
func asServed(r *http.Request) *http.Request {
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	in.RemoteAddr = "127.0.0.1:54321"
	in.Host = r.URL.Host
	// In a server's request, the host is in the field Host only.
	in.URL.Scheme, in.URL.Host = "", ""
	in.Header = cloneCanonical(r.Header)
	if r.ContentLength < 0 {
		in.TransferEncoding = []string{"chunked"}
	}
	return in
}

// cloneCanonical copies a header as it would arrive: with canonical names, and without
// names that have no value.
func cloneCanonical(h http.Header) http.Header {
	c := make(http.Header, len(h))
	for name, values := range h {
		if len(values) == 0 {
			continue // a client would not send it
		}
		c[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	return c
}
