package alotwebhook

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/alot/alotwebhook/internal/bodybuf"
	"github.com/alot/alotwebhook/internal/claim"
	"github.com/alot/alotwebhook/internal/mac"
	"github.com/alot/alotwebhook/internal/text"
)

// SignatureHeader is the request header that carries the signature.
const SignatureHeader = "X-Alot-Signature"

// Sign returns the value of [SignatureHeader] for a body: "sha256=" and the
// HMAC-SHA256 of exactly these bytes in lower-case hex. The key is the secret's
// UTF-8 bytes.
//
// Sign accepts an empty secret, but [Verify] does not, and no endpoint can have one.
func Sign(body []byte, secret Secret) string { return mac.Sign(body, string(secret)) }

// These errors say why a signature is refused. None of them carries a MAC or a secret. They are for your log:
// the sender should get the status 401 and no reason, since an attacker could learn from one.
var (
	// ErrNoSecret means that the verifier has no secret. It refuses every
	// request then, because an empty secret would let anybody sign.
	ErrNoSecret = claim.ErrNoSecret
	// ErrNotSigned means that the signature is missing or empty.
	ErrNotSigned = claim.ErrNotSigned
	// ErrMalformedSignature means that the signature is not exactly "sha256="
	// and 64 lower-case hex digits, or that the request has the header more
	// than once.
	ErrMalformedSignature = claim.ErrMalformed
	// ErrSignatureMismatch means that the signature was made over other bytes
	// or with another secret. The bytes are others if something in front of the
	// verifier decodes the body and encodes it again, or drops its last line end.
	ErrSignatureMismatch = claim.ErrMismatch
)

// Verify checks a signature, the value of [SignatureHeader], against the body and the secret. It returns nil if
// the secret signed exactly these bytes; otherwise [ErrNoSecret], [ErrNotSigned], [ErrMalformedSignature] or
// [ErrSignatureMismatch]. It compares in constant time and allocates nothing.
//
// The body must be the bytes as received, before any parsing. [Verifier] accepts several secrets, and [Receiver]
// does everything else that a request needs.
func Verify(body []byte, signature string, secret Secret) error {
	if secret == "" {
		return ErrNoSecret
	}
	sum, err := claim.Parse(signature)
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

// Verifier verifies signatures with several secrets at once, so that no event is refused while one secret
// replaces another. It is safe for concurrent use. A nil or zero Verifier refuses everything with [ErrNoSecret].
//
// Printing, logging or encoding a Verifier never shows a secret.
type Verifier struct {
	// keys is a function because printers that follow pointers, as those of tests do, would
	// show the secrets: nobody calls Format if the Verifier is an unexported field of another
	// struct. Of a function they show only the address.
	keys   func() *claim.Keys
	memory *bodybuf.Budget // for the bodies of ParseRequest
}

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
		if problem := text.KeyProblem(string(s)); problem != "" {
			return nil, refused("secrets["+strconv.Itoa(i)+"]", problem)
		}
	}
	return newVerifier(claim.NewKeys(secrets), bodybuf.NewBudget(DefaultMaxBodyMemory)), nil
}

func newVerifier(keys *claim.Keys, memory *bodybuf.Budget) *Verifier {
	return &Verifier{func() *claim.Keys { return keys }, memory}
}

// secrets returns the keys; nil for a nil or zero Verifier.
func (v *Verifier) secrets() *claim.Keys {
	if v == nil || v.keys == nil {
		return nil
	}
	return v.keys()
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
	c, err := v.secrets().Parse(signature)
	if err != nil {
		return -1, err
	}
	return v.secrets().Match(body, &c)
}

// VerifyHeader is [Verifier.VerifyMatch] for a body with all of its request's
// headers, for example out of a queue or a cloud function. Like
// [Verifier.ParseRequest] it refuses a signature header that the request has
// twice, and after [Verifier.AcceptStandard] it accepts the headers of Standard
// Webhooks. The names in h may be in any case.
func (v *Verifier) VerifyHeader(body []byte, h http.Header) (index int, err error) {
	c, err := v.secrets().Of(claim.Canonical(h))
	if err != nil {
		return -1, err
	}
	return v.secrets().Match(body, &c)
}

// Format implements [fmt.Formatter]: every verb prints only the number of secrets.
func (v Verifier) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "alotwebhook.Verifier("+strconv.Itoa(v.secrets().Len())+" secrets)")
}
