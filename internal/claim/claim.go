// Package claim judges whether a request was signed with one of a verifier's secrets: the signature
// that its headers claim, in the published form or in that of Standard Webhooks, and the body.
package claim

import (
	"errors"
	"net/http"

	"github.com/alot/alotwebhook/internal/mac"
	"github.com/alot/alotwebhook/internal/proof"
)

// header carries the signature in the published form. The root has this name and those of Standard
// Webhooks as well; they never change.
const header = "X-Alot-Signature"

// These errors say why a signature is refused; the root documents them.
var (
	ErrNoSecret  = errors.New("alotwebhook: no secret to verify with")
	ErrNotSigned = errors.New("alotwebhook: not signed: " + header + " is missing")
	ErrMalformed = errors.New("alotwebhook: malformed signature: " + header + " is not one value of a prefix and 64 lower-case hex digits")
	ErrMismatch  = errors.New("alotwebhook: signature does not match the body and the secret")
	ErrTooOld    = errors.New("alotwebhook: attempt too old")
	ErrTooNew    = errors.New("alotwebhook: attempt from the future")
	ErrIsEncoded = errors.New("alotwebhook: body is encoded: it has a Content-Encoding")
)

// Keys are the secrets of a verifier, and how it takes the headers of Standard Webhooks. Nil Keys
// refuse everything with [ErrNoSecret].
type Keys struct {
	keys     []key
	standard *Standard
}

// key is a secret, and the key that Standard Webhooks derives from it.
type key struct{ secret, standard string }

// NewKeys returns the keys of these secrets, which take no headers of Standard Webhooks.
func NewKeys[S ~string](secrets []S) *Keys {
	k := &Keys{keys: make([]key, len(secrets))}
	for i, s := range secrets {
		k.keys[i] = key{string(s), mac.StandardKey(string(s))}
	}
	return k
}

// Accept returns the same keys, which take the headers of Standard Webhooks as s says.
func (k *Keys) Accept(s Standard) *Keys { return &Keys{k.keys, &s} }

// Len returns how many secrets there are.
func (k *Keys) Len() int {
	if k == nil {
		return 0
	}
	return len(k.keys)
}

// Answer returns the body of the response to an event if it is a challenge, otherwise nil. The index is
// that of the secret that signed the event. Where headers of Standard Webhooks are taken, the secret may be
// in the spelling of those, and their key is used.
func (k *Keys) Answer(index int, eventType string, data []byte) []byte {
	key := k.keys[index].secret
	if k.standard != nil {
		key = k.keys[index].standard
	}
	return proof.Answer(eventType, data, key)
}

// Claim is the signature that a request's headers claim, well formed but not yet
// compared with the body.
type Claim struct {
	sum      mac.Sum
	standard standardClaim // replaces sum if not zero
}

// Parse returns the claim of a value of the header.
func (k *Keys) Parse(signature string) (c Claim, err error) {
	if k == nil {
		return c, ErrNoSecret
	}
	c.sum, err = Parse(signature)
	return c, err
}

// Parse decodes a signature of the one published form.
func Parse(signature string) (mac.Sum, error) {
	sum, ok := mac.Parse(signature)
	switch {
	case signature == "":
		return sum, ErrNotSigned
	case !ok:
		return sum, ErrMalformed
	}
	return sum, nil
}

// Of parses the signature headers. Its errors are those that need no body.
func (k *Keys) Of(h http.Header) (c Claim, err error) {
	if k == nil {
		return c, ErrNoSecret
	}
	if k.standard != nil && (k.standard.Only || len(h[standardSignature]) > 0) {
		c.standard, err = k.standard.claim(h)
		return c, err
	}
	switch signatures := h[header]; len(signatures) {
	case 0:
		return c, missing(h, ErrNotSigned)
	case 1:
		c.sum, err = Parse(signatures[0])
		return c, err
	default:
		return c, doubled(len(signatures))
	}
}

// Match compares the claim with the body under every secret, even after one has matched, so that its
// running time does not depend on the index. It returns the index of the first that matches, and -1
// with an [ErrMismatch].
func (k *Keys) Match(body []byte, c *Claim) (index int, err error) {
	m := mac.Get()
	defer m.Put()
	index = -1
	for i, key := range k.keys {
		var matches bool
		if s := &c.standard; s.id != "" {
			matches = m.MatchesStandard(body, s.id, s.timestamp, s.signatures, key.standard)
		} else {
			matches = m.Matches(body, key.secret, &c.sum)
		}
		if matches && index < 0 {
			index = i
		}
	}
	if index < 0 {
		return -1, ErrMismatch
	}
	return index, nil
}
