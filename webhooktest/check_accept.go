package webhooktest

import (
	"bytes"
	"encoding/json"
	"strings"
)

// firstCheck is the one without which no other good event is sent.
const firstCheck = "signed"

// The good events. What is odd about each is allowed by the published payload,
// and comes from producers sooner or later; only a receiver that does not take
// the raw body, or decodes too narrowly, stumbles over it.
var acceptChecks = []check{
	{
		name:   firstCheck,
		about:  "An event signed with the secret is answered with 2xx.",
		change: "See the receiver's own log. Does it run at this URL, and is the handler mounted at exactly this path (a redirect is not followed)? Does something in front turn the request away, such as a login or a guard against CSRF? Is the secret the same on both sides, without a line end? Is the raw body verified, before anything parses it? Does the handler take this event type and data? URL, type and data are settings of the battery.",
		run: func(p *probe) string {
			a := p.send(p.good())
			p.first, p.silent = a.took, a.err != nil && !a.isPanic()
			p.elsewhere = a.status >= 300 && a.status < 400
			if !a.ok() {
				return "sent a good event: " + a.String() + ", not 2xx"
			}
			return p.accepts(p.good())
		},
	},
	{
		name:   "white-space",
		about:  "The signature is over the exact bytes: white space in a payload is part of them.",
		change: rawBody,
		good:   true,
		run: func(p *probe) string {
			pretty, ending := p.good(), p.good()
			var b bytes.Buffer
			_ = json.Indent(&b, pretty.body, "", "\t") // a payload is valid JSON
			pretty = p.signed(pretty.event, b.Bytes()).named("in indented JSON")
			ending = p.signed(ending.event, append(ending.body, "\r\n"...)).named("with a line end behind it")
			return p.accepts(pretty, ending)
		},
	},
	{
		name:   "key-order",
		about:  "A payload's keys may stand in any order.",
		change: "Parse the body as JSON, by key. " + rawBody,
		good:   true,
		run: func(p *probe) string {
			e := p.event()
			before, data, _ := strings.Cut(string(e.Payload()[1:]), `,"data":`)
			body := `{"data":` + strings.TrimSuffix(data, "}") + "," + before + "}"
			return p.accepts(p.signed(e, []byte(body)).named("with data in front"))
		},
	},
	{
		name:   "unknown-fields",
		about:  "Fields that the receiver does not know are ignored: new ones come without notice.",
		change: "Do not refuse unknown fields: no DisallowUnknownFields, no additionalProperties: false.",
		good:   true,
		run: func(p *probe) string {
			s := p.withData(`"addedLater":{"a":[1,null,{"b":"c"}]}`)
			inside := s.named("with an unknown field in data")
			e := p.event()
			body := strings.TrimSuffix(string(e.Payload()), "}") + `,"addedLater":{"data":[]}}`
			return p.accepts(inside, p.signed(e, []byte(body)).named("with an unknown key beside data"))
		},
	},
	{
		name:   "big-numbers",
		about:  "Numbers beyond a float's precision are valid, and part of the signed bytes.",
		change: rawBody,
		good:   true,
		run: func(p *probe) string {
			return p.accepts(p.withData(`"big":[9007199254740993,123456789012345678901234567890,1.10,1E2,-0]`).named("with big and oddly spelt numbers"))
		},
	},
	{
		name:   "unicode",
		about:  "Any Unicode text is valid, as itself or as an escape.",
		change: rawBody + " Compute over bytes, not over characters.",
		good:   true,
		run: func(p *probe) string {
			return p.accepts(p.withData(`"text":"Jürgen 王小明 🎉 e\u0301 \u00e9 \ud83d\ude00 \u2028\u2029 \/"`).named("with text beyond ASCII and escapes"))
		},
	},
	{
		name:   "nul-character",
		about:  "Text with the character \\u0000 is valid JSON.",
		change: "Store the payload as bytes or as the text it came in: PostgreSQL's text and jsonb do not take this character, and such an event would fail at every attempt.",
		good:   true,
		run: func(p *probe) string {
			return p.accepts(p.withData(`"text":"a\u0000b"`).named("with \\u0000 in a text"))
		},
	},
	{
		name:   "html-characters",
		about:  "The characters <, > and & stand in a payload as themselves.",
		change: rawBody + " Let no filter against scripts rewrite the body in front of it.",
		good:   true,
		run: func(p *probe) string {
			return p.accepts(p.withData(`"html":"<script>alert('&amp;')</script> a && b"`).named("with HTML in it"))
		},
	},
	{
		name:   "largest-payload",
		about:  "A payload of 256 KiB, the most that the sender sends, is accepted.",
		change: "Raise the limit of the body, also that of a framework or proxy in front, to 256 KiB at least; 1 MiB is a good one.",
		good:   true,
		run: func(p *probe) string {
			return p.accepts(p.padded(256 << 10).named("of 256 KiB"))
		},
	},
}

const rawBody = "Verify the raw bytes of the body before anything parses, trims or encodes them again."

func (a answer) isPanic() bool {
	_, ok := a.err.(*panicked)
	return ok
}

// named says what is special about a shot.
func (s shot) named(what string) shot {
	s.what = what
	return s
}

// withData is a good event with fields put in front of those of its data. Data
// that is no object stays as it is.
func (p *probe) withData(fields string) shot {
	e := p.event()
	e.Data = withFields(e.Data, fields)
	return p.signed(e, e.Payload())
}

func withFields(data json.RawMessage, fields string) json.RawMessage {
	rest, isObject := strings.CutPrefix(strings.TrimSpace(string(data)), "{")
	if !isObject {
		return data
	}
	if rest = strings.TrimSpace(rest); rest != "}" {
		fields += ","
	}
	return json.RawMessage("{" + fields + rest)
}

// padded is an event whose payload has this many bytes: with a field of its
// data, or with white space behind data that is no object.
func (p *probe) padded(size int) shot {
	e := p.event()
	const field = `"padding":"`
	if empty := withFields(e.Data, field+`"`); len(empty) > len(e.Data) {
		missing := size - len(e.Payload()) - (len(empty) - len(e.Data))
		e.Data = withFields(e.Data, field+strings.Repeat("x", max(missing, 0))+`"`)
		return p.signed(e, e.Payload())
	}
	body := e.Payload()
	return p.signed(e, append(body, strings.Repeat(" ", max(size-len(body), 0))...))
}
