package alotwebhook

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/alot/alotwebhook/internal/bodybuf"
	"github.com/alot/alotwebhook/internal/mac"
)

// These errors say why a signature is refused. None of them carries a MAC or a
// secret. They are for your log: the sender should get the status 401 and no
// reason, since an attacker could learn from one.
var (
	// ErrNoSecret means that the verifier has no secret. It refuses every
	// request then, because an empty secret would let anybody sign.
	ErrNoSecret = errors.New("alotwebhook: no secret to verify with")
	// ErrNotSigned means that the signature is missing or empty.
	ErrNotSigned = errors.New("alotwebhook: not signed: " + SignatureHeader + " is missing")
	// ErrMalformedSignature means that the signature is not exactly "sha256="
	// and 64 lower-case hex digits, or that the request has the header more
	// than once.
	ErrMalformedSignature = errors.New("alotwebhook: malformed signature: " + SignatureHeader + " is not one value of a prefix and 64 lower-case hex digits")
	// ErrSignatureMismatch means that the signature was made over other bytes
	// or with another secret. The bytes are others if something in front of the
	// verifier decodes the body and encodes it again, or drops its last line end.
	ErrSignatureMismatch = errors.New("alotwebhook: signature does not match the body and the secret")
)

// Verify checks a signature, the value of [SignatureHeader], against the body and
// the secret. It returns nil if the secret signed exactly these bytes; otherwise
// [ErrNoSecret], [ErrNotSigned], [ErrMalformedSignature] or
// [ErrSignatureMismatch]. It compares in constant time and allocates nothing.
//
// The body must be the bytes as received, before any parsing. [Verifier] accepts
// several secrets, and [Receiver] does everything else that a request needs.
func Verify(body []byte, signature string, secret Secret) error {
	if secret == "" {
		return ErrNoSecret
	}
	sum, err := parseSignature(signature)
	if err != nil {
		return err
	}
	m := mac.Get()
	defer m.Put()
	if !m.Matches(body, string(secret), &sum) {
		return ErrSignatureMismatch
	}
	return nil
}

// parseSignature decodes a signature of the one published form.
func parseSignature(signature string) (mac.Sum, error) {
	sum, ok := mac.Parse(signature)
	switch {
	case signature == "":
		return sum, ErrNotSigned
	case !ok:
		return sum, ErrMalformedSignature
	}
	return sum, nil
}

// Verifier verifies signatures with several secrets at once, so that no event is
// refused while one secret replaces another. It is safe for concurrent use. A nil
// or zero Verifier refuses everything with [ErrNoSecret].
//
// Printing, logging or encoding a Verifier never shows a secret.
type Verifier struct {
	// keys is a function because package fmt prints the elements of a slice if
	// the Verifier is an unexported field of another struct: fmt cannot call
	// Format there. It prints only the address of a function.
	keys func() []verifierKey
	// standard is not nil if the headers of Standard Webhooks are accepted.
	standard *StandardConfig
	memory   *bodybuf.Budget // for the bodies of ParseRequest
}

// verifierKey is a secret, and the key that Standard Webhooks derives from it.
type verifierKey struct{ secret, standard string }

// NewVerifier returns a verifier that accepts a signature by any of the secrets.
// During a rotation give it both, the old one and the new one.
//
// The error is a [*FieldError] that names the secret by its index: there are no
// secrets, or one is empty, or one has white space around it, as a secret has
// that was read from a file together with its line end.
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
		keys[i] = verifierKey{string(s), s.standardKey()}
	}
	return &Verifier{keys: func() []verifierKey { return keys }, memory: bodybuf.NewBudget(DefaultMaxBodyMemory)}, nil
}

// Verify is the function [Verify] with each of the secrets. It allocates nothing.
func (v *Verifier) Verify(body []byte, signature string) error {
	_, err := v.VerifyMatch(body, signature)
	return err
}

// VerifyMatch is [Verifier.Verify], and also returns the index, among the
// arguments of [NewVerifier], of the secret that matched; −1 with an error. Count
// the indexes to see when an old secret is no longer in use.
//
// It compares all secrets, even after one has matched, so that its running time
// does not depend on the index.
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

// VerifyHeader is [Verifier.VerifyMatch] for a body with all of its request's
// headers, for example out of a queue or a cloud function. Like
// [Verifier.ParseRequest] it refuses a signature header that the request has
// twice, and after [Verifier.AcceptStandard] it accepts the headers of Standard
// Webhooks. The names in h must have the canonical form that [http.Header.Set]
// gives them.
func (v *Verifier) VerifyHeader(body []byte, h http.Header) (index int, err error) {
	c, err := v.claim(h)
	if err != nil {
		return -1, err
	}
	return v.match(body, &c)
}

// claim is the signature that a request's headers claim, well formed but not yet
// compared with the body.
type claim struct {
	sum      mac.Sum
	standard standardClaim // replaces sum if not zero
}

// claim parses the signature headers. Its errors are those that need no body.
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

// match compares the claim with the body under every secret, and returns the
// index of the first that matches.
func (v *Verifier) match(body []byte, c *claim) (index int, err error) {
	m := mac.Get()
	defer m.Put()
	index = -1
	for i, k := range v.keys() {
		var matches bool
		if s := &c.standard; s.id != "" {
			matches = m.MatchesStandard(body, s.id, s.timestamp, s.signatures, k.standard)
		} else {
			matches = m.Matches(body, k.secret, &c.sum)
		}
		if matches && index < 0 {
			index = i
		}
	}
	if index < 0 {
		return -1, ErrSignatureMismatch
	}
	return index, nil
}

// Format implements [fmt.Formatter]: every verb prints only the number of secrets.
func (v Verifier) Format(f fmt.State, _ rune) {
	n := 0
	if v.ready() {
		n = len(v.keys())
	}
	_, _ = io.WriteString(f, "alotwebhook.Verifier("+strconv.Itoa(n)+" secrets)")
}
