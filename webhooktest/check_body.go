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

const strictParse = "Parse strictly after verifying: refuse a body that is not one object with id, type, timestamp, organizationId and data, each once, and answer 400. In Go: alotwebhook.ParseEvent."

// Bodies that are signed, and yet not to be acted on.
var bodyChecks = []check{
	{
		name:   "not-json",
		about:  "A signed body that is not JSON is refused with 400.",
		change: strictParse + " No status of 500 for it: nothing of yours has failed.",
		run: func(p *probe) string {
			return p.refusesBodies(map[string]string{
				"a body that is not JSON": "Hello, World!",
				"an empty body":           "",
				"half an event":           string(p.event().Payload()[:60]),
				"what is not UTF-8":       "{\"id\":\"\xff\"}",
			})
		},
	},
	{
		name:   "not-an-event",
		about:  "Signed JSON that is no event is refused with 400.",
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
		about:  "A payload that has a key twice is refused with 400: another parser would read another event.",
		change: strictParse + " Most parsers take the last of two silently; in Python, object_pairs_hook sees both. The sender sends no such payload: where the parser cannot tell, leave this check out.",
		run: func(p *probe) string {
			return p.refuses(
				p.respelt(func(payload string) string { return inFront(payload, `"id":"`+p.event().ID+`"`) }).named(`with "id" twice`),
				p.respelt(func(payload string) string { return behind(payload, `"type":"webhooktest.another"`) }).named(`with "type" twice`))
		},
	},
	{
		name:   "folded-keys",
		about:  "A key that differs from a published one in case only is not taken for it: the payload is refused with 400, or read as if it were not there.",
		change: strictParse + ` Go's encoding/json takes "ID" for "id" silently.`,
		run:    runFoldedKeys,
	},
	{
		name:   "oversized",
		about:  "A body larger than the limit is refused with 413, whether it says its length or not, and though it is signed.",
		change: "Bound the body before reading it, and answer 413. In Go: http.MaxBytesReader; not io.LimitReader, which cuts the rest off so that a good signature looks wrong. If the limit is meant to be higher, give it to the battery (MaxBodyBytes, check --max-body).",
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
		about:  "A body with a Content-Encoding is refused with 415: signatures are over the plain bytes, and the sender compresses nothing.",
		change: "Refuse any Content-Encoding but identity before reading, and switch off what decompresses bodies in front of the handler: a few bytes from anybody become gigabytes there.",
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
		about:  "Events come by POST; any other method is refused with 405.",
		change: `Mount the handler for POST alone, in Go: mux.Handle("POST /alot/webhook", …), or answer 405 yourself.`,
		run: func(p *probe) string {
			put, patch := p.good().named("by PUT"), p.good().named("by PATCH")
			put.method, patch.method = http.MethodPut, http.MethodPatch
			put.refusal, patch.refusal = http.StatusNotImplemented, http.StatusNotImplemented
			return p.refuses(put, patch)
		},
	},
}

// refusesBodies signs each body; the map is by what it is.
func (p *probe) refusesBodies(bodies map[string]string) string {
	for _, what := range sortedKeys(bodies) {
		s := p.signed(alotwebhook.Event{}, []byte(bodies[what]))
		if a := p.send(s); !a.refused() {
			return "sent " + what + ", signed: " + a.String() + ", not 4xx"
		}
	}
	return ""
}

// respelt is a signed event whose payload was changed first.
func (p *probe) respelt(change func(payload string) string) shot {
	e := p.event()
	return p.signed(e, []byte(change(string(e.Payload()))))
}

// inFront and behind put a member into a payload.
func inFront(payload, member string) string { return "{" + member + "," + payload[1:] }

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

// ignores sends what a right receiver refuses, or takes for the event that it is
// without what was put into it, so that nothing is done for the other id.
func (p *probe) ignores(s shot, other string) string {
	if p.Handled == nil {
		return "" // another answer tells nothing of which key was read
	}
	a := p.send(s)
	n, want := p.Handled(s.event.ID), 0
	if a.ok() {
		want = 1
	}
	if n != want || p.Handled(other) != 0 || a.err != nil || a.status > 499 {
		return s.say("an event", fmt.Sprintf("%s, acted on it %s, and on an event with the other id %s", a, times(n), times(p.Handled(other))))
	}
	return ""
}

// refusesOversized takes a cut connection for a refusal: there is no other in
// the middle of a body. A 401 says that the body was cut off and then verified.
func (p *probe) refusesOversized(s shot) string {
	a := p.send(s)
	n, known := p.handled(s)
	switch {
	case known && n != 0:
		return s.say("a signed event", fmt.Sprintf("%s, and acted on it %s", a, times(n)))
	case a.err != nil && p.ctx.Err() == nil && !a.isPanic() && a.took < p.Timeout:
		return ""
	case a.err != nil, a.status < 400, a.status > 499:
		return s.say("a signed event", a.String()+", not 413")
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden:
		return s.say("a signed event", a.String()+" as if the signature were wrong, not 413")
	}
	return ""
}

func gzipped(b []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, _ = w.Write(b) // a buffer takes everything
	_ = w.Close()
	return buf.Bytes()
}

// sortedKeys gives a map of cases a fixed order.
func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

func firstOf(problems ...string) string {
	for _, p := range problems {
		if p != "" {
			return p
		}
	}
	return ""
}
