package alotwebhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrBlockedAddress: the address is not one to be dialled. It is all that a
// customer is told: which address it was would answer a port scan.
var ErrBlockedAddress = errors.New("alotwebhook: address is blocked")

// AllowedAddress judges an address as the dispatcher does when it is given no
// AllowNets, DenyNets or NAT64 of the host's own: nil for an address of the
// public internet, [ErrBlockedAddress] for every other, the zero [netip.Addr]
// included.
func AllowedAddress(addr netip.Addr) error { return new(addressGuard).judge(addr) }

// blocked4 is what of IPv4 is not the public internet. Source: the IANA IPv4
// special-purpose address registry; multicast and class E are 224.0.0.0/3.
// 168.63.129.16 is public by its number, but inside Azure it is the machine's
// own control channel.
var blocked4 = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32",
	"169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
	"192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"224.0.0.0/3",
)

// global6 is the one part of IPv6 that is handed out for the public internet,
// and blocked6 what of it is not: protocol assignments with Teredo,
// documentation, 6to4 and AS112. Source: the IANA IPv6 special-purpose address
// registry.
var (
	global6  = netip.MustParsePrefix("2000::/3")
	blocked6 = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)

// A NAT64 gateway turns these into the IPv4 address in their last 32 bits. The
// second kind means whatever the local network says (RFC 8215).
var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")
)

func prefixes(cidrs ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(cidrs))
	for i, s := range cidrs {
		list[i] = netip.MustParsePrefix(s)
	}
	return list
}

// addressGuard says which addresses may be dialled. The zero value allows the
// public internet alone.
type addressGuard struct {
	// AllowNets and DenyNets are the operator's. A denied net wins over an
	// allowed one, an allowed one over what is built in.
	AllowNets, DenyNets []netip.Prefix
	// AllowNAT64 judges an address under 64:ff9b::/96 by the IPv4 address in
	// it. AllowNets cannot open NAT64, or it would open every IPv4 address.
	AllowNAT64 bool
}

// check refuses nets that would silently match nothing.
func (g *addressGuard) check() error {
	if err := checkNets("AllowNets", g.AllowNets); err != nil {
		return err
	}
	return checkNets("DenyNets", g.DenyNets)
}

func checkNets(field string, nets []netip.Prefix) error {
	for i, p := range nets {
		field := fmt.Sprintf("%s[%d]", field, i)
		switch {
		case !p.IsValid():
			return &FieldError{Field: field, Problem: "is not a net; make it with netip.ParsePrefix"}
		case p.Addr().Is4In6():
			return &FieldError{Field: field, Problem: "is IPv4 written as IPv6; write " + p.Addr().Unmap().String() + " with its IPv4 prefix length"}
		}
	}
	return nil
}

func (g *addressGuard) judge(addr netip.Addr) error {
	if !g.allows(addr) {
		return ErrBlockedAddress
	}
	return nil
}

func (g *addressGuard) allows(addr netip.Addr) bool {
	if !addr.IsValid() || addr.Zone() != "" {
		return false
	}
	addr = addr.Unmap() // as the dialer does
	switch {
	case contains(g.DenyNets, addr), nat64Local.Contains(addr):
		return false
	case nat64.Contains(addr):
		return g.AllowNAT64 && g.allows(embedded4(addr))
	case contains(g.AllowNets, addr):
		return true
	case addr.Is4():
		return !contains(blocked4, addr)
	}
	return global6.Contains(addr) && !contains(blocked6, addr)
}

func contains(nets []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(nets, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func embedded4(addr netip.Addr) netip.Addr {
	b := addr.As16()
	return netip.AddrFrom4([4]byte(b[12:]))
}

// control is a [net.Dialer.ControlContext]. It sees each address that a name
// resolved to right before the connection, so that a name which changes its
// answer gains nothing.
func (g *addressGuard) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return ErrBlockedAddress
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return ErrBlockedAddress
	}
	return g.judge(ap.Addr())
}

// transportConfig is what the guarded transport is made from.
type transportConfig struct {
	Guard *addressGuard
	// Resolver looks names up; nil is the system's.
	Resolver *net.Resolver
	// RootCAs are trusted in place of the system's; nil is the system's.
	RootCAs *x509.CertPool
	// ConnectTimeout covers name and connection, TLSTimeout the handshake.
	ConnectTimeout, TLSTimeout time.Duration
	// MaxInFlight is how many requests run at once; as many connections are
	// kept for the next ones.
	MaxInFlight int
	// MaxHeaderBytes bounds the headers of an answer.
	MaxHeaderBytes int64
}

func (c *transportConfig) dialer() *net.Dialer {
	return &net.Dialer{Timeout: c.ConnectTimeout, Resolver: c.Resolver, ControlContext: c.Guard.control}
}

// newTransport makes a transport that reaches only what the guard allows. It
// uses no proxy, because a proxy would dial in its place; it speaks HTTP/1.1
// alone, so that one stuck connection holds up one request; and it does not
// inflate answers, so that none grows past its limit.
//
// Following no redirect is the client's part.
func newTransport(c transportConfig) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext:            c.dialer().DialContext,
		Protocols:              protocols,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs},
		TLSHandshakeTimeout:    c.TLSTimeout,
		DisableCompression:     true,
		MaxResponseHeaderBytes: c.MaxHeaderBytes,
		MaxIdleConns:           c.MaxInFlight,
		MaxIdleConnsPerHost:    c.MaxInFlight,
		IdleConnTimeout:        30 * time.Second,
		WriteBufferSize:        8 << 10, // headers and a usual payload in one write
	}
}

// maxURLLen is the longest URL of an endpoint, in bytes.
const maxURLLen = 2048

// urlRules are what [checkURL] goes by.
type urlRules struct {
	// AllowHTTP lets http and its port 80 pass, for development.
	AllowHTTP bool
	// Guard judges a host that is an address.
	Guard *addressGuard
}

// blockedURL refuses a URL for the address in it.
type blockedURL struct{ *FieldError }

func (e blockedURL) Unwrap() []error { return []error{e.FieldError, ErrBlockedAddress} }

// checkURL returns the URL in its one spelling: host in lower case without a
// final dot, no port where it is the scheme's own. Every error is a
// [FieldError] of "url", and [ErrBlockedAddress] too if the address is why.
func checkURL(raw string, rules urlRules) (*url.URL, error) {
	if problem := textProblem(raw); problem != "" {
		return nil, &FieldError{Field: "url", Problem: problem}
	}
	u, err := url.Parse(raw)
	if err != nil { // the cause would quote what may be a password
		return nil, &FieldError{Field: "url", Problem: "cannot be read; write it as https://host/path"}
	}
	if problem := partsProblem(u, rules.AllowHTTP); problem != "" {
		return nil, &FieldError{Field: "url", Problem: problem}
	}
	port, ok := checkPort(u)
	if !ok {
		return nil, &FieldError{Field: "url", Problem: "has a port that is not allowed; leave it out or use one from 1024 to 65535"}
	}
	host, err := checkHost(u, rules.Guard)
	if err != nil {
		return nil, err
	}
	u.Host = host + port
	return u, nil
}

func textProblem(raw string) string {
	switch {
	case raw == "":
		return "is missing; give the address that receives the requests, such as https://example.com/webhook"
	case len(raw) > maxURLLen:
		return fmt.Sprintf("is %d bytes long; at most %d are allowed", len(raw), maxURLLen)
	case strings.IndexFunc(raw, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0:
		return "has a blank, a control character or a character outside ASCII; percent-encode the path and write the host in Punycode"
	case strings.Contains(raw, `\`):
		return "has a backslash; use / or %5C"
	case strings.Contains(raw, "#"):
		return "has a fragment, which is never sent; leave out # and what follows"
	}
	return ""
}

func partsProblem(u *url.URL, allowHTTP bool) string {
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !allowHTTP):
		return "does not begin with https://; only https is delivered to"
	case u.Opaque != "":
		return "has no // after the scheme; write it as https://host/path"
	case u.User != nil:
		return "has a user name or password; leave out everything up to the @, signatures tell who sends"
	}
	return ""
}

// checkPort returns the port with its colon, or nothing for the scheme's own.
// Below 1024 are other protocols, which a request must not be smuggled into.
func checkPort(u *url.URL) (string, bool) {
	own := map[string]uint64{"https": 443, "http": 80}[u.Scheme]
	if u.Port() == "" {
		return "", true
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		return "", false
	}
	if n == own {
		return "", true
	}
	return ":" + strconv.FormatUint(n, 10), n >= 1024
}

func checkHost(u *url.URL, guard *addressGuard) (string, error) {
	host := u.Hostname()
	addr, err := netip.ParseAddr(host)
	isAddr, isBracketed := err == nil, strings.HasPrefix(u.Host, "[")
	switch {
	case isBracketed != addr.Is6():
		return "", &FieldError{Field: "url", Problem: "has brackets around something other than an IPv6 address"}
	case isAddr && guard.judge(addr) != nil:
		return "", blockedURL{&FieldError{Field: "url", Problem: "has an address that is blocked; use a host that is reachable from the public internet"}}
	case isBracketed:
		return "[" + addr.String() + "]", nil
	case isAddr:
		return addr.String(), nil
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if problem := nameProblem(host); problem != "" {
		return "", &FieldError{Field: "url", Problem: problem}
	}
	return host, nil
}

// nameProblem refuses what a resolver might read as something other than a
// name of the public DNS: search domains, and the spellings of an IPv4 address
// that are numbers to some and names to others.
func nameProblem(host string) string {
	labels := strings.Split(host, ".")
	last := labels[len(labels)-1]
	switch {
	case host == "":
		return "has no host; write it as https://host/path"
	case len(host) > 253 || slices.ContainsFunc(labels, isBadLabel):
		return "has a host that is not a DNS name"
	case isNumeric(last):
		return "has a host that ends in a number; write an IPv4 address as four decimal numbers without leading zeros"
	case len(labels) < 2, last == "localhost", last == "local", last == "internal":
		return "has a host that is not public; use a full name such as example.com"
	}
	return ""
}

func isBadLabel(label string) bool {
	return label == "" || len(label) > 63 || strings.IndexFunc(label, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}) >= 0
}

// isNumeric goes by the URL standard's "ends in a number".
func isNumeric(label string) bool {
	digits, isHex := strings.CutPrefix(label, "0x")
	if isHex {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}
