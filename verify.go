package alotwebhook

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/alot/alotwebhook/internal/bodybuf"
)

// Why a signature is refused. None of these carries a MAC or a secret, and the
// one who sent the request should be told no more than that it was refused.
var (
	// ErrNoSecret: there is no secret to verify with. An empty one would let
	// everybody sign.
	ErrNoSecret = errors.New("alotwebhook: no secret to verify with")
	// ErrNotSigned: the signature is missing or empty.
	ErrNotSigned = errors.New("alotwebhook: not signed: " + SignatureHeader + " is missing")
	// ErrMalformedSignature: the signature is not exactly "sha256=" and 64
	// lower-case hex digits, or the header stands there several times.
	ErrMalformedSignature = errors.New("alotwebhook: malformed signature: not one sha256= and 64 lower-case hex digits")
	// ErrSignatureMismatch: the signature was made over other bytes or with
	// another secret. Bytes change when something in front of the verifier
	// decodes and encodes the body again, or drops its last line end.
	ErrSignatureMismatch = errors.New("alotwebhook: signature does not match the body and the secret")
)

// Verify tells whether the signature, the value of [SignatureHeader], is that
// of exactly these bytes with this secret: nil, [ErrNoSecret], [ErrNotSigned],
// [ErrMalformedSignature] or [ErrSignatureMismatch]. It compares in constant
// time and allocates nothing.
//
// The body must be the raw bytes received, before any parsing. [Verifier] takes
// several secrets, [Receiver] does all the rest of a request.
func Verify(body []byte, signature string, secret Secret) error {
	if secret == "" {
		return ErrNoSecret
	}
	sum, err := parseSignature(signature)
	if err != nil {
		return err
	}
	m := macs.Get().(*mac)
	defer macs.Put(m)
	if !m.matches(body, secret, &sum) {
		return ErrSignatureMismatch
	}
	return nil
}

func (m *mac) matchesClaim(body []byte, k verifierKey, c *claim) bool {
	if c.standard.id != "" {
		return m.matchesStandard(body, k.standard, &c.standard)
	}
	return m.matches(body, k.secret, &c.sum)
}

func (m *mac) matches(body []byte, secret Secret, sum *[sha256.Size]byte) bool {
	m.sumOf(secret, nil, body)
	return subtle.ConstantTimeCompare(m.sum[:], sum[:]) == 1
}

// parseSignature takes the one published form; what it reads is no secret.
func parseSignature(signature string) (sum [sha256.Size]byte, err error) {
	if signature == "" {
		return sum, ErrNotSigned
	}
	digits, ok := strings.CutPrefix(signature, signaturePrefix)
	if !ok || len(digits) != 2*len(sum) {
		return sum, ErrMalformedSignature
	}
	var bad byte
	for i := range sum {
		high, low := hexDigits[digits[2*i]], hexDigits[digits[2*i+1]]
		bad |= high | low
		sum[i] = high<<4 | low
	}
	if bad > 0x0f {
		return sum, ErrMalformedSignature
	}
	return sum, nil
}

// hexDigits has the value of each lower-case hex digit, and 0xff for other bytes.
var hexDigits = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i, c := range []byte("0123456789abcdef") {
		t[c] = byte(i)
	}
	return t
}()

// Verifier verifies with several secrets at once, so that none is lost while
// one takes the place of another. It is safe for concurrent use. A nil or zero
// Verifier refuses everything with [ErrNoSecret].
//
// However it is printed, it shows none of its secrets.
type Verifier struct {
	// A function shows nothing to package fmt, which would print a slice when
	// the Verifier is an unexported field: it cannot call Format there.
	keys func() []verifierKey
	// standard, if not nil, says how the headers of Standard Webhooks are taken.
	standard *StandardConfig
	memory   *bodybuf.Budget // of ParseRequest
}

// verifierKey is a secret, and its bytes as Standard Webhooks reads them.
type verifierKey struct{ secret, standard Secret }

// NewVerifier returns a verifier that accepts what any of the secrets signed.
// It refuses, with a [*FieldError] that names the place, to have none, and any
// that is empty or has white space around it, as one read from a file with its
// line end has.
func NewVerifier(secrets ...Secret) (*Verifier, error) {
	if len(secrets) == 0 {
		return nil, &FieldError{Field: "secrets", Problem: "has none; give the endpoint's signing secret"}
	}
	for i, s := range secrets {
		field := "secrets[" + strconv.Itoa(i) + "]"
		switch strings.TrimSpace(string(s)) {
		case "":
			return nil, &FieldError{Field: field, Problem: "is empty; is its environment variable or file set?"}
		case string(s):
		default:
			return nil, &FieldError{Field: field, Problem: "has white space around it; trim the line end or the blanks"}
		}
	}
	keys := make([]verifierKey, len(secrets))
	for i, s := range secrets {
		keys[i] = verifierKey{s, s.standardKey()}
	}
	return &Verifier{keys: func() []verifierKey { return keys }, memory: bodybuf.NewBudget(DefaultMaxBodyMemory)}, nil
}

// Verify is [Verify] with any of the secrets. It allocates nothing.
func (v *Verifier) Verify(body []byte, signature string) error {
	_, err := v.VerifyMatch(body, signature)
	return err
}

// VerifyMatch is [Verifier.Verify] that also tells which secret matched, by its
// place in [NewVerifier], or −1: how to see that an old one is no longer used.
// All are compared, whichever matches.
func (v *Verifier) VerifyMatch(body []byte, signature string) (index int, err error) {
	if !v.ready() {
		return -1, ErrNoSecret
	}
	sum, err := parseSignature(signature)
	if err != nil {
		return -1, err
	}
	return v.match(body, &claim{sum: sum})
}

func (v *Verifier) ready() bool { return v != nil && v.keys != nil }

// VerifyHeader is [Verifier.VerifyMatch] for what came as a body and a header,
// such as through a queue or a function service: as [Verifier.ParseRequest] it
// refuses a header that stands there twice, and with [Verifier.AcceptStandard]
// it takes those of Standard Webhooks. The header's names must be in canonical
// form, as [http.Header.Set] makes them.
func (v *Verifier) VerifyHeader(body []byte, h http.Header) (index int, err error) {
	c, err := v.claim(h)
	if err != nil {
		return -1, err
	}
	return v.match(body, &c)
}

// claim is what a request's header says of its signature, before there is a body.
type claim struct {
	sum      [sha256.Size]byte
	standard standardClaim // in place of sum, if not zero
}

// claim refuses what the header alone condemns.
func (v *Verifier) claim(h http.Header) (c claim, err error) {
	if !v.ready() {
		return c, ErrNoSecret
	}
	if v.standard != nil && (v.standard.Only || len(h[StandardSignatureHeader]) > 0) {
		c.standard, err = v.standard.claim(h)
		return c, err
	}
	switch signatures := h[SignatureHeader]; len(signatures) {
	case 0:
		return c, ErrNotSigned
	case 1:
		c.sum, err = parseSignature(signatures[0])
		return c, err
	default:
		return c, ErrMalformedSignature
	}
}

func (v *Verifier) match(body []byte, c *claim) (index int, err error) {
	m := macs.Get().(*mac)
	defer macs.Put(m)
	index = -1
	for i, k := range v.keys() {
		if m.matchesClaim(body, k, c) && index < 0 {
			index = i
		}
	}
	if index < 0 {
		return -1, ErrSignatureMismatch
	}
	return index, nil
}

// Format prints how many secrets there are, whatever the verb.
func (v Verifier) Format(f fmt.State, _ rune) {
	n := 0
	if v.ready() {
		n = len(v.keys())
	}
	_, _ = io.WriteString(f, "alotwebhook.Verifier("+strconv.Itoa(n)+" secrets)")
}
