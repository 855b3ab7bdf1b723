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

// Server is a receiver on loopback for a producer's tests: it keeps every
// request as it came, verifies its signature, and answers 200 to what is
// verified and 401 to what is not, or as [Server.Answer] and [Server.Always] order.
// It is safe for concurrent use.
//
// A dispatcher sends to it with AllowHTTP and loopback among its AllowNets.
type Server struct {
	*httptest.Server

	mu       sync.Mutex
	secrets  []alotwebhook.Secret
	received []Received
	changed  chan struct{} // closed and replaced with every request
	next     []Answer
	always   *Answer

	closing context.Context
	stop    context.CancelFunc
}

// Received is one request as it came.
type Received struct {
	// At is when it had come whole, by this machine's clock.
	At     time.Time
	Method string
	// URI is the path and the query.
	URI    string
	Header http.Header
	// Body is the raw body, exactly the bytes that were signed.
	Body []byte
	// Event is the parsed payload; zero if Err is not nil.
	Event alotwebhook.Event
	// Err says why the request is not a good one: an error of
	// [alotwebhook.Verify] or [alotwebhook.ParseEvent], or that of reading the body.
	Err error
}

// NewServer starts a server that verifies with any of the secrets; more can
// come later with [Server.AddSecret], since an endpoint's secret is often made
// only when its URL is registered. It is closed when the test ends.
func NewServer(t testing.TB, secrets ...alotwebhook.Secret) *Server {
	t.Helper()
	s := newServer(secrets)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// NewTLSServer is [NewServer] over https. Its certificate is s.Certificate(),
// for the dispatcher's RootCAs.
func NewTLSServer(t testing.TB, secrets ...alotwebhook.Secret) *Server {
	t.Helper()
	s := newServer(secrets)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func newServer(secrets []alotwebhook.Secret) *Server {
	s := &Server{secrets: slices.Clone(secrets), changed: make(chan struct{})}
	s.closing, s.stop = context.WithCancel(context.Background())
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.receive))
	return s
}

// Close ends delayed and dripping answers and stops the server. It may be
// called again.
func (s *Server) Close() {
	s.stop()
	s.Server.Close()
}

// AddSecret accepts what this secret signed, too.
func (s *Server) AddSecret(secret alotwebhook.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets = append(s.secrets, secret)
}

// Answer orders the answers to the next requests, one each, in order of their
// coming; calls add up. Then it is as before.
func (s *Server) Answer(answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = append(s.next, answers...)
}

// Always orders the answer to every request for which [Server.Answer] has none.
func (s *Server) Always(a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always = &a
}

// Received returns what has come so far, oldest first.
func (s *Server) Received() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.received)
}

// Wait returns once at least n requests have come since the start, with all
// that have. If ctx ends first, the error says how many there were.
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
			return received, fmt.Errorf("webhooktest: %d of %d requests came: %w", len(received), n, ctx.Err())
		}
	}
}

func (s *Server) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	got := Received{At: time.Now(), Method: r.Method, URI: r.RequestURI, Header: r.Header.Clone(), Body: body, Err: err}
	if err == nil {
		got.Event, got.Err = s.verify(&got)
	}
	answer := s.record(got)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()
	answer.write(ctx, w)
}

// verify checks as a receiver does.
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

// record keeps a request and takes the answer that was ordered for it.
func (s *Server) record(got Received) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
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
