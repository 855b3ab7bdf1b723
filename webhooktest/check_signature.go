package webhooktest

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"hash"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
)

const (
	compareWhole = `Compute "sha256=" and the lower-case hex HMAC-SHA256 of the raw body, and compare the whole text with the header in constant time; refuse whatever is not equal. In Go: alotwebhook.Verify.`
	noVerifying  = "Verify the signature before anything else, for every request, and answer 401 when it does not hold. In Go: alotwebhook.Receiver."
)

// forgery makes the lines of the signature header from the right value.
type forgery struct {
	what  string
	lines func(right string) []string
}

// refusesForgeries is a check of good events whose signature header is another.
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

// inPlace is a forgery with one other line.
func inPlace(what string, line func(right string) string) forgery {
	return forgery{what, func(right string) []string { return []string{line(right)} }}
}

// digits takes the algorithm off a signature.
func digits(signature string) string { return strings.TrimPrefix(signature, "sha256=") }

const zeros = "sha256=0000000000000000000000000000000000000000000000000000000000000000"

var signatureChecks = []check{
	{
		name:   "unsigned",
		about:  "A request without a signature is refused with 401, however good it looks.",
		change: noVerifying + " A missing header is no reason to skip it.",
		run:    refusesForgeries(forgery{"without a signature", func(string) []string { return nil }}),
	},
	{
		name:   "empty-signature",
		about:  "An empty signature is refused with 401.",
		change: noVerifying + " An empty header is a missing one.",
		run:    refusesForgeries(inPlace("with an empty signature", func(string) string { return "" })),
	},
	{
		name:   "wrong-secret",
		about:  "What another secret signed is refused with 401.",
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
		about:  "What was signed with an empty secret is refused: everybody can sign so.",
		change: "Refuse to start without a secret: an unset variable must not become an empty key. In Go: alotwebhook.NewVerifier.",
		run: func(p *probe) string {
			s := p.good().named("signed with an empty secret")
			s.auth = signature(alotwebhook.Sign(s.body, ""))
			return p.refuses(s)
		},
	},
	{
		name:   "tampered-body",
		about:  "A body that was changed after it was signed is refused with 401, were it by one byte.",
		change: compareWhole,
		run: func(p *probe) string {
			changed, longer, shorter := p.good(), p.good(), p.good()
			changed.event.Timestamp = changed.event.Timestamp.Add(-time.Hour)
			changed.body = changed.event.Payload()
			longer.body = append(longer.body, '\n')
			shorter.body = shorter.body[:len(shorter.body)-1]
			return p.refuses(
				changed.named("whose time was changed after it was signed"),
				longer.named("with a line end that was not signed"),
				shorter.named("with its last byte gone"))
		},
	},
	{
		name:   "re-encoded-body",
		about:  "The signature is over the bytes as they came, not over the same JSON encoded again.",
		change: rawBody,
		run:    runReencoded,
	},
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
		about:  "The one algorithm is HMAC-SHA256; the request does not choose another.",
		change: compareWhole + " Do not take the algorithm from the header.",
		run:    runOtherAlgorithm,
	},
	{
		name:   "no-prefix",
		about:  `A signature without "sha256=" in front is refused.`,
		change: compareWhole + " Do not cut the prefix off as if it were optional.",
		run: refusesForgeries(
			inPlace("whose signature has no prefix", digits),
			inPlace("whose signature is in base64", func(right string) string {
				sum, _ := hex.DecodeString(digits(right)) // our own
				return "sha256=" + base64.StdEncoding.EncodeToString(sum)
			})),
	},
	{
		name:   "doubled-header",
		about:  "Several signatures, in several headers or in one, are refused: the sender sends one.",
		change: "Take the header's values as a list and refuse more than one. In Go: r.Header[…] and its length, not r.Header.Get.",
		run: refusesForgeries(
			forgery{"with a second, wrong signature header", func(right string) []string { return []string{right, zeros} }},
			forgery{"with a wrong signature header before the right one", func(right string) []string { return []string{zeros, right} }},
			forgery{"with the right signature header twice", func(right string) []string { return []string{right, right} }},
			inPlace("with two signatures in one header", func(right string) string { return zeros + "," + right })),
	},
	{
		name:   "blanks-around",
		about:  "Blanks in or around a signature make it another text: refused.",
		change: compareWhole + " Do not trim.",
		run: func(p *probe) string {
			forgeries := []forgery{inPlace("with a blank in its signature", func(right string) string { return "sha256= " + digits(right) })}
			if p.local { // HTTP itself takes these away
				forgeries = append(forgeries,
					inPlace("with a blank before its signature", func(right string) string { return " " + right }),
					inPlace("with a blank behind its signature", func(right string) string { return right + " " }))
			}
			return refusesForgeries(forgeries...)(p)
		},
	},
	{
		name:   "truncated",
		about:  "A part of the right signature is refused, and nothing breaks over a short one.",
		change: compareWhole + " Do not slice the header or compare as far as the shorter one goes.",
		run: refusesForgeries(
			inPlace("with half of its signature", func(right string) string { return right[:len(right)/2] }),
			inPlace("with its signature less one digit", func(right string) string { return right[:len(right)-1] }),
			inPlace("with one digit of its signature", func(right string) string { return right[:len("sha256=")+1] }),
			inPlace("with a prefix for a signature", func(string) string { return "sha256=" }),
			inPlace("with one letter for a signature", func(string) string { return "s" }),
			inPlace("with a digit after its signature", func(right string) string { return right + "0" })),
	},
}

// runReencoded signs what a receiver gets that decodes the body and encodes it
// again, and sends the same event in another spelling.
func runReencoded(p *probe) string {
	e := p.event()
	body := []byte(strings.Replace(string(e.Payload()), `,"`, `, "`, 1))
	kept := shot{event: e, body: body, auth: signature(alotwebhook.Sign(e.Payload(), p.Secret))}
	kept.what = "with a blank in it that was not signed, as if encoding again took it out"

	var decoded map[string]any
	e = p.event()
	_ = json.Unmarshal(e.Payload(), &decoded) // a payload is valid JSON
	again, _ := json.Marshal(decoded)
	sorted := shot{event: e, body: e.Payload(), auth: signature(alotwebhook.Sign(again, p.Secret))}
	sorted.what = "whose signature is over the same JSON with sorted keys"
	return p.refuses(kept, sorted)
}

func runOtherAlgorithm(p *probe) string {
	var shots []shot
	for _, c := range []struct {
		prefix string
		hash   func() hash.Hash
	}{{"sha1=", sha1.New}, {"sha512=", sha512.New}} {
		s := p.good().named("signed with " + c.prefix)
		s.auth = signature(c.prefix + hmacOf(c.hash, s.body, p.Secret))
		shots = append(shots, s)
	}
	for _, prefix := range []string{"SHA256=", "sha1=", "sha512=", "none=", "v1="} {
		s := p.good().named("with " + prefix + " before the digits of its signature")
		s.auth = signature(prefix + digits(alotwebhook.Sign(s.body, p.Secret)))
		shots = append(shots, s)
	}
	return p.refuses(shots...)
}

func hmacOf(newHash func() hash.Hash, body []byte, secret alotwebhook.Secret) string {
	m := hmac.New(newHash, []byte(secret))
	m.Write(body)
	return hex.EncodeToString(m.Sum(nil))
}
