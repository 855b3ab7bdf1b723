package alotwebhook

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/alot/alotwebhook/internal/egress"
	"github.com/alot/alotwebhook/internal/guard"
	"github.com/alot/alotwebhook/internal/prepared"
	"github.com/alot/alotwebhook/internal/proof"
	"github.com/alot/alotwebhook/internal/seal"
	"github.com/alot/alotwebhook/internal/slots"
	"github.com/alot/alotwebhook/internal/wire"
)

// The unsigned headers of a request, for people and for routing. A receiver must not
// act on them: they prove nothing, and only the body is signed.
//
// With TestHeader, the data is an example: nothing has happened. Who adds it on the way could as well
// withhold the request. Without it, the data may be that of a test that somebody sends again.
const (
	EventHeader    = wire.EventHeader    // X-Alot-Event: the event type
	DeliveryHeader = wire.DeliveryHeader // X-Alot-Delivery: the delivery's id
	AttemptHeader  = wire.AttemptHeader  // X-Alot-Attempt: the attempt's number, from 1
	TestHeader     = wire.TestHeader     // X-Alot-Test: "true" for an [Event.Test], otherwise absent
)

// maxClaims is how often a delivery is claimed without an outcome before it is taken
// for poison: something about it seems to end the process each time.
const maxClaims = 5

// attempt makes one attempt and decides how the delivery goes on. The effect says how
// the endpoint is to be treated after it.
func (r *run) attempt(c *Claimed, slot *slots.Slot) (outcome, slots.Effect) {
	o := outcome{Outcome: Outcome{DeliveryID: c.DeliveryID, URLs: c.Endpoint.URLs}, claimed: c}
	if c.Claims > maxClaims+int(r.doubtful.Load()) {
		o.Attempt = Attempt{Number: c.Attempt, StartedAt: time.Now(), Reason: ReasonPoison,
			Detail: fmt.Sprintf("claimed %d times without an outcome; no request was made", maxClaims)}
		o.result = wire.Result{Failure: wire.Failure(ReasonPoison), Final: true}
		r.decide(&o)
		r.report(c, &o.Outcome)
		return o, slots.Effect{}
	}
	ok := r.slots.Begin(r.attempts.Context(), slot)
	if ok {
		o.Attempt, o.result, ok = r.d.sender.send(&r.attempts, c)
		o.Blameless = o.Attempt.Reason.blameless()
	}
	if !ok {
		// An outcome without an attempt releases the delivery: after a fault of the proxy or of the sealer for
		// a while, in which the sealer gets no more of that endpoint to open.
		o.State, o.NextAttemptIn = StatePending, o.result.RetryAfter
		return o, slots.Effect{Overloaded: o.result.Failure != "", Pause: o.result.RetryAfter}
	}
	r.decide(&o)
	r.report(c, &o.Outcome)
	return o, slots.Effect{
		Succeeded:  o.State == StateDelivered,
		Overloaded: o.result.Failure == wire.Timeout || wire.IsOverload(o.result.Status),
		Pause:      o.result.RetryAfter,
	}
}

// report logs an attempt.
func (r *run) report(c *Claimed, o *Outcome) {
	(&wire.Report{
		Delivery: c.DeliveryID, Event: c.EventID, Endpoint: c.Endpoint.ID, URL: c.Endpoint.URL,
		Number: o.Attempt.Number, Status: o.Attempt.StatusCode, Reason: string(o.Attempt.Reason), Took: o.Attempt.Duration,
		State: string(o.State), Failed: o.State == StateFailed,
	}).Log(r.d.log)
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
	url     *url.URL
	secrets seal.Pair[Secret]
	own     http.Header
	as      *wire.Identity
	err     error      // why nothing can be sent to it; nil for most
	delay   seal.Delay // if it may be possible soon
}

func newSender(cfg *Config) (*sender, error) {
	dialer := egress.New(cfg.guard(), cfg.Resolver, cfg.ConnectTimeout, (*egress.Proxy)(cfg.Proxy), cfg.Logger)
	base := wire.New(wire.Config{
		Dial:              dialer.DialContext,
		RootCAs:           cfg.RootCAs,
		ClientCertificate: cfg.ClientCertificate,
		TLSTimeout:        cfg.TLSTimeout,
		Host:              cfg.host,
		MaxHeaderBytes:    cfg.MaxResponseHeader,
		MaxIdle:           max(cfg.InFlight, 1024),
	})
	s := &sender{cfg: cfg, closeIdle: base.CloseIdleConnections, proxy: dialer.Watch}
	s.safe.Sealer, s.safe.Host, s.safe.Log = cfg.Sealer, cfg.host, cfg.Logger
	s.Sender = wire.Sender{Host: cfg.host, Transport: base, Timeout: cfg.Timeout, KeepBody: cfg.KeepResponseBody, MaxBody: cfg.MaxResponseBody,
		KeepHeader: cfg.KeepResponseHeaders, ProxyIsAway: dialer.IsAway}
	return s, refused("WrapTransport", s.Wrap(cfg.WrapTransport))
}

// send makes the request of an attempt. ok is false if it was cut off, or the proxy or the sealer failed:
// such an attempt does not count.
func (s *sender) send(all *wire.Attempts, c *Claimed) (a Attempt, r wire.Result, ok bool) {
	start := time.Now()
	payload, err := s.cfg.forms.Payload(c.Endpoint.PayloadVersion, c.EventType, c.Payload)
	switch t := s.target(c.Endpoint); {
	case c.Payload == nil:
		r = wire.Erased()
	case t.delay.Left() > 0:
		return Attempt{}, wire.Result{Failure: wire.NotSendable, RetryAfter: t.delay.Left()}, false
	case t.err != nil:
		r = wire.Unsendable(t.err)
	case s.cfg.unproven(c.Endpoint) != nil: // the URL was changed while a test was under way
		r = wire.Unsendable(ErrUnproven)
	case err != nil:
		s.cfg.forms.Tell(s.cfg.Logger, err, c.Endpoint.PayloadVersion, "event", c.EventID, "type", c.EventType, "endpoint", c.Endpoint.ID)
		r = wire.Unconverted()
	default:
		if r, ok = s.Send(all, t.url, t.as, t.own, s.header(c, t, payload, start), payload, start); !ok {
			return Attempt{}, r, false
		}
	}
	return Attempt{
		Number: c.Attempt, StartedAt: start, Duration: r.Duration, StatusCode: r.Status,
		Reason: FailureReason(r.Failure), Detail: r.Detail, ResponseHeaders: r.Header, ResponseBody: r.Body,
	}, r, true
}

// challenge makes the request of a proof, as that of an attempt. The error is nil if its answer is one.
func (s *sender) challenge(ctx context.Context, e *Endpoint) error {
	event, err := NewEvent(proof.EventType, e.OrganizationID, proof.NewData())
	t, now := s.target(e), time.Now()
	if err = cmp.Or(err, t.err); err != nil {
		return &proof.Error{Detail: wire.Unsendable(err).Detail}
	}
	c := Claimed{DeliveryID: DeliveryID(event.ID, e.ID), EventID: event.ID, EventType: event.Type, Attempt: 1}
	return s.Ask(ctx, t.url, t.as, t.own, s.header(&c, t, event.Payload(), now), event.Payload(), func(body string) string {
		return proof.Problem(body, event.Data, string(t.secrets.Signing(now)), string(t.secrets.Next))
	})
}

// target returns the endpoint prepared for requests; from memory if this version was before, unless a
// sealer that failed then may have recovered.
func (s *sender) target(e *Endpoint) *target {
	version := prepared.Version{Number: e.Version, CreatedAt: e.CreatedAt}
	was := s.targets.Get(e.ID, version)
	if was != nil && !was.delay.IsOver() {
		return was
	}
	t := &target{}
	if was != nil {
		t.delay = was.delay
	}
	if t.url, t.err = checkURL(e.URL, s.cfg); t.err == nil {
		t.secrets, t.err = s.safe.OpenPair(e.ID, e.secrets())
	}
	if t.err == nil && e.Credentials != "" {
		t.own, t.as, t.err = s.box(e.ID).Prepare(string(e.Credentials), e.URL)
	}
	t.err = s.safe.Judge(e.ID, t.err, &t.delay)
	s.targets.Put(e.ID, version, t)
	return t
}

// head returns what the headers of an attempt's request say.
func (s *sender) head(eventID, eventType, deliveryID string, attempt int, test bool, traceParent string) *wire.Head {
	return &wire.Head{EventID: eventID, EventType: eventType, DeliveryID: deliveryID, Attempt: attempt, Test: test,
		TraceParent: traceParent, Traced: s.cfg.SendTraceParent, UserAgent: s.cfg.UserAgent, Standard: s.cfg.StandardWebhooks}
}

// header returns the header of an attempt's request, with the signature and the endpoint's own.
func (s *sender) header(c *Claimed, t *target, payload []byte, now time.Time) http.Header {
	by := wire.Signing{Payload: payload, Secret: string(t.secrets.Signing(now)), At: now}
	if now.Before(t.secrets.NextAt) {
		by.Next = string(t.secrets.Next)
	}
	h := s.head(c.EventID, c.EventType, c.DeliveryID, c.Attempt, c.Test, c.TraceParent).Header(&by)
	maps.Copy(h, t.own)
	return h
}

// Proxy is a forward proxy of the host's. Each connection to an endpoint is a tunnel through it, by
// CONNECT or SOCKS5, also one to an http URL. While the proxy itself fails, deliveries wait, and no
// attempt is counted. Its own address is dialled without the guard, and opened to no customer.
type Proxy struct {
	// URL is http, https or socks5, with the host and, unless it is 80, 443 or 1080, the port. The
	// system's resolver looks up the host. User and password in it are for the proxy alone.
	URL *url.URL
	// Credentials returns user and password instead, for each connection, if they change with time.
	// Its error, whose text nobody sees, is a [ReasonProxyAuthentication].
	Credentials func(ctx context.Context) (user, password string, err error)
	// Resolves has the proxy look up the names of endpoints and judge their addresses, as Smokescreen
	// does: it must refuse private ones. AllowNets and DenyNets then hold for addresses in URLs alone.
	// Defaults to false: names are looked up here, and the proxy gets an address that the guard allows.
	Resolves bool
	// RootCAs are the authorities that may have signed the certificate of an https proxy.
	// Defaults to those of the system.
	RootCAs *x509.CertPool
}

// Format implements [fmt.Formatter]: every verb prints the URL without the password.
func (p Proxy) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, egress.Redacted(p.URL)) }

// ErrBlockedAddress says that an address may not be dialled. It does not name the
// address: with that, customers could scan the host's network through it.
var ErrBlockedAddress = guard.ErrBlocked

// AllowedAddress returns nil for an address of the public internet, and
// [ErrBlockedAddress] for every other, the zero [netip.Addr] included. It judges as a
// dispatcher does whose [Config] has no AllowNets, DenyNets or AllowNAT64. Its lists
// follow the special-purpose address registries of IANA (RFC 6890).
func AllowedAddress(addr netip.Addr) error { return new(guard.Guard).Judge(addr) }

// checkURL returns the URL in its normal spelling: see [guard.CheckURL]. The error is a [FieldError]
// of "url", and an [ErrBlockedAddress] as well if the address in the URL is the reason.
func checkURL(raw string, cfg *Config) (*url.URL, error) {
	u, err := guard.CheckURL(raw, guard.URLRules{AllowHTTP: cfg.AllowHTTP, Guard: cfg.guard()})
	return u, fieldError(err)
}

// guard returns the guard that judges addresses by this configuration.
func (c *Config) guard() *guard.Guard {
	return &guard.Guard{AllowNets: c.AllowNets, DenyNets: c.DenyNets, AllowNAT64: c.AllowNAT64, Own: (*egress.Proxy)(c.Proxy).Addr()}
}
