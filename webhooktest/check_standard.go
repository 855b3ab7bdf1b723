package webhooktest

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
)

const verifyStandard = "Verify before anything else, with a Standard Webhooks library or with alotwebhook.Verifier.AcceptStandard: all three headers, over the raw body. To accept no other form, set StandardConfig.Only."

const standardZeros = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

// standardHeader returns the three headers of Standard Webhooks.
func standardHeader(id string, at time.Time, signatures string) http.Header {
	return http.Header{
		alotwebhook.StandardIDHeader:        {id},
		alotwebhook.StandardTimestampHeader: {strconv.FormatInt(at.Unix(), 10)},
		alotwebhook.StandardSignatureHeader: {signatures},
	}
}

// standardChecks replace signatureChecks for [Battery.StandardWebhooks].
var standardChecks = []check{
	{
		name:   "standard-" + unsignedCheck,
		about:  "A request without one of the three headers of Standard Webhooks is refused with 401.",
		change: verifyStandard,
		run: func(p *probe) string {
			bare := p.good().named("without a signature")
			bare.auth = nil
			shots := []shot{bare}
			for _, name := range []string{alotwebhook.StandardIDHeader, alotwebhook.StandardTimestampHeader, alotwebhook.StandardSignatureHeader} {
				s := p.good().named("without " + name)
				s.auth[name] = nil
				shots = append(shots, s)
			}
			return p.needsSignature(shots...)
		},
	},
	{
		name:   "standard-forged",
		about:  "A request signed with another secret or an empty one is refused with 401, and so is any version of the signature but v1.",
		change: verifyStandard + " Do not start without a secret.",
		run: func(p *probe) string {
			return p.refuses(
				p.standardAs("signed with another secret", func(s shot, _ string) string {
					return alotwebhook.SignStandard(s.body, s.event.ID, s.at, alotwebhook.NewSecret())
				}),
				p.standardAs("signed with an empty secret", func(s shot, _ string) string {
					return alotwebhook.SignStandard(s.body, s.event.ID, s.at, "")
				}),
				p.standardAs("with a signature of zeros", func(shot, string) string { return standardZeros }),
				p.standardAs("with an empty signature", func(shot, string) string { return "" }),
				p.standardAs("with a signature of version 2", func(_ shot, right string) string { return "v2," + right }),
				p.standardAs("with a signature without a version", func(_ shot, right string) string { return right }),
				p.standardAs("with half of its signature", func(_ shot, right string) string { return "v1," + right[:22] }),
				p.standardAs("with its signature in hex", func(_ shot, right string) string {
					sum, _ := base64.StdEncoding.DecodeString(right) // never fails for a signature of SignStandard
					return "v1," + hex.EncodeToString(sum)
				}))
		},
	},
	{
		name:   "standard-tampered",
		about:  "A request whose body, id or time was changed after it was signed is refused with 401.",
		change: verifyStandard + " The signature is over the id, the time and the body, with dots between them.",
		raw:    true,
		run: func(p *probe) string {
			body, id, at := p.good().named("with a line end that was not signed"), p.good().named("under another webhook-id"), p.good().named("with another webhook-timestamp")
			body.body = append(body.body, '\n')
			id.auth[alotwebhook.StandardIDHeader] = []string{p.event().ID}
			at.auth[alotwebhook.StandardTimestampHeader] = []string{strconv.FormatInt(at.at.Unix()+1, 10)}
			return p.refuses(body, id, at)
		},
	},
	reencoded,
	{
		name:   "standard-stale",
		about:  "An attempt whose signed time is an hour ago, or in an hour, is refused: it is a replay, or a clock is wrong.",
		change: "Compare the absolute difference between the signed time and now with a tolerance of a few minutes. Each attempt is signed anew, also that of an old event.",
		run: func(p *probe) string {
			return p.refuses(p.standardAt(-time.Hour).named("signed an hour ago"), p.standardAt(time.Hour).named("signed for an hour from now"))
		},
	},
	{
		name:   "standard-rotation",
		about:  "A request with several signatures is accepted if one of them is right: during the rotation of a secret, the sender signs with both.",
		change: "Split webhook-signature at its spaces, skip the versions that you do not know, and compare with each of the others.",
		good:   true,
		run: func(p *probe) string {
			return p.accepts(
				p.standardAs("with a wrong signature before the right one", func(_ shot, right string) string { return standardZeros + " v1," + right }),
				p.standardAs("with a signature of another version beside it", func(_ shot, right string) string { return "v1," + right + " v9,AAAA" }))
		},
	},
}

// standardAs returns a good event with another signature, which change makes from the
// base64 of the right one.
func (p *probe) standardAs(what string, change func(s shot, right string) string) shot {
	s := p.good().named(what)
	right := strings.TrimPrefix(s.auth.Get(alotwebhook.StandardSignatureHeader), "v1,")
	s.auth[alotwebhook.StandardSignatureHeader] = []string{change(s, right)}
	return s
}

// standardAt returns a good event whose signed time is this far from now.
func (p *probe) standardAt(from time.Duration) shot {
	s := p.good()
	s.at = s.at.Add(from)
	s.auth = standardHeader(s.event.ID, s.at, alotwebhook.SignStandard(s.body, s.event.ID, s.at, p.Secret))
	return s
}
