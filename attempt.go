package alotwebhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alot/alotwebhook/internal/seal"
	"github.com/alot/alotwebhook/internal/slots"
	"github.com/alot/alotwebhook/internal/text"
	"github.com/alot/alotwebhook/internal/wire"
)

// The unsigned headers of a request, for people and for routing. A receiver must not
// act on them: they prove nothing, and only the body is signed.
const (
	EventHeader    = "X-Alot-Event"    // the event type
	DeliveryHeader = "X-Alot-Delivery" // the delivery's id
	AttemptHeader  = "X-Alot-Attempt"  // the attempt's number, from 1
)

// maxClaims is how often a delivery is claimed without an outcome before it is taken
// for poison: something about it seems to end the process each time.
const maxClaims = 5

// attempt makes one attempt and decides how the delivery goes on. The effect says how
// the endpoint is to be treated after it.
func (r *run) attempt(c *Claimed, slot *slots.Slot) (Outcome, slots.Effect) {
	outcome := Outcome{DeliveryID: c.DeliveryID, Token: c.Token}
	if c.Endpoint.Ordered {
		outcome.HoldsUp = r.cfg.OrderedWait
	}
	if c.Claims > maxClaims+int(r.doubtful.Load()) {
		outcome.State = StateFailed
		outcome.Attempt = Attempt{Number: c.Attempt, StartedAt: time.Now(), Reason: ReasonPoison,
			Detail: fmt.Sprintf("claimed %d times without an outcome; no request was made", maxClaims)}
		outcome.Operation = r.d.exhausted(c, &outcome)
		r.report(c, &outcome)
		return outcome, slots.Effect{}
	}
	var result attemptResult
	ok := r.slots.Begin(r.attempts.Context(), slot)
	if ok {
		result, ok = r.d.sender.send(&r.attempts, c)
	}
	if !ok {
		outcome.State = StatePending // an outcome without an attempt: the delivery is released
		return outcome, slots.Effect{}
	}
	outcome.Attempt = result.attempt
	outcome.Attempt.Detail = text.Storable(outcome.Attempt.Detail)
	outcome.State, outcome.NextAttemptIn = r.next(c, &result)
	outcome.Operation = r.d.exhausted(c, &outcome)
	r.report(c, &outcome)
	return outcome, slots.Effect{
		Succeeded:  outcome.State == StateDelivered,
		Overloaded: result.attempt.Reason == ReasonTimeout || wire.IsOverload(result.attempt.StatusCode),
		Pause:      result.retryAfter,
	}
}

// report logs an attempt. The level is warn when the delivery has failed, info when it is
// tried again, debug when it succeeded.
func (r *run) report(c *Claimed, o *Outcome) {
	level := slog.LevelDebug
	switch {
	case o.State == StateFailed:
		level = slog.LevelWarn
	case o.Attempt.Reason != "":
		level = slog.LevelInfo
	}
	ctx := context.Background()
	if !r.d.log.Enabled(ctx, level) {
		return
	}
	r.d.log.LogAttrs(ctx, level, "alotwebhook: attempt",
		slog.String("delivery", c.DeliveryID),
		slog.String("event", c.EventID),
		slog.String("endpoint", c.Endpoint.ID),
		slog.String("host", r.d.sender.target(c.Endpoint).host()),
		slog.Int("attempt", o.Attempt.Number),
		slog.Int("status", o.Attempt.StatusCode),
		slog.String("reason", string(o.Attempt.Reason)),
		slog.Int64("ms", o.Attempt.Duration.Milliseconds()),
		slog.String("state", string(o.State)),
	)
}

// sender makes the requests of attempts.
type sender struct {
	cfg       *Config
	transport http.RoundTripper
	closeIdle func()

	mu      sync.RWMutex
	targets map[string]*target // by endpoint id
	plain   sync.Map           // what open has warned of: endpoint ids with their secrets
}

// target is one version of an endpoint, prepared for requests: its URL checked, its
// secrets opened.
type target struct {
	version      int64     // Endpoint.Version
	createdAt    time.Time // Endpoint.CreatedAt
	url          *url.URL
	secret, next Secret
	nextAt       time.Time // when next signs in place of secret
	err          error     // why nothing can be sent to it; nil for most
}

// maxTargets bounds the memory that targets take. Past it all of them are forgotten,
// and those still in use are prepared again.
const maxTargets = 16_384

// Kept connections.
const (
	// leastIdle is how many idle connections are kept at least, for all hosts together.
	leastIdle   = 1024
	idleTimeout = 30 * time.Second
	// maxConnectionAge bounds how long a busy endpoint is sent to at an address that its
	// name may no longer have.
	maxConnectionAge = 90 * time.Second
)

func newSender(cfg *Config) (*sender, error) {
	base := wire.New(wire.Config{
		Dial:           cfg.guard().Dialer(cfg.Resolver, cfg.ConnectTimeout).DialContext,
		RootCAs:        cfg.RootCAs,
		TLSTimeout:     cfg.TLSTimeout,
		MaxHeaderBytes: cfg.MaxResponseHeader,
		MaxIdle:        max(cfg.InFlight, leastIdle),
		IdleTimeout:    idleTimeout,
		MaxAge:         maxConnectionAge,
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

// attemptResult is an attempt and two things that it asks of the dispatcher.
type attemptResult struct {
	attempt Attempt
	// retryAfter is how long the receiver asked to be left alone; 0 if it did not.
	retryAfter time.Duration
	// final is set if every further attempt would fail, too.
	final bool
}

// send makes the request of an attempt. ok is false if it was cut off: such an attempt
// does not count.
func (s *sender) send(all *wire.Attempts, c *Claimed) (r attemptResult, ok bool) {
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
	attempt := all.Begin(s.cfg.Timeout)
	defer attempt.End()
	resp, err := s.transport.RoundTrip(s.request(attempt, c, t, start))
	if err != nil {
		if all.AreCutOff() {
			return r, false
		}
		failure, detail := wire.Explain(err)
		a.Reason, a.Detail = FailureReason(failure), detail
	} else {
		a.StatusCode = resp.StatusCode
		r.retryAfter = wire.RetryAfter(resp.Header, start)
		failure, detail := wire.ExplainStatus(a.StatusCode)
		a.Reason, a.Detail = FailureReason(failure), detail
		var whole bool
		if a.ResponseBody, whole = wire.ReadBody(resp, s.cfg.KeepResponseBody, s.cfg.MaxResponseBody, attempt.End); !whole {
			a.Detail = join(a.Detail, "the response's body broke off or did not end")
		}
	}
	if attempt.Repeats() > 0 {
		a.Detail = join(a.Detail, "the request was repeated, because a kept connection ended before a response")
	}
	if a.Reason != ReasonBlockedAddress { // the time would tell of the host's own network
		a.Duration = time.Since(start)
	}
	return r, true
}

// join puts a further clause behind a detail, or begins one.
func join(detail, clause string) string {
	if detail == "" {
		return clause
	}
	return detail + "; " + clause
}

// target returns the endpoint prepared for requests; from memory if this version was before.
func (s *sender) target(e *Endpoint) *target {
	s.mu.RLock()
	t := s.targets[e.ID]
	s.mu.RUnlock()
	if t != nil && t.isOf(e) {
		return t
	}
	t = &target{version: e.Version, createdAt: e.CreatedAt, nextAt: e.NextSecretAt}
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

// isOf reports whether the target was made of that version of that endpoint. The version
// alone does not tell: an endpoint that was deleted may be registered again with its key,
// and then has the same id.
func (t *target) isOf(e *Endpoint) bool {
	return t.version == e.Version && t.createdAt.Equal(e.CreatedAt)
}

// open returns a secret that the store kept as its plain text.
func (s *sender) open(endpointID string, secret Secret) (Secret, error) {
	if s.cfg.Sealer == nil {
		return secret, nil
	}
	if _, ok := s.cfg.Sealer.(sealer); ok && !seal.IsSealed(string(secret)) {
		if _, told := s.plain.LoadOrStore(endpointID+string(secret), nil); !told {
			s.cfg.Logger.Warn("alotwebhook: a secret is stored in plain although there is a Sealer; call Reseal, and if you have, find out who wrote it", "endpoint", endpointID)
		}
	}
	return s.cfg.Sealer.Open(endpointID, secret)
}

// host returns the URL's host for the log, or "". The whole URL is not logged: its path
// or query may hold a token.
func (t *target) host() string {
	if t.url == nil {
		return ""
	}
	return t.url.Host
}

// signingSecret returns the secret that signs at that time.
func (t *target) signingSecret(now time.Time) Secret {
	if t.next != "" && !now.Before(t.nextAt) {
		return t.next
	}
	return t.secret
}

var contentTypeJSON = []string{"application/json"}

// request makes the signed request of an attempt. The values of its headers share one
// array, which saves an allocation for each.
func (s *sender) request(ctx context.Context, c *Claimed, t *target, now time.Time) *http.Request {
	values := [...]string{Sign(c.Payload, t.signingSecret(now)), c.EventType, c.DeliveryID, strconv.Itoa(c.Attempt), s.cfg.UserAgent}
	r := &http.Request{
		Method: http.MethodPost,
		URL:    t.url,
		Host:   t.url.Host,
		Header: http.Header{
			"Content-Type":  contentTypeJSON,
			SignatureHeader: values[0:1:1],
			EventHeader:     values[1:2:2],
			DeliveryHeader:  values[2:3:3],
			AttemptHeader:   values[3:4:4],
			"User-Agent":    values[4:5:5],
		},
		Body:          io.NopCloser(bytes.NewReader(c.Payload)),
		ContentLength: int64(len(c.Payload)),
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
	}
	if s.cfg.SendTraceParent && c.TraceParent != "" {
		r.Header["Traceparent"] = []string{c.TraceParent}
	}
	if s.cfg.StandardWebhooks {
		t.addStandardHeaders(r.Header, c, now)
	}
	return r.WithContext(ctx)
}

// addStandardHeaders adds the three headers of Standard Webhooks. While a rotation is
// still to come, it signs with the next secret as well: a receiver whose library takes
// only one secret can then change to the new one at any moment before.
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

// unsendable returns the reason and the detail of an endpoint that nothing can be sent
// to: its URL is not allowed, or its secret does not open. The detail is the text of
// err, which never holds a secret.
func unsendable(err error) (FailureReason, string) {
	if errors.Is(err, ErrBlockedAddress) {
		return ReasonBlockedAddress, wire.BlockedDetail
	}
	return ReasonUnsendable, text.Clip(text.Storable(strings.TrimPrefix(err.Error(), errorPrefix)), maxDetail-len("…"))
}

// maxDetail is the longest Attempt.Detail, in bytes.
const maxDetail = 256
