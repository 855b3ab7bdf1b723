package alotwebhook

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/alot/alotwebhook/internal/caught"
	"github.com/alot/alotwebhook/internal/egress"
	"github.com/alot/alotwebhook/internal/eventtype"
	"github.com/alot/alotwebhook/internal/forms"
	"github.com/alot/alotwebhook/internal/ranges"
	"github.com/alot/alotwebhook/internal/schedule"
	"github.com/alot/alotwebhook/internal/text"
)

// Config says how a [Dispatcher] works. Nil, and every zero field, stands for the
// defaults: they are right for sending to customers over the internet. [NewDispatcher]
// checks it, refuses a value out of its range with a [FieldError], and keeps a copy.
type Config struct {
	// EventTypes is the catalogue: no other types can be emitted or subscribed to.
	// Defaults to [DefaultEventTypes]; add your own to those.
	EventTypes []EventType

	// Wildcards lets an endpoint subscribe to "*", to all types, and to beginnings of whole words such
	// as "candidate.*", those to come included: see [Subscriptions]. What is included in another is
	// refused.
	// Defaults to false; an endpoint that has one keeps it.
	Wildcards bool

	// CheckData refuses data that does not fit its event type, of each Emit and of the examples, with
	// an error that quotes no data; a panic refuses, too. Module schema has one. No [Operation] is asked.
	// Defaults to nil: any JSON is taken.
	CheckData func(eventType string, data json.RawMessage) error

	// PayloadVersions names the versions of payloads, from the first, which endpoints without one get,
	// to today's, which new ones get: each 1 to 64 letters, digits, dots, hyphens and underscores.
	// [EventType].Versions makes the earlier ones. Keep each as long as an endpoint has it.
	// Defaults to none: all get what was emitted.
	PayloadVersions []string

	// Retry makes the schedule of the attempts.
	// Defaults to [DefaultSchedule]: three attempts, the second after 30 s,
	// the third after another 10 min.
	Retry RetryPolicy

	// Timeout bounds a whole attempt, from looking up the host name to the last byte of
	// the response. A longer one lets slow receivers hold their slots for longer. From
	// 10 ms to 5 min.
	// Defaults to 15 s.
	Timeout time.Duration

	// ConnectTimeout bounds the look-up of the name, and once more the connection, TLSTimeout
	// the TLS handshake after it. None extends Timeout. From 1 ms to 5 min.
	// Both default to 5 s.
	ConnectTimeout, TLSTimeout time.Duration

	// InFlight is how many attempts this process makes at once. Memory grows with it,
	// never with the backlog. From 1 to 10,000.
	// Defaults to 256.
	InFlight int

	// InFlightPerEndpoint is how many of them this process makes to one endpoint at once,
	// so that an endpoint that hangs holds up no more. From 1 to InFlight. The stores of this
	// module give an endpoint to one process at a time, so that this holds for all together.
	// Defaults to 32, or InFlight if that is less.
	InFlightPerEndpoint int

	// Rate is the most requests a second to an endpoint that has no [Endpoint.Rate]: from 0.01
	// to 10,000.
	// Defaults to 0: no limit.
	Rate float64

	// OrderedWait is how long a delivery to an [Endpoint.Ordered] endpoint may hold up those
	// behind it, counted from its first failed attempt. With less than the schedule of Retry
	// takes, they overtake a delivery that goes on failing. From 1 s to 7 days.
	// Defaults to 1 h.
	OrderedWait time.Duration

	// Waiting is how many further attempts may be under way to receivers that take long:
	// after 20 ms an attempt leaves its place among InFlight to the next one. No
	// organization gets more while it has as many under way as there is room left for all
	// others. Each takes some 20 KiB (40 to 60 over https) and a connection. At most
	// 100,000. Negative: none, and slow receivers hold up others.
	// Defaults to 16 × InFlight, or 100,000 if that is less.
	Waiting int

	// Lease is how long no other process claims a delivery that this one has claimed.
	// After a crash, the deliveries in flight are sent again when it has passed. At least
	// 2 × Timeout + 10 s: with less, deliveries would be sent twice. At most 24 hours.
	// Defaults to 2 × Timeout + 10 s.
	Lease time.Duration

	// PollInterval is the longest that an idle dispatcher takes to see an event that
	// another process emitted; it sees those of its own process at once. It looks that
	// often, which costs the store a query each time. From 1 ms to 1 min.
	// Defaults to 200 ms.
	PollInterval time.Duration

	// ShutdownTimeout is how long Run lets attempts finish once its context is done. Then
	// it cuts them off and releases their deliveries; they do not count as attempts. With
	// less than Timeout, slow receivers get the same event again. From 1 ms to 1 h.
	// Defaults to Timeout + 5 s.
	ShutdownTimeout time.Duration

	// MaxPayload is the largest payload that Emit takes, in bytes. Receivers have limits
	// of their own. From 1 KiB to 16 MiB.
	// Defaults to 256 KiB.
	MaxPayload int

	// MaxResponseBody is how many bytes of a response's body are read. The rest of a
	// longer body is not read, and its connection is closed. At most 16 MiB; negative:
	// none.
	// Defaults to 64 KiB.
	MaxResponseBody int

	// MaxResponseHeader is how many bytes of headers a response may have. With more, the
	// attempt fails with [ReasonResponseTooLarge]. From 1 KiB to 1 MiB.
	// Defaults to 32 KiB.
	MaxResponseHeader int

	// KeepResponseBody is how many bytes of each response's body are kept: anything of the customer's,
	// but no value of [Endpoint].Headers of 6 bytes or more. At most MaxResponseBody.
	// Defaults to 0: none.
	KeepResponseBody int

	// KeepResponseHeaders is how many bytes of each response's headers are kept in the history, in
	// whole lines. Values of cookies, tokens and the like are left out. At most MaxResponseHeader.
	// Defaults to 0: none.
	KeepResponseHeaders int

	// StandardWebhooks adds the three headers of Standard Webhooks
	// (https://www.standardwebhooks.com) to each request, beside [SignatureHeader]. A
	// customer can then verify with that project's libraries, for which [Secret.Standard]
	// spells the secret, and the time of the attempt is signed, too.
	// Defaults to false.
	StandardWebhooks bool

	// SendTraceParent sends [Event.TraceParent] as the traceparent header, so that customers can
	// continue the trace. It tells them ids of your own traces.
	// Defaults to false: nothing of a trace is sent.
	SendTraceParent bool

	// UserAgent is the value of the User-Agent header: printable ASCII.
	// Defaults to "alotwebhook/1".
	UserAgent string

	// AllowHTTP allows http URLs, and port 80. It is for development: anybody on the way
	// can read and change the requests.
	// Defaults to false: https only.
	AllowHTTP bool

	// AllowNets are networks that may be dialled although the guard's own list denies
	// them, such as 127.0.0.0/8 in development. Each opens a part of your own network to
	// everybody who can register an endpoint.
	// Defaults to none.
	AllowNets []netip.Prefix

	// DenyNets are networks that are never dialled, such as the host's own public
	// addresses. An address in both is denied, whatever AllowNets says.
	// Defaults to none.
	DenyNets []netip.Prefix

	// AllowNAT64 is for hosts that reach IPv4 through NAT64 only. An address in
	// 64:ff9b::/96 (RFC 6052) is then judged by the IPv4 address in it.
	// Defaults to false: such an address is denied.
	AllowNAT64 bool

	// RootCAs are the authorities that may have signed the certificates of endpoints.
	// Defaults to those of the system.
	RootCAs *x509.CertPool

	// ClientCertificate returns the certificate for a server that demands one, to endpoints without
	// an [Endpoint.ClientCertificate]: as GetClientCertificate in [tls.Config], but nil is none.
	// Defaults to nil: none is sent.
	ClientCertificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)

	// Resolver looks up host names.
	// Defaults to [net.DefaultResolver].
	Resolver *net.Resolver

	// Proxy is the forward proxy through which requests leave your network. Variables of the
	// environment, such as HTTPS_PROXY, are never read.
	// Defaults to nil: connections are made directly.
	Proxy *Proxy

	// WrapTransport wraps the guarded transport, for tracing or metrics. It must send through the
	// given one, once: who dials goes around the guard, who retries or follows redirects loses what
	// the receiver answered. What usual ones tell of URLs, and to customers, is in docs/sending.md.
	// No request is sent chunked: a body whose length the wrapper hides is read before.
	// Defaults to nil: not wrapped.
	WrapTransport func(http.RoundTripper) http.RoundTripper

	// Sealer encrypts the secrets before the store gets them, and the headers and certificates of
	// endpoints. Without it, everybody who reads the database can sign as you.
	// Defaults to nil: secrets are stored in plain.
	Sealer Sealer

	// MaxEndpoints is how many endpoints an organization may have, disabled ones included:
	// each event of a type is stored once for every endpoint that subscribes to it. Each
	// registration counts them. From 1 to 1,000; negative: any number.
	// Defaults to 50.
	MaxEndpoints int

	// ProveURLs has a new endpoint, and one whose URL changes, disabled with [DisabledUnproven] until
	// [Dispatcher.ProveEndpoint] has found that its receiver knows the secret. Nothing but the challenge
	// is sent to it before, no test either.
	// Defaults to false.
	ProveURLs bool

	// TestsPerMinute, RedeliveriesPerMinute and ChangesPerMinute are how often an
	// organization may send a test event; redeliver one delivery; and change, prove or delete
	// an endpoint, rotate its secret or begin a recovery. That many may come at once, and then
	// as many a minute; more are refused with a [LimitError]. Each process counts by
	// itself. From 1 to 100,000; negative: any number.
	// Default to 60, 120 and 120.
	TestsPerMinute, RedeliveriesPerMinute, ChangesPerMinute int

	// RecoverPerSecond is how many failed deliveries a second a recovery sends again: see
	// [Dispatcher.Recover]. They queue with the endpoint's new deliveries, and delay these
	// if they are more than the endpoint can take. From 1 to 10,000.
	// Defaults to 100.
	RecoverPerSecond int

	// Heal begins a recovery when an endpoint succeeds that was failing, of what has failed for good
	// since it began to: otherwise an outage that outlasts Retry's schedule loses deliveries, until
	// somebody recovers them. The recovery is stored before that success. If one runs already that
	// is narrower, or discards, it is left alone, and a log record says so.
	// Defaults to false.
	Heal bool

	// DisableAfter is how long an endpoint may give nothing but failures before it is
	// disabled. Its deliveries are then parked, not lost. Negative: for ever.
	// Defaults to 5 days.
	DisableAfter time.Duration

	// WarnFailing is how long an endpoint may give nothing but failures until [OpEndpointFailing]
	// tells of it; another one does after half of DisableAfter, if that is longer. Negative: none.
	// Defaults to 1 h.
	WarnFailing time.Duration

	// OnOperation is called for each [Operation] at least once, also for those of a process that
	// was killed. After an error or a panic the operation comes again in 1 s, 2 s, 4 s and so on,
	// up to every minute. Of several processes one calls it, in Run, one call after the other;
	// ctx ends after 10 s. Set this field and the next two alike in all processes: what one
	// without them does nobody is told of.
	// Defaults to nil.
	OnOperation func(ctx context.Context, o Operation) error

	// HostOrganization is an organization of the host's own, whose endpoints get the operations
	// of all organizations as events, of types such as "endpoint.disabled", with the Operation as
	// data. CustomerOperations has each organization's endpoints get its own, with the Actor, and
	// adds their types to the catalogue.
	// Default to "" and false: no events.
	HostOrganization   string
	CustomerOperations bool

	// ExhaustedOperations stores an [OpDeliveryExhausted] for each delivery whose last attempt
	// fails: one more row.
	// Defaults to false.
	ExhaustedOperations bool

	// Observer is told of every emit, claim, attempt and purge, for metrics and traces.
	// Defaults to nil: nobody is told, which costs nothing.
	Observer *Observer

	// PayloadRetention is how long the payload of an event is kept once all its deliveries
	// are finished. Then it is erased and cannot be redelivered. Negative: for ever.
	// Defaults to 30 days.
	PayloadRetention time.Duration

	// ParkedRetention is how long a delivery stays parked, counted from when it fell due
	// or, if that was later, from when its endpoint was disabled. Then it fails with
	// [ReasonExpired]. Without that, no retention would ever begin for the payloads of an
	// endpoint that nobody enables again. Negative: for ever.
	// Defaults to PayloadRetention.
	ParkedRetention time.Duration

	// HistoryRetention is how long finished deliveries, their attempts and operations are kept. It
	// must not be less than PayloadRetention. Negative: for ever.
	// Defaults to 90 days.
	HistoryRetention time.Duration

	// Logger gets ids, hosts, statuses, reasons and milliseconds. It never gets a payload,
	// a secret, a header value or a query string.
	// Defaults to [slog.Default].
	Logger *slog.Logger

	forms *forms.Forms // those of PayloadVersions
	host  *caught.Host // calls the functions above
}

const (
	kib = 1 << 10
	mib = 1 << 20
	day = 24 * time.Hour
)

// withDefaults returns a copy with the defaults filled in, or a [FieldError] if a field
// is not valid. A nil c stands for all defaults.
func (c *Config) withDefaults() (*Config, error) {
	var cfg Config
	if c != nil {
		cfg = *c
	}
	if cfg.EventTypes == nil {
		cfg.EventTypes = DefaultEventTypes()
	}
	if cfg.Retry == nil {
		cfg.Retry = DefaultSchedule()
	}
	cfg.UserAgent = cmp.Or(cfg.UserAgent, "alotwebhook/1")
	cfg.EventTypes = withOperations(slices.Clone(cfg.EventTypes), cfg.CustomerOperations)
	cfg.AllowNets, cfg.DenyNets = slices.Clone(cfg.AllowNets), slices.Clone(cfg.DenyNets)
	cfg.DisableAfter = cmp.Or(cfg.DisableAfter, 5*day)
	cfg.WarnFailing = cmp.Or(cfg.WarnFailing, time.Hour)
	cfg.PayloadRetention = cmp.Or(cfg.PayloadRetention, 30*day)
	cfg.ParkedRetention = cmp.Or(cfg.ParkedRetention, cfg.PayloadRetention)
	cfg.HistoryRetention = cmp.Or(cfg.HistoryRetention, 90*day)
	cfg.host = caught.New(cmp.Or(cfg.Logger, slog.Default()))
	cfg.Logger, cfg.CheckData = cfg.host.Log, eventtype.Safe(cfg.host, cfg.CheckData)
	wrong := cfg.setNumbers()
	cfg.Lease = cmp.Or(cfg.Lease, cfg.minLease())
	return &cfg, cfg.check(wrong)
}

// setNumbers gives the numbers that have a range their defaults, and returns what is wrong with the
// first that is out of its range.
func (c *Config) setNumbers() (wrong ranges.Result) {
	r := &wrong
	ranges.Set(r, "Timeout", &c.Timeout, 15*time.Second, 10*time.Millisecond, 5*time.Minute)
	ranges.Set(r, "ConnectTimeout", &c.ConnectTimeout, 5*time.Second, time.Millisecond, 5*time.Minute)
	ranges.Set(r, "TLSTimeout", &c.TLSTimeout, 5*time.Second, time.Millisecond, 5*time.Minute)
	ranges.Set(r, "OrderedWait", &c.OrderedWait, time.Hour, time.Second, 7*day)
	ranges.Set(r, "PollInterval", &c.PollInterval, 200*time.Millisecond, time.Millisecond, time.Minute)
	ranges.Set(r, "ShutdownTimeout", &c.ShutdownTimeout, c.Timeout+5*time.Second, time.Millisecond, time.Hour)
	ranges.Set(r, "InFlight", &c.InFlight, 256, 1, 10_000)
	ranges.Set(r, "InFlightPerEndpoint", &c.InFlightPerEndpoint, min(32, max(c.InFlight, 1)), 1, c.InFlight)
	ranges.SetOrNone(r, "Waiting", &c.Waiting, min(16*c.InFlight, 100_000), 0, 100_000)
	ranges.Set(r, "MaxPayload", &c.MaxPayload, 256*kib, kib, 16*mib)
	ranges.SetOrNone(r, "MaxResponseBody", &c.MaxResponseBody, 64*kib, 0, 16*mib)
	ranges.Set(r, "MaxResponseHeader", &c.MaxResponseHeader, 32*kib, kib, mib)
	ranges.SetOrNone(r, "MaxEndpoints", &c.MaxEndpoints, 50, -1, 1000)
	ranges.SetOrNone(r, "TestsPerMinute", &c.TestsPerMinute, 60, -1, 100_000)
	ranges.SetOrNone(r, "RedeliveriesPerMinute", &c.RedeliveriesPerMinute, 120, -1, 100_000)
	ranges.SetOrNone(r, "ChangesPerMinute", &c.ChangesPerMinute, 120, -1, 100_000)
	ranges.Set(r, "RecoverPerSecond", &c.RecoverPerSecond, 100, 1, 10_000)
	ranges.Set(r, "KeepResponseBody", &c.KeepResponseBody, 0, 0, c.MaxResponseBody)
	ranges.Set(r, "KeepResponseHeaders", &c.KeepResponseHeaders, 0, 0, c.MaxResponseHeader)
	return wrong
}

// minLease returns the shortest lease that is safe: the time of two attempts, and 10
// seconds during which a slow store or scheduler may hold up the process.
func (c *Config) minLease() time.Duration { return 2*c.Timeout + 10*time.Second }

// check refuses a configuration with a [FieldError]. Defaults are filled in already, and wrong is
// what setNumbers returned.
func (c *Config) check(wrong ranges.Result) error {
	if err := c.checkEventTypes(); err != nil {
		return err
	}
	switch {
	case !text.IsPrintableASCII(c.UserAgent):
		return refused("UserAgent", "has characters that a header cannot carry; use printable ASCII")
	case wrong.Name != "":
		return refused(wrong.Name, wrong.Problem)
	case c.HostOrganization != "" && checkOrganization(c.HostOrganization) != nil:
		return refused("HostOrganization", "is not the id of an organization: 1 to 255 bytes of plain text")
	}
	if problem := schedule.Problem(c.host, c.Retry); problem != "" {
		return refused("Retry", problem)
	}
	switch {
	case ranges.RateProblem(c.Rate) != "":
		return refused("Rate", ranges.RateProblem(c.Rate))
	case c.Proxy != nil && egress.Problem(c.Proxy.URL) != "":
		return refused("Proxy.URL", egress.Problem(c.Proxy.URL))
	case c.Sealer != nil && isNil(c.Sealer):
		return refused("Sealer", "holds a nil pointer; make it with NewSealer, or leave the field nil")
	case c.Lease < c.minLease() || c.Lease > day:
		return refused("Lease", fmt.Sprintf("is %v; with a Timeout of %v it must be at least %v, or deliveries are sent twice, and at most %v", c.Lease, c.Timeout, c.minLease(), day))
	case c.HistoryRetention >= 0 && (c.PayloadRetention < 0 || c.PayloadRetention > c.HistoryRetention):
		return refused("HistoryRetention", fmt.Sprintf("is %v; it must not be less than PayloadRetention", c.HistoryRetention))
	}
	return fieldError(c.guard().Check())
}
