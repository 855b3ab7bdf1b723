package webhooktest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/alot/alotwebhook"
)

const strictParse = "Parse strictly after verifying: a body must be one object with id, type, timestamp, organizationId and data, each once; refuse any other with 400. In Go, use alotwebhook.ParseEvent."

// bodyChecks send signed requests that must not be handled.
var bodyChecks = []check{
	{
		name:   "not-json",
		about:  "A signed body that is not JSON is refused with 400.",
		change: strictParse + " Do not respond with 500: nothing has failed on your side.",
		run: func(p *probe) string {
			return p.refusesBodies(map[string]string{
				"a body that is not JSON":  "Hello, World!",
				"an empty body":            "",
				"half an event":            string(p.event().Payload()[:60]),
				"a body that is not UTF-8": "{\"id\":\"\xff\"}",
			})
		},
	},
	{
		name:   "not-an-event",
		about:  "Signed JSON that is not an event is refused with 400.",
		change: strictParse,
		run: func(p *probe) string {
			payload := string(p.event().Payload())
			return p.refusesBodies(map[string]string{
				"an empty object":         "{}",
				"null":                    "null",
				"a list of events":        "[" + payload + "]",
				"two events in a row":     payload + payload,
				"an event without an id":  strings.Replace(payload, `"id":`, `"key":`, 1),
				"an event with id null":   `{"id":null,` + payload[strings.Index(payload, `"type":`):],
				"an event without a type": strings.Replace(payload, `"type":`, `"kind":`, 1),
			})
		},
	},
	{
		name:   "duplicate-keys",
		about:  "A payload in which a key appears twice is refused with 400: another parser would read another event.",
		change: strictParse + " Most parsers silently take the second of two; in Python, object_pairs_hook gets both. If your parser cannot tell, skip this check: the sender sends no such payload.",
		run: func(p *probe) string {
			return p.refuses(
				p.respelt(func(payload string) string { return inFront(payload, `"id":"`+p.event().ID+`"`) }).named(`with "id" twice`),
				p.respelt(func(payload string) string { return behind(payload, `"type":"webhooktest.another"`) }).named(`with "type" twice`))
		},
	},
	{
		name:   "folded-keys",
		about:  "A key that differs from a published key in case only is not taken for that key: the payload is refused with 400, or the odd key is ignored.",
		change: strictParse + ` Go's encoding/json silently takes "ID" for "id".`,
		run:    runFoldedKeys,
	},
	{
		name:   "oversized",
		about:  "A body above the limit is refused with 413, with or without a Content-Length, and even if it is signed.",
		change: "Bound the body before you read it, and respond with 413. In Go, use http.MaxBytesReader, and not io.LimitReader: that cuts the body off, so that a good signature looks wrong. If your limit is higher on purpose, tell the battery (MaxBodyBytes).",
		good:   true,
		run: func(p *probe) string {
			said := p.padded(int(p.MaxBodyBytes) + 1)
			unsaid := p.padded(int(p.MaxBodyBytes) + 1)
			unsaid.chunked = true
			size := fmt.Sprintf("of %d bytes", p.MaxBodyBytes+1)
			return firstOf(p.refusesOversized(said.named(size)), p.refusesOversized(unsaid.named(size+" without Content-Length")))
		},
	},
	{
		name:   "gzip",
		about:  "A body with a Content-Encoding is refused with 415: signatures are over the plain bytes, and the sender does not compress.",
		change: "Refuse every Content-Encoding but identity before you read the body. Do not let anything in front of the handler decompress bodies: a few bytes from anybody can become gigabytes there. In Express, that is inflate: false.",
		run: func(p *probe) string {
			packed, plain := p.good(), p.good()
			packed = p.signed(packed.event, gzipped(packed.body)).named("compressed, with a signature over the compressed bytes")
			plain.body = gzipped(plain.body)
			plain = plain.named("compressed, with a signature over the plain bytes")
			for _, s := range []*shot{&packed, &plain} {
				s.header = http.Header{"Content-Encoding": {"gzip"}}
			}
			return p.refuses(packed, plain)
		},
	},
	{
		name:   "method",
		about:  "Events arrive by POST; any other method is refused with 405.",
		change: `Mount the handler for POST only (in Go: mux.Handle("POST /alot/webhook", …)), or respond with 405 yourself.`,
		run: func(p *probe) string {
			put, patch := p.good().named("by PUT"), p.good().named("by PATCH")
			put.method, patch.method = http.MethodPut, http.MethodPatch
			put.refusal, patch.refusal = http.StatusNotImplemented, http.StatusNotImplemented
			return p.refuses(put, patch)
		},
	},
}

// refusesBodies sends signed bodies that a right receiver refuses. The keys of the map
// describe them. It returns the problem, or "".
func (p *probe) refusesBodies(bodies map[string]string) (odd string) {
	for _, what := range sortedKeys(bodies) {
		s := p.signed(alotwebhook.Event{}, []byte(bodies[what]))
		a := p.send(s)
		problem := "sent " + what + ", signed: " + a.String() + mustRefuse
		if a.ok() || p.lost != "" {
			return problem
		}
		if odd == "" && !a.refused() {
			odd = problem
			p.odd[odd] = a.oddly()
		}
	}
	return odd
}

// respelt returns a shot whose payload was changed before it was signed.
func (p *probe) respelt(change func(payload string) string) shot {
	e := p.event()
	return p.signed(e, []byte(change(string(e.Payload()))))
}

// inFront adds a member at the beginning of a payload.
func inFront(payload, member string) string { return "{" + member + "," + payload[1:] }

// behind adds a member at the end of a payload.
func behind(payload, member string) string { return payload[:len(payload)-1] + "," + member + "}" }

func runFoldedKeys(p *probe) string {
	for _, key := range []string{"id", "type"} {
		folded := strings.ToUpper(key)
		alone := p.respelt(func(payload string) string { return strings.Replace(payload, `"`+key+`":`, `"`+folded+`":`, 1) })
		if problem := p.refuses(alone.named(fmt.Sprintf("with %q in place of %q", folded, key))); problem != "" {
			return problem
		}
	}
	other := p.event().ID
	for _, put := range []func(payload, member string) string{inFront, behind} {
		id := p.respelt(func(payload string) string { return put(payload, `"ID":"`+other+`"`) })
		eventType := p.respelt(func(payload string) string { return put(payload, `"Type":"webhooktest.another"`) })
		if problem := firstOf(p.ignores(id.named(`with "ID" beside "id"`), other), p.ignores(eventType.named(`with "Type" beside "type"`), other)); problem != "" {
			return problem
		}
	}
	return ""
}

// ignores sends an event with a key that a right receiver ignores, or for which it refuses
// the event. It must not handle an event with the other id. It returns the problem, or "".
func (p *probe) ignores(s shot, other string) string {
	if p.Handled == nil {
		return "" // the response does not tell which key the receiver has read
	}
	a := p.send(s)
	n, want := p.Handled(s.event.ID), 0
	if a.ok() {
		want = 1
	}
	if n != want || p.Handled(other) != 0 || a.err != nil || a.status > 499 {
		return s.say("an event", fmt.Sprintf("%s; the event %s, and an event with the other id %s", a, handledTimes(n), handledTimes(p.Handled(other))))
	}
	return ""
}

// refusesOversized sends a body that is too large. A closed connection counts as a refusal,
// because a receiver may have no other in the middle of a body. A 401 is a problem: it
// shows that the receiver cut the body off and then verified it. refusesOversized returns
// the problem, or "".
func (p *probe) refusesOversized(s shot) string {
	a := p.send(s)
	n, known := p.handled(s)
	switch {
	case known && n != 0:
		return s.say("a signed event", fmt.Sprintf("%s, and the event %s; it must not be handled", a, handledTimes(n)))
	case a.err != nil && p.ctx.Err() == nil && !a.isPanic() && a.took < p.Timeout:
		return ""
	case a.err != nil, a.status < 400, a.status > 499:
		problem := s.say("a signed event", a.String()+"; the status must be 413")
		if !a.ok() {
			p.odd[problem] = a.oddly()
		}
		return problem
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden:
		return s.say("a signed event", a.String()+", as if the signature were wrong; the status must be 413")
	}
	return ""
}

func gzipped(b []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, _ = w.Write(b) // a buffer never fails
	_ = w.Close()
	return buf.Bytes()
}

// sortedKeys returns the keys of a map in a fixed order.
func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// firstOf returns the first problem that is not "".
func firstOf(problems ...string) string {
	for _, p := range problems {
		if p != "" {
			return p
		}
	}
	return ""
}
