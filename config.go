package alotwebhook

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/alot/alotwebhook/internal/guard"
)

// Config says how a [Dispatcher] works. Nil and every zero field stand for the
// defaults, which are right for sending to customers over the internet.
// [NewDispatcher] checks it and takes a copy.
type Config struct {
	// EventTypes is the catalogue: only these can be emitted and subscribed to.
	// Defaults to [DefaultEventTypes]; add your own to those.
	EventTypes []EventType

	// Retry makes the schedule of the attempts.
	// Defaults to [DefaultSchedule]: three attempts, the second after 30 s,
	// the third after another 10 min.
	Retry RetryPolicy

	// Timeout bounds an attempt as a whole, from looking up the name to the
	// last byte of the answer. From 10 ms to 5 min.
	// Defaults to 15 s.
	Timeout time.Duration

	// ConnectTimeout bounds the look-up and the connection, TLSTimeout the
	// handshake after it; neither extends Timeout.
	// Both default to 5 s.
	ConnectTimeout, TLSTimeout time.Duration

	// InFlight is how many attempts this process makes at once. Memory grows
	// with it, never with the backlog. From 1 to 10,000.
	// Defaults to 256.
	InFlight int

	// InFlightPerEndpoint is how many of them go to one endpoint at once, so
	// that one that hangs holds no more than these. From 1 to InFlight.
	// Defaults to 32, or InFlight if that is less.
	InFlightPerEndpoint int

	// Lease is how long a claimed delivery stays out of other processes' sight.
	// After a crash, what was in flight goes out again when it has passed. It
	// must be at least 2 × Timeout + 10 s: shorter ones make duplicates.
	// Defaults to that.
	Lease time.Duration

	// PollInterval is how long at most an idle dispatcher takes to see what
	// another process emitted. What this process emits it sees at once. From 1 ms to 1 min.
	// Defaults to 200 ms.
	PollInterval time.Duration

	// ShutdownTimeout is how long Run lets attempts finish once its context is
	// done. What is cut off then is released and counts as no attempt.
	// Defaults to Timeout + 5 s.
	ShutdownTimeout time.Duration

	// MaxPayload is the largest payload that Emit takes, in bytes. From 1 KiB to 16 MiB.
	// Defaults to 256 KiB.
	MaxPayload int

	// MaxResponseBody is how much of an answer is read, in bytes; the
	// connection of a longer one is closed. From 0 to 16 MiB; a negative value reads nothing.
	// Defaults to 64 KiB.
	MaxResponseBody int

	// MaxResponseHeader is how many bytes of headers an answer may have. From 1 KiB to 1 MiB.
	// Defaults to 32 KiB.
	MaxResponseHeader int

	// KeepResponseBody keeps the first bytes of each answer in the history.
	// They are the customer's and may hold anything. At most MaxResponseBody.
	// Defaults to 0: none.
	KeepResponseBody int

	// StandardWebhooks adds the three headers of Standard Webhooks
	// (https://www.standardwebhooks.com) to each request, beside [SignatureHeader]:
	// a customer can then verify with that project's libraries, for which
	// [Secret.Standard] spells the secret, and gets a signed time of the attempt.
	// Defaults to false.
	StandardWebhooks bool

	// UserAgent is the header of that name.
	// Defaults to "alotwebhook/1".
	UserAgent string

	// AllowHTTP admits plain http URLs, and port 80. For development: what is
	// sent can be read and changed on the way.
	// Defaults to false: https only.
	AllowHTTP bool

	// AllowNets are networks that may be dialled although the guard's own list
	// denies them, such as 127.0.0.0/8 in development. Each one opens a part of
	// your own network to whoever can register an endpoint.
	// Defaults to none.
	AllowNets []netip.Prefix

	// DenyNets are further networks never to be dialled, such as the host's own
	// public addresses. They go before AllowNets.
	// Defaults to none.
	DenyNets []netip.Prefix

	// AllowNAT64 judges addresses of 64:ff9b::/96 by the IPv4 address in them,
	// for hosts that reach IPv4 through NAT64 only.
	// Defaults to false: denied.
	AllowNAT64 bool

	// RootCAs are the authorities whose certificates endpoints may present.
	// Defaults to the system's.
	RootCAs *x509.CertPool

	// Resolver looks up host names.
	// Defaults to [net.DefaultResolver].
	Resolver *net.Resolver

	// WrapTransport wraps the guarded transport, for tracing or metrics. What
	// it returns must send through the one it was given: whoever goes around
	// it goes around the dial guard.
	// Defaults to nil: not wrapped.
	WrapTransport func(http.RoundTripper) http.RoundTripper

	// Sealer encrypts the secrets that the store holds.
	// Defaults to nil: they are stored in plain.
	Sealer Sealer

	// RecoverPerSecond is how many failed deliveries a second a recovery sends
	// again: see [Dispatcher.Recover]. They wait in line with what is new, so
	// that more than the endpoint can take delays its new deliveries. From 1 to 10,000.
	// Defaults to 100.
	RecoverPerSecond int

	// DisableAfter disables an endpoint that has given nothing but failures
	// for so long. Its deliveries are parked, not lost. Negative: never.
	// Defaults to 5 days.
	DisableAfter time.Duration

	// OnDisabled hears of each endpoint that the dispatcher disabled, with
	// DisabledReason set, so that the host can tell its customer. It is called
	// by the goroutine that made the attempt and should return soon.
	// Defaults to nil.
	OnDisabled func(Endpoint)

	// OnAttempt hears of each attempt, for metrics. It is called by the
	// goroutine that made the attempt and should return at once.
	// Defaults to nil.
	OnAttempt func(AttemptInfo)

	// PayloadRetention is how long the payload of an event is kept once all its
	// deliveries are finished; after that it cannot be redelivered. Negative: for ever.
	// Defaults to 30 days.
	PayloadRetention time.Duration

	// HistoryRetention is how long finished deliveries and their attempts are
	// kept. It must not be less than PayloadRetention. Negative: for ever.
	// Defaults to 90 days.
	HistoryRetention time.Duration

	// Logger gets ids, hosts, statuses, reasons and milliseconds; never a
	// payload, a secret, a header value or a query string.
	// Defaults to [slog.Default].
	Logger *slog.Logger
}

// AttemptInfo is what [Config.OnAttempt] hears.
type AttemptInfo struct {
	DeliveryID, EventID, EventType, EndpointID, OrganizationID string
	Attempt                                                    Attempt
	// State is what becomes of the delivery.
	State DeliveryState
}

const (
	kib = 1 << 10
	mib = 1 << 20
	day = 24 * time.Hour
)

// withDefaults returns a checked copy. The error names the field.
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
	cfg.Timeout = cmp.Or(cfg.Timeout, 15*time.Second)
	cfg.ConnectTimeout = cmp.Or(cfg.ConnectTimeout, 5*time.Second)
	cfg.TLSTimeout = cmp.Or(cfg.TLSTimeout, 5*time.Second)
	cfg.InFlight = cmp.Or(cfg.InFlight, 256)
	cfg.InFlightPerEndpoint = cmp.Or(cfg.InFlightPerEndpoint, min(32, max(cfg.InFlight, 1)))
	cfg.Lease = cmp.Or(cfg.Lease, cfg.minLease())
	cfg.PollInterval = cmp.Or(cfg.PollInterval, 200*time.Millisecond)
	cfg.ShutdownTimeout = cmp.Or(cfg.ShutdownTimeout, cfg.Timeout+5*time.Second)
	cfg.MaxPayload = cmp.Or(cfg.MaxPayload, 256*kib)
	cfg.MaxResponseBody = max(0, cmp.Or(cfg.MaxResponseBody, 64*kib))
	cfg.MaxResponseHeader = cmp.Or(cfg.MaxResponseHeader, 32*kib)
	cfg.UserAgent = cmp.Or(cfg.UserAgent, "alotwebhook/1")
	cfg.RecoverPerSecond = cmp.Or(cfg.RecoverPerSecond, 100)
	cfg.DisableAfter = cmp.Or(cfg.DisableAfter, 5*day)
	cfg.PayloadRetention = cmp.Or(cfg.PayloadRetention, 30*day)
	cfg.HistoryRetention = cmp.Or(cfg.HistoryRetention, 90*day)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	return &cfg, cfg.check()
}

// minLease leaves room for an attempt and for a second one that a slow store
// or scheduler holds up.
func (c *Config) minLease() time.Duration { return 2*c.Timeout + 10*time.Second }

func (c *Config) check() error {
	if err := checkEventTypes(c.EventTypes); err != nil {
		return err
	}
	if !printableASCII(c.UserAgent) {
		return &FieldError{Field: "UserAgent", Problem: "has characters that a header cannot carry; use printable ASCII"}
	}
	if err := c.checkRanges(); err != nil {
		return err
	}
	if err := c.Retry.check(); err != nil {
		return err
	}
	if c.Sealer != nil && isNil(c.Sealer) {
		return &FieldError{Field: "Sealer", Problem: "holds a nil pointer; make it with NewSealer, or leave the field nil"}
	}
	if c.Lease < c.minLease() {
		return &FieldError{Field: "Lease", Problem: fmt.Sprintf("is %v; with a Timeout of %v it must be at least %v, or deliveries are sent twice", c.Lease, c.Timeout, c.minLease())}
	}
	if c.HistoryRetention >= 0 && (c.PayloadRetention < 0 || c.PayloadRetention > c.HistoryRetention) {
		return &FieldError{Field: "HistoryRetention", Problem: fmt.Sprintf("is %v; it must not be less than PayloadRetention", c.HistoryRetention)}
	}
	return fieldError(c.guard().Check())
}

// guard judges addresses as the configuration says.
func (c *Config) guard() *guard.Guard {
	return &guard.Guard{AllowNets: c.AllowNets, DenyNets: c.DenyNets, AllowNAT64: c.AllowNAT64}
}

func (c *Config) checkRanges() error {
	for _, f := range []struct {
		name               string
		value, least, most time.Duration
	}{
		{"Timeout", c.Timeout, 10 * time.Millisecond, 5 * time.Minute},
		{"ConnectTimeout", c.ConnectTimeout, time.Millisecond, 5 * time.Minute},
		{"TLSTimeout", c.TLSTimeout, time.Millisecond, 5 * time.Minute},
		{"PollInterval", c.PollInterval, time.Millisecond, time.Minute},
		{"ShutdownTimeout", c.ShutdownTimeout, time.Millisecond, time.Hour},
	} {
		if f.value < f.least || f.value > f.most {
			return &FieldError{Field: f.name, Problem: fmt.Sprintf("is %v, which is not from %v to %v", f.value, f.least, f.most)}
		}
	}
	for _, f := range []struct {
		name               string
		value, least, most int
	}{
		{"InFlight", c.InFlight, 1, 10_000},
		{"InFlightPerEndpoint", c.InFlightPerEndpoint, 1, c.InFlight},
		{"MaxPayload", c.MaxPayload, kib, 16 * mib},
		{"MaxResponseBody", c.MaxResponseBody, 0, 16 * mib},
		{"MaxResponseHeader", c.MaxResponseHeader, kib, mib},
		{"RecoverPerSecond", c.RecoverPerSecond, 1, 10_000},
		{"KeepResponseBody", c.KeepResponseBody, 0, c.MaxResponseBody},
	} {
		if f.value < f.least || f.value > f.most {
			return &FieldError{Field: f.name, Problem: fmt.Sprintf("is %d, which is not from %d to %d", f.value, f.least, f.most)}
		}
	}
	return nil
}

func printableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
