package webhooktest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/alot/alotwebhook"
)

// The first checks find what makes every other check fail, or say nothing. One mistake is then one finding.
const (
	firstCheck    = "signed" // if it fails, the checks that send good events are skipped
	rawCheck      = "raw-body"
	anyCheck      = "any-request"
	spaceCheck    = "white-space"
	fieldsCheck   = "unknown-fields"
	reencodeCheck = "re-encoded-body"
	unsignedCheck = "unsigned" // of Standard Webhooks with standard- in front
	timeCheck     = "in-time"
)

var firstChecks = []check{
	{
		name:   firstCheck,
		about:  "An event signed with the secret gets a 2xx status.",
		change: "Look at the receiver's own log. Does the receiver run at this URL, and is the handler mounted at exactly this path (a redirect is not followed)? Does something in front of it refuse the request, such as a login or a protection against CSRF? Is the secret the same on both sides, without a line end? Does the handler verify the raw body, before anything parses it? Does it accept this event type and data? URL, type and data are settings of the battery.",
		run: func(p *probe) string {
			a := p.send(p.good())
			p.first, p.silent = a.took, a.err != nil && !a.isPanic()
			p.elsewhere = a.status >= 300 && a.status < 400
			if a.ok() {
				return p.accepts(p.good())
			}
			p.refusal = a.status
			return p.diagnose(a, "sent a good event: "+a.String()+mustAccept)
		},
	},
	{
		name:   rawCheck,
		about:  "The signature is verified over the bytes as they arrived: nothing in front of the handler parses, reads or replaces the body.",
		change: rawBody + " Most often a body parser stands in front, so that there are no bytes left to verify: have it leave this route out. In JavaScript: express.json() before express.raw(), the framework's own JSON parser (Fastify, NestJS without rawBody, the Pages API of Next.js), or express.raw() without type. In Python: request.json before request.data.",
		good:   true,
		run:    func(p *probe) string { return p.notRaw },
	},
	{
		name:   anyCheck,
		about:  "What is no event at all is refused with 4xx.",
		change: "Respond by the result of the verification: 401 where it fails. Is it the handler that responds? A login, an error handler, or a front end that has a page for every path may respond with 200 in its place.",
		good:   true,
		run: func(p *probe) string {
			s := shot{body: []byte("Hello, World!")}
			a := p.send(s)
			if !a.ok() {
				return ""
			}
			p.cause, p.why = anyCheck, "the receiver accepts whatever it gets, see "+anyCheck
			return "sent an unsigned text that is no JSON: " + a.String() + mustRefuse
		},
	},
}

// changes says what to change where the status of the first response tells it.
var changes = map[int]string{
	http.StatusNotFound:         "Mount the handler at exactly this path, for POST. Does the URL have each prefix that a router or proxy in front wants?",
	http.StatusMethodNotAllowed: "Mount the handler for POST at exactly this path: another handler is there now, or the method is another one.",
}

const proxyAlone = "Start the receiver, or have the proxy in front pass this path on to it: the response is the proxy's own."

// diagnose finds out why a good event was not accepted, where a few more requests can tell. It returns the
// problem.
func (p *probe) diagnose(a response, problem string) string {
	p.change = changes[a.status]
	switch {
	case p.first > p.Timeout && (a.err != nil || a.failed()) && !slices.Contains(p.Skip, timeCheck):
		p.cause, p.why = timeCheck, "the response did not come in time, see "+timeCheck
	case a.refused() && p.change == "":
		return p.diagnoseRefusal(problem)
	case !a.failed() || !p.exchange(p.forged()).failed(): // the handler's own affair, or none of the below
	case a.status == http.StatusBadGateway, a.status == http.StatusServiceUnavailable, a.status == http.StatusGatewayTimeout:
		p.change = proxyAlone
		p.cause, p.why = firstCheck, "the receiver is not reached, see "+firstCheck
	default:
		p.blameBody(a.String() + " to a good event, and to one with a wrong signature: it fails before it has judged the signature")
	}
	return problem
}

// failed reports whether the receiver broke down over the request.
func (a response) failed() bool { return a.isPanic() || a.err == nil && a.status >= 500 }

// forged returns a good event that another secret signed.
func (p *probe) forged() shot {
	other := *p
	other.Secret += "x"
	return other.good()
}

// blameBody makes the check of the raw body the one that fails, unless it is left out.
func (p *probe) blameBody(problem string) {
	if slices.Contains(p.Skip, rawCheck) {
		return
	}
	p.notRaw = problem
	p.cause, p.why = rawCheck, "the handler does not have the raw body, see "+rawCheck
}

// diagnoseRefusal tries what a receiver may verify in place of the body, and what it may have for its secret.
func (p *probe) diagnoseRefusal(problem string) string {
	instead := func(text string) func([]byte) []byte { return func([]byte) []byte { return []byte(text) } }
	for _, c := range []struct {
		what string
		of   func(payload []byte) []byte
	}{
		{"an empty body", instead("")},
		{`"{}"`, instead("{}")},
		{`"[object Object]"`, instead("[object Object]")},
		{"the same JSON with a space after each comma and colon", spaced},
		{"the same JSON with sorted keys", sorted},
	} {
		e := p.event()
		if a := p.exchange(p.signedOver(e, e.Payload(), c.of(e.Payload()))); a.ok() {
			p.blameBody(problem + "; but signed over " + c.what + ": " + a.String())
			return problem
		}
	}
	for _, c := range []struct {
		what   string
		secret alotwebhook.Secret
	}{
		{"and a line end after it", p.Secret + "\n"},
		{"with quotes around it", `"` + p.Secret + `"`},
	} {
		other := *p
		other.Secret = c.secret
		if a := p.exchange(other.good()); a.ok() {
			p.change = "Give the receiver the secret alone: a file or a variable has more than that."
			return problem + "; but signed with the secret " + c.what + ": " + a.String()
		}
	}
	return problem
}

// signedOver returns a shot of a body whose signature is over another text.
func (p *probe) signedOver(e alotwebhook.Event, body, text []byte) shot {
	s := p.signed(e, text)
	s.body = body
	return s
}

// needsSignature is refuses for shots without a signature. If one is accepted, and one that another secret signed
// as well, nothing is verified, and no other forgery has to be tried.
func (p *probe) needsSignature(shots ...shot) string {
	problem := p.refuses(shots...)
	if problem != "" && p.exchange(p.forged()).ok() {
		p.unverified = "no signature is verified, see " + unsignedCheck
		if p.StandardWebhooks {
			p.unverified = "no signature is verified, see standard-" + unsignedCheck
		}
		problem += ", and one that another secret signed was accepted as well: no signature is verified"
	}
	return problem
}

// follows says of a check that has found a problem which other check has its cause; "" if none has.
func (p *probe) follows(c check, problem string) string {
	switch {
	case p.cause != "" && p.cause != c.name:
		return p.why
	case c.raw && !slices.Contains(p.Skip, reencodeCheck) && p.reencodes():
		return "the signature is verified over JSON that was encoded again, see " + reencodeCheck
	case c.fields && p.narrow:
		return "unknown fields are refused, see " + fieldsCheck
	case p.failed[c.after]:
		return "it goes wrong for the same reason, see " + c.after
	case p.odd[problem] != "":
		return p.followsOdd(c, p.odd[problem])
	}
	return ""
}

// oddly says in a word how a receiver has refused a request, if with neither 2xx nor 4xx: two refusals by the same
// error handler say the same.
func (a response) oddly() string {
	switch {
	case a.isPanic():
		return "a panic"
	case a.timedOut():
		return "no response"
	case a.err != nil:
		return "a cut connection"
	}
	return strconv.Itoa(a.status)
}

const inPlaceOf4xx = " It refuses the request, but a sender takes that for an outage: catch the error, and respond with 401 where the signature is wrong and with 400 where the body is no event."

// followsOdd says of a check whose requests were refused in an odd way which other check has found that; "" if none
// has. What so refuses whatever is wrongly signed is a single mistake, and so is what refuses signed bodies so.
func (p *probe) followsOdd(c check, odd string) string {
	const says = "it refuses, but with "
	ofBodies := "of a signed body: " + odd
	switch {
	case p.odds[odd] != "":
		return says + odd + ", see " + p.odds[odd]
	case !c.forged && p.odds[ofBodies] != "":
		return says + odd + ", see " + p.odds[ofBodies]
	case !c.forged:
		p.odds[ofBodies] = c.name
		return ""
	}
	a := p.exchange(p.forged())
	if a.ok() || a.refused() || a.oddly() != odd {
		return "" // it is this forgery that makes it fail
	}
	if a.timedOut() { // to wait for each of the others would take long
		p.unverified = says + odd + ", see " + c.name
	}
	p.odds[odd] = c.name
	p.change = c.change + inPlaceOf4xx
	return ""
}

// reencodes reports whether the receiver accepts signatures over the same JSON encoded again.
func (p *probe) reencodes() bool {
	if p.reencoded == nil {
		accepted := false
		for _, s := range p.reencodedShots() {
			accepted = accepted || p.send(s).ok()
		}
		p.reencoded = &accepted
	}
	return *p.reencoded
}

// reencodedShots returns events whose signature is over another encoding of the same JSON. A receiver that decodes
// the body and encodes it again before it verifies would accept them.
func (p *probe) reencodedShots() []shot {
	e, other := p.event(), p.event()
	withSpace := bytes.Replace(e.Payload(), []byte(`,"`), []byte(`, "`), 1)
	return []shot{
		p.signedOver(e, withSpace, e.Payload()).named("with a space in its JSON that was not signed"),
		p.signedOver(other, other.Payload(), sorted(other.Payload())).named("whose signature is over the same JSON with sorted keys"),
	}
}

var reencoded = check{
	name:   reencodeCheck,
	about:  "The signature is over the bytes as they arrived, not over the same JSON encoded again.",
	change: rawBody,
	run:    func(p *probe) string { return p.refuses(p.reencodedShots()...) },
}

// sorted returns JSON as a parser encodes it that keeps no order of keys.
func sorted(payload []byte) []byte {
	var decoded any
	_ = json.Unmarshal(payload, &decoded) // never fails, since a payload is valid JSON
	again, _ := json.Marshal(decoded)
	return again
}

// spaced returns JSON as Python's json.dumps writes it.
func spaced(payload []byte) []byte {
	var out []byte
	inText := false
	for i, b := range payload {
		out = append(out, b)
		switch {
		case b == '"' && (i == 0 || payload[i-1] != '\\'):
			inText = !inText
		case !inText && (b == ',' || b == ':'):
			out = append(out, ' ')
		}
	}
	return out
}
