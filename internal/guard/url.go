package guard

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxURLLen is the longest URL of an endpoint, in bytes.
const maxURLLen = 2048

// URLRules configure [CheckURL].
type URLRules struct {
	// AllowHTTP accepts the scheme http and port 80, for development.
	AllowHTTP bool
	// Guard judges a host that is an IP address.
	Guard *Guard
}

// CheckURL checks the URL of an endpoint. It returns the URL with the host in lower
// case and without a final dot, and without the port if that is the default of the
// scheme. The error is a [*Refusal] of the field "url".
func CheckURL(raw string, rules URLRules) (*url.URL, error) {
	if problem := textProblem(raw); problem != "" {
		return nil, refuse(problem)
	}
	u, err := url.Parse(raw)
	if err != nil { // the text of err could quote a password, so it is left out
		return nil, refuse("cannot be read; write it as https://host/path")
	}
	if problem := partsProblem(u, rules.AllowHTTP); problem != "" {
		return nil, refuse(problem)
	}
	port, ok := checkPort(u)
	if !ok {
		return nil, refuse("has a port that is not allowed; leave it out or use one from 1024 to 65535")
	}
	host, err := checkHost(u, rules)
	if err != nil {
		return nil, err
	}
	u.Host = host + port
	return u, nil
}

func refuse(problem string) error { return &Refusal{Field: "url", Problem: problem} }

// textProblem says what is wrong with the characters of a URL; "" for nothing.
func textProblem(raw string) string {
	switch {
	case raw == "":
		return "is missing; give the address that receives the requests, such as https://example.com/webhook"
	case len(raw) > maxURLLen:
		return fmt.Sprintf("is %d bytes long; at most %d are allowed", len(raw), maxURLLen)
	case strings.TrimSpace(raw) != raw:
		return "begins or ends with a space or a line break; remove it"
	case strings.Contains(raw, " "):
		return "has a space in it; write %20 where the path or query needs one"
	case strings.IndexFunc(raw, isControl) >= 0:
		return "has a line break, a tab or another invisible character in it; remove it"
	case strings.IndexFunc(raw, isNotASCII) >= 0:
		return "has a character other than plain letters, digits and signs (ASCII); percent-encode it in the path, write a host name in its xn-- form"
	case strings.Contains(raw, `\`):
		return "has a backslash; use / or %5C"
	case strings.Contains(raw, "#"):
		return "has a fragment, which is never sent; leave out # and what follows"
	}
	return ""
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func isNotASCII(r rune) bool { return r > '~' }

// partsProblem says what is wrong with the parts of a URL other than host and port; ""
// for nothing.
func partsProblem(u *url.URL, allowHTTP bool) string {
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !allowHTTP):
		return "does not begin with https://; events are sent to https URLs only"
	case u.Opaque != "":
		return "has no // after the scheme; write it as https://host/path"
	case u.User != nil:
		return "has a user name or password; leave out everything up to the @ and verify the signature instead"
	}
	return ""
}

// checkPort returns the port with a colon in front, or "" for the scheme's default. It
// refuses other ports below 1024: they belong to other protocols, and a request must
// not reach a mail server, for example.
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

// checkHost returns the host in its one spelling, or a [*Refusal].
func checkHost(u *url.URL, rules URLRules) (string, error) {
	host := u.Hostname()
	addr, err := netip.ParseAddr(host)
	isAddr, isBracketed := err == nil, strings.HasPrefix(u.Host, "[")
	switch {
	case isBracketed != addr.Is6():
		return "", refuse("has brackets around something other than an IPv6 address")
	case isAddr && rules.Guard.Judge(addr) != nil:
		return "", &Refusal{Field: "url", Problem: blockedProblem(addr, rules.AllowHTTP), Blocked: true}
	case isBracketed:
		return "[" + addr.String() + "]", nil
	case isAddr:
		return addr.String(), nil
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if rules.AllowHTTP && isLocalhost(host) {
		return "", refuse("has the host localhost, whose address is not certain; write 127.0.0.1, and allow 127.0.0.0/8 by Config.AllowNets")
	}
	if problem := nameProblem(host); problem != "" {
		return "", refuse(problem)
	}
	return host, nil
}

// blockedProblem says what to do about a blocked address. It names Config.AllowNets to
// developers only: a host that allows plain http is in development, so that no customer
// reads the text.
func blockedProblem(addr netip.Addr, development bool) string {
	if development && addr.Unmap().IsLoopback() {
		return "has an address that is blocked; in development, allow it by Config.AllowNets, such as 127.0.0.0/8"
	}
	return "has an address that is blocked; use a host that is reachable from the public internet"
}

// CheckName returns a [*Refusal] for a host that is no name of the public DNS by its spelling. It is for
// a name that somebody else looks up, who may take it for an address.
func CheckName(host string) error {
	if problem := nameProblem(strings.TrimSuffix(strings.ToLower(host), ".")); problem != "" {
		return refuse(problem)
	}
	return nil
}

func isLocalhost(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// nameProblem says what is wrong with a host name; "" for nothing. It refuses a name
// that a resolver might not look up in the public DNS: a name that it completes with a
// search domain, and a spelling of an IPv4 address that some resolvers read as a number
// and others as a name.
func nameProblem(host string) string {
	labels := strings.Split(host, ".")
	last := labels[len(labels)-1]
	switch {
	case host == "":
		return "has no host; write it as https://host/path"
	case host == "https", host == "http":
		return "begins with " + host + ":// twice; write it once"
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

// isNumeric reports whether a host with this last label "ends in a number", as the URL
// standard calls it.
func isNumeric(label string) bool {
	digits, isHex := strings.CutPrefix(label, "0x")
	if isHex {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}
