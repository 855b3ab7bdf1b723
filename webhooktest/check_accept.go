package webhooktest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// acceptChecks send good events. Each is odd in a way that the published payload allows,
// and producers send such events sooner or later. A receiver refuses one if it does not
// verify the raw body, or if it decodes too narrowly.
var acceptChecks = []check{
	{
		name:   spaceCheck,
		about:  "The signature is over the exact bytes: white space in a payload is part of them.",
		change: rawBody,
		good:   true,
		raw:    true,
		run: func(p *probe) string {
			pretty, ending := p.good(), p.good()
			var b bytes.Buffer
			_ = json.Indent(&b, pretty.body, "", "\t") // never fails, since a payload is valid JSON
			pretty = p.signed(pretty.event, b.Bytes()).named("in indented JSON")
			ending = p.signed(ending.event, append(ending.body, "\r\n"...)).named("with a line end after it")
			if problem := p.accepts(pretty); problem != "" {
				return problem
			}
			return p.untrimmed(ending)
		},
	},
	{
		name:   "key-order",
		about:  "A payload's keys may come in any order.",
		change: "Parse the body as JSON, and find each key by its name. " + rawBody,
		good:   true,
		raw:    true,
		run: func(p *probe) string {
			e := p.event()
			before, data, _ := strings.Cut(string(e.Payload()[1:]), `,"data":`)
			body := `{"data":` + strings.TrimSuffix(data, "}") + "," + before + "}"
			return p.accepts(p.signed(e, []byte(body)).named("with data as its first key"))
		},
	},
	{
		name:   fieldsCheck,
		about:  "The receiver ignores fields that it does not know: new ones are added without notice.",
		change: "Do not refuse unknown fields: do not use DisallowUnknownFields or additionalProperties: false.",
		good:   true,
		run: func(p *probe) string {
			s := p.withData(`"addedLater":{"a":[1,null,{"b":"c"}]}`)
			inside := s.named("with an unknown field in data")
			e := p.event()
			body := strings.TrimSuffix(string(e.Payload()), "}") + `,"addedLater":{"data":[]}}`
			problem := p.accepts(inside)
			p.narrow = problem != ""
			return cmp.Or(problem, p.accepts(p.signed(e, []byte(body)).named("with an unknown key beside data")))
		},
	},
	{
		name:   "big-numbers",
		about:  "Numbers beyond the precision of a float are valid, and their digits are signed.",
		change: rawBody,
		good:   true,
		fields: true,
		raw:    true,
		run: func(p *probe) string {
			return p.accepts(p.withData(`"big":[9007199254740993,123456789012345678901234567890,1.10,1E2,-0]`).named("with large and oddly spelled numbers"))
		},
	},
	{
		name:   "unicode",
		about:  "Any Unicode text is valid, escaped or not.",
		change: rawBody + " Compute the signature over bytes, not over characters.",
		good:   true,
		fields: true,
		raw:    true,
		run: func(p *probe) string {
			return p.accepts(p.withData(`"text":"Jürgen 王小明 🎉 e\u0301 \u00e9 \ud83d\ude00 \u2028\u2029 \/"`).named("with text beyond ASCII and escapes"))
		},
	},
	{
		name:   "nul-character",
		about:  "Text with the character \\u0000 is valid JSON.",
		change: "Store the payload as bytes, or as the JSON text that arrived: PostgreSQL's text and jsonb cannot store this character, and such an event would fail at every attempt.",
		good:   true,
		fields: true,
		raw:    true,
		run: func(p *probe) string {
			return p.accepts(p.withData(`"text":"a\u0000b"`).named("with \\u0000 in a text"))
		},
	},
	{
		name:   "html-characters",
		about:  "A payload has the characters <, > and & unescaped.",
		change: rawBody + " Do not let a filter against scripts rewrite the body before that.",
		good:   true,
		fields: true,
		raw:    true,
		run: func(p *probe) string {
			return p.accepts(p.withData(`"html":"<script>alert('&amp;')</script> a && b"`).named("with HTML in it"))
		},
	},
	{
		name:   "largest-payload",
		about:  "A payload of 256 KiB, the largest that the sender sends, is accepted.",
		change: "Raise the limit for the body to at least 256 KiB, also in a framework or proxy in front (Express has 100 kB unless told otherwise); 1 MiB is a good limit.",
		good:   true,
		fields: true,
		run: func(p *probe) string {
			return p.accepts(p.padded(256 << 10).named("of 256 KiB"))
		},
	},
}

const rawBody = "Verify the raw bytes of the body, before anything parses, trims or re-encodes them."

// isPanic reports whether the handler panicked.
func (a response) isPanic() bool {
	_, ok := a.err.(*panicked)
	return ok
}

// untrimmed is accepts for a good event with white space after it. If it is refused, it finds out whether the
// body is trimmed before it is verified: then white space that was not signed does no more than that.
func (p *probe) untrimmed(s shot) string {
	problem := p.accepts(s)
	if problem == "" {
		return ""
	}
	e := p.event()
	if a := p.send(p.signedOver(e, append(e.Payload(), "\r\n"...), e.Payload())); a.ok() {
		p.trims = true
		p.change = rawBody + " Something removes white space around them: a parser of text, or a trim or strip before the HMAC."
		problem += "; but signed without the line end: " + a.String()
	}
	return problem
}

// named returns the shot with a description for the report.
func (s shot) named(what string) shot {
	s.what = what
	return s
}

// withData returns a good event with more fields at the beginning of its data. Data that
// is not an object does not change.
func (p *probe) withData(fields string) shot {
	e := p.event()
	e.Data = withFields(e.Data, fields)
	return p.signed(e, e.Payload())
}

// withFields adds fields at the beginning of data, if that is an object.
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

// padded returns a good event whose payload has this many bytes. It adds a long field to
// the data, or, if data is not an object, white space into the payload.
func (p *probe) padded(size int) shot {
	e := p.event()
	const field = `"padding":"`
	if empty := withFields(e.Data, field+`"`); len(empty) > len(e.Data) {
		missing := size - len(e.Payload()) - (len(empty) - len(e.Data))
		e.Data = withFields(e.Data, field+strings.Repeat("x", max(missing, 0))+`"`)
		return p.signed(e, e.Payload())
	}
	body := e.Payload()
	return p.signed(e, slices.Insert(body, 1, bytes.Repeat([]byte(" "), max(size-len(body), 0))...))
}
