package alotwebhook

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alot/alotwebhook/internal/guard"
)

// The unsigned headers that come with a request, for people and for routing.
// What a receiver acts on is in the signed payload.
const (
	EventHeader    = "X-Alot-Event"    // the event type
	DeliveryHeader = "X-Alot-Delivery" // the delivery's id
	AttemptHeader  = "X-Alot-Attempt"  // the attempt's number, from 1
)

// sender makes attempts.
type sender struct {
	cfg       *Config
	transport http.RoundTripper
	closeIdle func()

	mu      sync.RWMutex
	targets map[string]*target // by endpoint id
}

// target is what all attempts to one version of an endpoint share.
type target struct {
	version      int64
	url          *url.URL
	secret, next Secret
	nextAt       time.Time
	err          error // why it cannot be sent to
}

// maxTargets bounds the memory of endpoints that are not sent to any more.
const maxTargets = 16_384

func newSender(cfg *Config) (*sender, error) {
	base := guard.NewTransport(guard.TransportConfig{
		Guard:          cfg.guard(),
		Resolver:       cfg.Resolver,
		RootCAs:        cfg.RootCAs,
		ConnectTimeout: cfg.ConnectTimeout,
		TLSTimeout:     cfg.TLSTimeout,
		MaxInFlight:    cfg.InFlight,
		MaxHeaderBytes: int64(cfg.MaxResponseHeader),
	})
	s := &sender{cfg: cfg, transport: base, closeIdle: base.CloseIdleConnections, targets: map[string]*target{}}
	if cfg.WrapTransport != nil {
		s.transport = cfg.WrapTransport(base)
	}
	if isNil(s.transport) {
		return nil, &FieldError{Field: "WrapTransport", Problem: "returned nil; return a transport that sends through the one it was given"}
	}
	return s, nil
}

// result is an attempt with what it asks of the dispatcher.
type result struct {
	attempt Attempt
	// retryAfter is how long the receiver asked to be left alone.
	retryAfter time.Duration
	// final: a further attempt would be useless.
	final bool
}

// attempt makes the request. ok is false when ctx ended it: that is no attempt.
func (s *sender) attempt(ctx context.Context, c *Claimed) (r result, ok bool) {
	start := time.Now()
	r.attempt = Attempt{Number: c.Attempt, StartedAt: start}
	a := &r.attempt
	t := s.target(c.Endpoint)
	switch {
	case t.err != nil:
		a.Reason, a.Detail = unsendable(t.err)
		return r, true
	case c.Payload == nil:
		a.Reason, a.Detail, r.final = ReasonUnsendable, "the payload was erased after its retention time", true
		return r, true
	}
	attemptCtx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	resp, err := s.transport.RoundTrip(s.request(attemptCtx, c, t, start))
	if err == nil {
		a.StatusCode = resp.StatusCode
		r.retryAfter = retryAfter(resp.Header, start)
		a.ResponseBody, err = s.readBody(resp)
	}
	a.Duration = time.Since(start)
	if err != nil && ctx.Err() != nil {
		return r, false
	}
	if err != nil {
		a.Reason, a.Detail = classify(err)
	} else {
		a.Reason, a.Detail = judge(a.StatusCode)
	}
	return r, true
}

// target prepares an endpoint, or finds it prepared.
func (s *sender) target(e *Endpoint) *target {
	s.mu.RLock()
	t := s.targets[e.ID]
	s.mu.RUnlock()
	if t != nil && t.version == e.Version {
		return t
	}
	t = &target{version: e.Version, nextAt: e.NextSecretAt}
	if t.url, t.err = checkURL(e.URL, s.cfg); t.err == nil {
		t.secret, t.err = s.open(e.ID, e.Secret)
	}
	if t.err == nil && e.NextSecret != "" {
		t.next, t.err = s.open(e.ID, e.NextSecret)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.targets) >= maxTargets {
		clear(s.targets)
	}
	s.targets[e.ID] = t
	return t
}

func (s *sender) open(endpointID string, secret Secret) (Secret, error) {
	if s.cfg.Sealer == nil {
		return secret, nil
	}
	return s.cfg.Sealer.Open(endpointID, secret)
}

// host is for the log; a URL may hold a token in its path or query.
func (t *target) host() string {
	if t.url == nil {
		return ""
	}
	return t.url.Host
}

func (t *target) signingSecret(now time.Time) Secret {
	if t.next != "" && !now.Before(t.nextAt) {
		return t.next
	}
	return t.secret
}

var (
	contentTypeJSON = []string{"application/json"}
	// An empty list is not sent, but tells net/http that the request may be
	// repeated on another connection when a kept one turns out to be closed.
	repeatable = []string{}
)

func (s *sender) request(ctx context.Context, c *Claimed, t *target, now time.Time) *http.Request {
	values := [...]string{Sign(c.Payload, t.signingSecret(now)), c.EventType, c.DeliveryID, strconv.Itoa(c.Attempt), s.cfg.UserAgent}
	r := &http.Request{
		Method: http.MethodPost,
		URL:    t.url,
		Host:   t.url.Host,
		Header: http.Header{
			"Content-Type":    contentTypeJSON,
			SignatureHeader:   values[0:1:1],
			EventHeader:       values[1:2:2],
			DeliveryHeader:    values[2:3:3],
			AttemptHeader:     values[3:4:4],
			"User-Agent":      values[4:5:5],
			"Idempotency-Key": repeatable,
		},
		Body:          io.NopCloser(bytes.NewReader(c.Payload)),
		GetBody:       func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(c.Payload)), nil },
		ContentLength: int64(len(c.Payload)),
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
	}
	if s.cfg.StandardWebhooks {
		t.addStandardHeaders(r.Header, c, now)
	}
	return r.WithContext(ctx)
}

// readBody reads the answer's body to its end, so that the connection can be
// used again, or up to the limit, and closes it. A body that is longer is no
// failure: the status was given. It returns the beginning that is to be kept.
func (s *sender) readBody(resp *http.Response) (kept string, err error) {
	defer resp.Body.Close()
	if resp.Body == http.NoBody || resp.ContentLength == 0 {
		return "", nil
	}
	var keep strings.Builder
	if n := s.cfg.KeepResponseBody; n > 0 {
		_, err = io.CopyN(&keep, resp.Body, int64(n))
	}
	if err == nil {
		_, err = io.CopyN(io.Discard, resp.Body, int64(s.cfg.MaxResponseBody-keep.Len())+1)
	}
	if err == io.EOF {
		err = nil
	}
	return strings.ToValidUTF8(keep.String(), "\uFFFD"), err
}

// addStandardHeaders signs with the secret in force and, while another is to
// take its place, with that one too: a receiver whose library takes one secret
// can then change to the new one at any moment before.
func (t *target) addStandardHeaders(h http.Header, c *Claimed, now time.Time) {
	signature := SignStandard(c.Payload, c.EventID, now, t.signingSecret(now))
	if t.next != "" && now.Before(t.nextAt) {
		signature += " " + SignStandard(c.Payload, c.EventID, now, t.next)
	}
	values := [...]string{c.EventID, strconv.FormatInt(now.Unix(), 10), signature}
	h[StandardIDHeader] = values[0:1:1]
	h[StandardTimestampHeader] = values[1:2:2]
	h[StandardSignatureHeader] = values[2:3:3]
}
