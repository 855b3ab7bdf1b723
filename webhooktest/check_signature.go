package webhooktest

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
)

const (
	compareWhole = `Compute "sha256=" and the lower-case hex HMAC-SHA256 of the raw body, and compare all of it with the header in constant time; refuse the request if they differ. In Go, use alotwebhook.Verify.`
	noVerifying  = "Verify the signature before anything else, for every request, and respond with 401 if it is wrong. In Go, use alotwebhook.Receiver."
)

// forgery is a way to forge the signature header.
type forgery struct {
	what  string                      // describes it in the report
	lines func(right string) []string // the header's values, made from the right one
}

// refusesForgeries returns a check.run that sends good events with forged signatures.
func refusesForgeries(forgeries ...forgery) func(*probe) string {
	return func(p *probe) string {
		var shots []shot
		for _, f := range forgeries {
			s := p.good().named(f.what)
			s.auth = signature(f.lines(alotwebhook.Sign(s.body, p.Secret))...)
			shots = append(shots, s)
		}
		return p.refuses(shots...)
	}
}

// inPlace returns a forgery with a single value.
func inPlace(what string, line func(right string) string) forgery {
	return forgery{what, func(right string) []string { return []string{line(right)} }}
}

// digits returns a signature without the name of the algorithm.
func digits(signature string) string { return strings.TrimPrefix(signature, "sha256=") }

const zeros = "sha256=0000000000000000000000000000000000000000000000000000000000000000"

// signatureChecks send requests with a missing or forged X-Alot-Signature.
var signatureChecks = []check{
	{
		name:   unsignedCheck,
		about:  "A request without a signature is refused with 401, even if it is good otherwise.",
		change: noVerifying + " Do not skip it because the header is missing.",
		run: func(p *probe) string {
			s := p.good().named("without a signature")
			s.auth = nil
			return p.needsSignature(s)
		},
	},
	{
		name:   "empty-signature",
		about:  "An empty signature is refused with 401.",
		change: noVerifying + " Treat an empty header like a missing one.",
		run:    refusesForgeries(inPlace("with an empty signature", func(string) string { return "" })),
	},
	{
		name:   "wrong-secret",
		about:  "A request that another secret signed is refused with 401.",
		change: compareWhole,
		run: func(p *probe) string {
			s, zero := p.good().named("signed with another secret"), p.good().named("with a signature of zeros")
			s.auth = signature(alotwebhook.Sign(s.body, p.Secret+"x"))
			zero.auth = signature(zeros)
			return p.refuses(s, zero)
		},
	},
	{
		name:   "empty-secret",
		about:  "A request signed with an empty secret is refused with 401: anybody can sign with that.",
		change: "Do not start without a secret: an unset variable must not become an empty key. In Go, use alotwebhook.NewVerifier.",
		run: func(p *probe) string {
			s := p.good().named("signed with an empty secret")
			s.auth = signature(alotwebhook.Sign(s.body, ""))
			return p.refuses(s)
		},
	},
	{
		name:   "tampered-body",
		about:  "A body that was changed after it was signed is refused with 401, even if only one byte differs.",
		change: compareWhole,
		raw:    true,
		run: func(p *probe) string {
			changed, longer, shorter := p.good(), p.good(), p.good()
			changed.event.Timestamp = changed.event.Timestamp.Add(-time.Hour)
			changed.body = changed.event.Payload()
			longer.body = append(longer.body, '\n')
			shorter.body = shorter.body[:len(shorter.body)-1]
			shots := []shot{changed.named("whose timestamp was changed after it was signed"), shorter.named("with its last byte gone")}
			if !p.trims {
				shots = append(shots, longer.named("with a line end that was not signed"))
			}
			return p.refuses(shots...)
		},
	},
	reencoded,
	{
		name:   "upper-case-hex",
		about:  "A signature in upper-case hex is refused: the published form is lower case.",
		change: compareWhole + " Do not decode the hex first.",
		run: refusesForgeries(inPlace("with its signature in upper-case hex", func(right string) string {
			return "sha256=" + strings.ToUpper(digits(right))
		})),
	},
	{
		name:   "other-algorithm",
		about:  "The only algorithm is HMAC-SHA256; a request cannot choose another.",
		change: compareWhole + " Do not take the algorithm from the header.",
		run:    runOtherAlgorithm,
	},
	{
		name:   "no-prefix",
		about:  `A signature that does not begin with "sha256=" is refused.`,
		change: compareWhole + " Do not treat the prefix as optional.",
		run: refusesForgeries(
			inPlace("whose signature has no prefix", digits),
			inPlace("whose signature is in base64", func(right string) string {
				sum, _ := hex.DecodeString(digits(right)) // never fails for a signature of Sign
				return "sha256=" + base64.StdEncoding.EncodeToString(sum)
			})),
	},
	{
		name:   "doubled-header",
		about:  "A request with several signatures, in several headers or in one, is refused: the sender sends one.",
		change: "Read all values of the header and refuse more than one. In Go, use len(r.Header[…]), because r.Header.Get returns only the first.",
		run: refusesForgeries(
			forgery{"with a second, wrong signature header", func(right string) []string { return []string{right, zeros} }},
			forgery{"with a wrong signature header before the right one", func(right string) []string { return []string{zeros, right} }},
			forgery{"with the right signature header twice", func(right string) []string { return []string{right, right} }},
			inPlace("with two signatures in one header", func(right string) string { return zeros + "," + right })),
	},
	{
		name:   "blanks-around",
		about:  "A signature with white space in it or around it is refused: it is another text.",
		change: compareWhole + " Do not trim.",
		run: func(p *probe) string {
			forgeries := []forgery{inPlace("with a space in its signature", func(right string) string { return "sha256= " + digits(right) })}
			if p.local { // over HTTP, they would be dropped on the way
				forgeries = append(forgeries,
					inPlace("with a space before its signature", func(right string) string { return " " + right }),
					inPlace("with a space after its signature", func(right string) string { return right + " " }))
			}
			return refusesForgeries(forgeries...)(p)
		},
	},
	{
		name:   "truncated",
		about:  "A part of the right signature is refused, and so is a very short one.",
		change: compareWhole + " Do not slice the header, and do not compare up to the end of the shorter text only.",
		run: refusesForgeries(
			inPlace("with half of its signature", func(right string) string { return right[:len(right)/2] }),
			inPlace("with a signature that lacks its last digit", func(right string) string { return right[:len(right)-1] }),
			inPlace("with only one digit of its signature", func(right string) string { return right[:len("sha256=")+1] }),
			inPlace("whose signature is only the prefix", func(string) string { return "sha256=" }),
			inPlace("whose signature is a single letter", func(string) string { return "s" }),
			inPlace("with one digit too many in its signature", func(right string) string { return right + "0" })),
	},
}

func runOtherAlgorithm(p *probe) string {
	var shots []shot
	for _, c := range []struct {
		prefix string
		hash   func() hash.Hash
	}{{"sha1=", sha1.New}, {"sha512=", sha512.New}} {
		s := p.good().named("signed with " + c.prefix)
		if sum, ok := hmacOf(c.hash, s.body, p.Secret); ok {
			s.auth = signature(c.prefix + sum)
			shots = append(shots, s)
		}
	}
	for _, prefix := range []string{"SHA256=", "sha1=", "sha512=", "none=", "v1="} {
		s := p.good().named("with " + prefix + " in front of the digits of its signature")
		s.auth = signature(prefix + digits(alotwebhook.Sign(s.body, p.Secret)))
		shots = append(shots, s)
	}
	return p.refuses(shots...)
}

// hmacOf returns an HMAC, or false if this process may not compute it: crypto/hmac panics for SHA-1
// under GODEBUG=fips140=only. It does so for a short key as well, and therefore gets the key with the
// zeros that HMAC itself adds up to a block.
func hmacOf(newHash func() hash.Hash, body []byte, secret alotwebhook.Secret) (sum string, ok bool) {
	defer func() { ok = recover() == nil }()
	key := []byte(secret)
	if missing := newHash().BlockSize() - len(key); missing > 0 {
		key = append(key, make([]byte, missing)...)
	}
	m := hmac.New(newHash, key)
	m.Write(body)
	return hex.EncodeToString(m.Sum(nil)), true
}
