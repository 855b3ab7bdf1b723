package alotwebhook

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/alot/alotwebhook/internal/egress"
	"github.com/alot/alotwebhook/internal/prepared"
	"github.com/alot/alotwebhook/internal/seal"
	"github.com/alot/alotwebhook/internal/slots"
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
	var result wire.Result
	ok := r.slots.Begin(r.attempts.Context(), slot)
	if ok {
		outcome.Attempt, result, ok = r.d.sender.send(&r.attempts, c)
		outcome.Blameless = outcome.Attempt.Reason.blameless()
	}
	if !ok {
		// An outcome without an attempt releases the delivery, after a fault of the proxy for a while.
		outcome.State, outcome.NextAttemptIn = StatePending, result.RetryAfter
		return outcome, slots.Effect{}
	}
	outcome.State, outcome.NextAttemptIn = r.next(c, &result)
	outcome.Operation = r.d.exhausted(c, &outcome)
	r.report(c, &outcome)
	return outcome, slots.Effect{
		Succeeded:  outcome.State == StateDelivered,
		Overloaded: result.Failure == wire.Timeout || wire.IsOverload(result.Status),
		Pause:      result.RetryAfter,
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
	wire.Sender
	cfg       *Config
	closeIdle func()
	proxy     *egress.Watch           // nil without Config.Proxy
	targets   prepared.Things[target] // by endpoint id
	safe      seal.Safe[Secret]
}

// target is one version of an endpoint, prepared for requests: its URL checked, its
// secrets opened.
type target struct {
	url          *url.URL
	secret, next Secret
	nextAt       time.Time // when next signs in place of secret
	own          http.Header
	as           *wire.Identity
	err          error // why nothing can be sent to it; nil for most
}

func newSender(cfg *Config) (*sender, error) {
	dialer := egress.New(cfg.guard(), cfg.Resolver, cfg.ConnectTimeout, (*egress.Proxy)(cfg.Proxy), cfg.Logger)
	base := wire.New(wire.Config{
		Dial:              dialer.DialContext,
		RootCAs:           cfg.RootCAs,
		ClientCertificate: cfg.ClientCertificate,
		TLSTimeout:        cfg.TLSTimeout,
		MaxHeaderBytes:    cfg.MaxResponseHeader,
		MaxIdle:           max(cfg.InFlight, 1024),
	})
	s := &sender{cfg: cfg, closeIdle: base.CloseIdleConnections, proxy: dialer.Watch}
	s.safe.Sealer, s.safe.Log = cfg.Sealer, cfg.Logger
	s.Sender = wire.Sender{Transport: base, Timeout: cfg.Timeout, KeepBody: cfg.KeepResponseBody, MaxBody: cfg.MaxResponseBody, ProxyIsAway: dialer.IsAway}
	if cfg.WrapTransport != nil {
		s.Transport = cfg.WrapTransport(base)
	}
	if isNil(s.Transport) {
		return nil, &FieldError{Field: "WrapTransport", Problem: "returned nil; return a transport that sends through the one it was given"}
	}
	return s, nil
}

// send makes the request of an attempt. ok is false if it was cut off, or the proxy failed: such
// an attempt does not count.
func (s *sender) send(all *wire.Attempts, c *Claimed) (a Attempt, r wire.Result, ok bool) {
	start := time.Now()
	payload, err := s.cfg.forms.Payload(c.Endpoint.PayloadVersion, c.EventType, c.Payload)
	switch t := s.target(c.Endpoint); {
	case t.err != nil:
		r = wire.Unsendable(t.err)
	case c.Payload == nil:
		r = wire.Erased()
	case err != nil:
		s.cfg.forms.Tell(s.cfg.Logger, err, c.Endpoint.PayloadVersion, "event", c.EventID, "type", c.EventType, "endpoint", c.Endpoint.ID)
		r = wire.Unconverted()
	default:
		if r, ok = s.Send(all, t.url, t.as, s.header(c, t, payload, start), payload, start); !ok {
			return Attempt{}, r, false
		}
	}
	return Attempt{
		Number: c.Attempt, StartedAt: start, Duration: r.Duration, StatusCode: r.Status,
		Reason: FailureReason(r.Failure), Detail: r.Detail, ResponseBody: r.Body,
	}, r, true
}

// target returns the endpoint prepared for requests; from memory if this version was before.
func (s *sender) target(e *Endpoint) *target {
	version := prepared.Version{Number: e.Version, CreatedAt: e.CreatedAt}
	if t := s.targets.Get(e.ID, version); t != nil {
		return t
	}
	t := &target{nextAt: e.NextSecretAt}
	if t.url, t.err = checkURL(e.URL, s.cfg); t.err == nil {
		t.secret, t.err = s.safe.Open(e.ID, e.Secret)
	}
	if t.err == nil && e.NextSecret != "" {
		t.next, t.err = s.safe.Open(e.ID, e.NextSecret)
	}
	if t.err == nil && e.Credentials != "" {
		t.own, t.as, t.err = s.box(e.ID).Prepare(string(e.Credentials), e.URL)
	}
	s.targets.Put(e.ID, version, t)
	return t
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

// header returns the header of an attempt's request, with the signature. Its values share one
// array, which saves an allocation for each.
func (s *sender) header(c *Claimed, t *target, payload []byte, now time.Time) http.Header {
	values := [...]string{Sign(payload, t.signingSecret(now)), c.EventType, c.DeliveryID, strconv.Itoa(c.Attempt), s.cfg.UserAgent}
	h := http.Header{
		"Content-Type":  contentTypeJSON,
		SignatureHeader: values[0:1:1],
		EventHeader:     values[1:2:2],
		DeliveryHeader:  values[2:3:3],
		AttemptHeader:   values[3:4:4],
		"User-Agent":    values[4:5:5],
	}
	maps.Copy(h, t.own)
	if s.cfg.SendTraceParent && c.TraceParent != "" {
		h["Traceparent"] = []string{c.TraceParent}
	}
	if s.cfg.StandardWebhooks {
		t.addStandardHeaders(h, c.EventID, payload, now)
	}
	return h
}

// addStandardHeaders adds the three headers of Standard Webhooks. While a rotation is
// still to come, it signs with the next secret as well: a receiver whose library takes
// only one secret can then change to the new one at any moment before.
func (t *target) addStandardHeaders(h http.Header, eventID string, payload []byte, now time.Time) {
	signature := SignStandard(payload, eventID, now, t.signingSecret(now))
	if t.next != "" && now.Before(t.nextAt) {
		signature += " " + SignStandard(payload, eventID, now, t.next)
	}
	values := [...]string{eventID, strconv.FormatInt(now.Unix(), 10), signature}
	h[StandardIDHeader] = values[0:1:1]
	h[StandardTimestampHeader] = values[1:2:2]
	h[StandardSignatureHeader] = values[2:3:3]
}
