package webhooktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/alot/alotwebhook"
)

// Server is a receiver on loopback for a producer's tests. It keeps every request as it
// arrived and verifies its signature. The status of its responses is 200 for an event
// that is verified, with the proof if it is a challenge ([alotwebhook.Prove]), 400 for a signed body that is not an event, and 401 for any other
// request; [Server.Answer] and [Server.Always] replace them. It is safe for concurrent
// use.
//
// A dispatcher can send to it only if its Config has AllowHTTP (or, for
// [NewTLSServer], the certificate in RootCAs), and 127.0.0.0/8 in AllowNets.
type Server struct {
	*httptest.Server

	mu       sync.Mutex
	secrets  []alotwebhook.Secret
	received []Received
	changed  chan struct{} // closed and replaced by every request
	next     []Answer      // for the next requests, one each
	always   *Answer       // for all others; nil for the default

	closing context.Context
	stop    context.CancelFunc
}

// Received is one request as it arrived.
type Received struct {
	// At is when all of the request had arrived, by this machine's clock.
	At     time.Time
	Method string
	// URI is the path and the query.
	URI    string
	Header http.Header
	// Body is the body as it arrived, before any parsing.
	Body []byte
	// Event is the parsed payload; zero if Err is not nil.
	Event alotwebhook.Event
	// Err is nil for an event that is verified. Otherwise it is the error of
	// [alotwebhook.Verify], of [alotwebhook.ParseEvent], or of reading the body.
	Err error
}

// NewServer starts a server on http that accepts signatures by any of the secrets. Add
// more secrets by [Server.AddSecret]: an endpoint's secret is often made only when its
// URL is registered. The server is closed at the end of the test.
func NewServer(t testing.TB, secrets ...alotwebhook.Secret) *Server {
	t.Helper()
	s := NewUnstartedServer(t, secrets...)
	s.Start()
	return s
}

// NewTLSServer is [NewServer] on https. Add its certificate, the result of the method
// Certificate, to the dispatcher's RootCAs.
func NewTLSServer(t testing.TB, secrets ...alotwebhook.Secret) *Server {
	t.Helper()
	s := NewUnstartedServer(t, secrets...)
	s.StartTLS()
	return s
}

// NewUnstartedServer is [NewServer] without its start, for a server with TLS of its own: set the field
// TLS, as of an [httptest.Server], and call StartTLS. So it can have a certificate that has expired, or
// demand one of the client.
func NewUnstartedServer(t testing.TB, secrets ...alotwebhook.Secret) *Server {
	t.Helper()
	s := &Server{secrets: slices.Clone(secrets), changed: make(chan struct{})}
	s.closing, s.stop = context.WithCancel(context.Background())
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.receive))
	t.Cleanup(s.Close)
	return s
}

// Close stops the server. It ends responses that are delayed or sent byte by byte. It
// may be called more than once.
func (s *Server) Close() {
	s.stop()
	s.Server.Close()
}

// AddSecret makes the server accept signatures by this secret, too.
func (s *Server) AddSecret(secret alotwebhook.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets = append(s.secrets, secret)
}

// Answer sets the responses to the next requests, one for each, in the order in which
// the requests arrive. A further call adds responses after these. When all are used, the
// server responds as without Answer.
func (s *Server) Answer(answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = append(s.next, answers...)
}

// Always sets the response to every request for which [Server.Answer] has none.
func (s *Server) Always(a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always = &a
}

// Received returns the requests so far, oldest first.
func (s *Server) Received() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.received)
}

// Wait waits until at least n requests have arrived since the start of the server, and
// returns all of them, oldest first. If ctx ends before that, it also returns an error
// that says how many there were.
func (s *Server) Wait(ctx context.Context, n int) ([]Received, error) {
	for {
		s.mu.Lock()
		received, changed := slices.Clone(s.received), s.changed
		s.mu.Unlock()
		if len(received) >= n {
			return received, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return received, fmt.Errorf("webhooktest: %d of %d requests have arrived: %w", len(received), n, ctx.Err())
		}
	}
}

// receive is the handler of the server.
func (s *Server) receive(w http.ResponseWriter, r *http.Request) {
	got := Received{At: time.Now(), Method: r.Method, URI: r.RequestURI, Header: r.Header.Clone(), Err: ErrNotRead}
	answer, isEarly := s.recordEarly(got)
	if !isEarly {
		got.Body, got.Err = io.ReadAll(r.Body)
		got.At = time.Now()
		if got.Err == nil {
			got.Event, got.Err = s.verify(&got)
		}
		answer = s.record(got)
	}
	if answer.isDefault() {
		answer.Body = string(s.proof(&got))
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()
	answer.write(ctx, w)
}

// verify makes the checks that a receiver must make, and returns the event.
func (s *Server) verify(got *Received) (alotwebhook.Event, error) {
	s.mu.Lock()
	secrets := slices.Clone(s.secrets)
	s.mu.Unlock()
	signatures := got.Header[alotwebhook.SignatureHeader]
	if len(signatures) > 1 {
		return alotwebhook.Event{}, alotwebhook.ErrMalformedSignature
	}
	err := alotwebhook.ErrNoSecret
	for _, secret := range secrets {
		if err = alotwebhook.Verify(got.Body, got.Header.Get(alotwebhook.SignatureHeader), secret); err == nil {
			return alotwebhook.ParseEvent(got.Body)
		}
	}
	return alotwebhook.Event{}, err
}

// recordEarly keeps a request whose response does not wait for its body, and returns that response.
func (s *Server) recordEarly(got Received) (a Answer, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	isNext := len(s.next) > 0 && s.next[0].Early
	isAlways := len(s.next) == 0 && s.always != nil && s.always.Early
	if !isNext && !isAlways {
		return Answer{}, false
	}
	return s.keep(got), true
}

// proof returns the answer to a verified challenge, by which a producer asks for proof of the URL; nil to
// any other request.
func (s *Server) proof(got *Received) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range s.secrets {
		if got.Err == nil && alotwebhook.Verify(got.Body, got.Header.Get(alotwebhook.SignatureHeader), secret) == nil {
			return alotwebhook.Prove(got.Event, secret)
		}
	}
	return nil
}

// record keeps a request and returns its response.
func (s *Server) record(got Received) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keep(got)
}

// keep keeps a request and returns its response. The caller holds mu.
func (s *Server) keep(got Received) Answer {
	s.received = append(s.received, got)
	close(s.changed)
	s.changed = make(chan struct{})
	switch {
	case len(s.next) > 0:
		a := s.next[0]
		s.next = s.next[1:]
		return a
	case s.always != nil:
		return *s.always
	case errors.Is(got.Err, alotwebhook.ErrMalformedEvent):
		return Answer{Status: http.StatusBadRequest}
	case got.Err != nil:
		return Answer{Status: http.StatusUnauthorized}
	}
	return Answer{}
}
