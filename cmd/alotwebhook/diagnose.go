package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"strings"

	"github.com/alot/alotwebhook"
)

// diagnose returns hints about why a signature was refused. It judges the form of
// the signature, and tries the usual mistakes with the body and with the secret
// until one of them explains the signature. It never returns the right signature.
func diagnose(body []byte, signature string, secret alotwebhook.Secret) (hints []string) {
	form, repaired := signatureForm(signature)
	hints = append(hints, form...)
	if len(body) == 0 {
		hints = append(hints, "The body is empty. Was it read already, or is the file the wrong one?")
	}
	if alotwebhook.Verify(body, repaired, secret) == nil {
		return append(hints, "Apart from its form, it is the right signature of this body.")
	}
	if len(repaired) != len("sha256=")+64 {
		return hints // with other digits there is nothing to compare
	}
	for b := range otherBodies(body) {
		if alotwebhook.Verify(b.body, repaired, secret) == nil {
			return append(hints, b.hint)
		}
	}
	for _, s := range otherSecrets(secret) {
		if alotwebhook.Verify(body, repaired, s.secret) == nil {
			return append(hints, s.hint)
		}
	}
	return append(hints, "It is the signature of another body, or it was made with another secret. Is the secret that of this endpoint, and was it rotated since?")
}

// signatureForm returns what is wrong with the form of a signature, and the
// signature in the right form if it can be recognized.
func signatureForm(signature string) (hints []string, repaired string) {
	say := func(hint string) { hints = append(hints, hint) }
	repaired = strings.TrimSpace(signature)
	if signature == "" {
		say("The signature is empty. Did a proxy drop the header?")
		return hints, ""
	}
	if repaired != signature {
		say("There is white space around the signature.")
	}
	if strings.Contains(repaired, ",") {
		say("There are several signatures, but the sender sends one. Some proxies join repeated headers.")
		return hints, ""
	}
	name, rest, found := strings.Cut(repaired, "=")
	switch {
	case !found || len(repaired) == 44: // or the padding of base64
		say(`The signature has no "sha256=" in front.`)
		rest = repaired
	case name == "sha256":
	case strings.EqualFold(name, "sha256"):
		say("The prefix must be lower case: sha256=")
	default:
		say(fmt.Sprintf("The algorithm is %q; it must be sha256.", printable(clip(name))))
		return hints, ""
	}
	digits, problem := hexDigits(strings.TrimSpace(rest))
	if problem != "" {
		say(problem)
	}
	return hints, "sha256=" + digits
}

// hexDigits returns the 64 digits of a signature in lower case if it recognizes
// them, and what is wrong with the text.
func hexDigits(text string) (digits, problem string) {
	if sum, err := base64.StdEncoding.DecodeString(text); err == nil && len(sum) == 32 {
		return hex.EncodeToString(sum), "The signature is in base64; the published form is lower-case hex."
	}
	_, err := hex.DecodeString(text)
	switch {
	case len(text) < 64:
		return "", fmt.Sprintf("The signature has %d of 64 digits: it was cut off.", len(text))
	case len(text) > 64:
		return "", fmt.Sprintf("The signature has %d digits, not 64.", len(text))
	case err != nil:
		return "", "The signature has characters that are not hex digits."
	case strings.ToLower(text) != text:
		return strings.ToLower(text), "The hex is in upper case; the published form is lower case."
	}
	return text, ""
}

type otherBody struct {
	body []byte
	hint string
}

// otherBodies yields what the body may have been when it was signed, one after the other: the body comes from
// anybody, and all of them together are many times as large.
func otherBodies(body []byte) iter.Seq[otherBody] {
	return func(yield func(otherBody) bool) {
		_ = lineEnds(body, yield) && reencoded(body, yield)
	}
}

// lineEnds yields the body with other line ends and other white space around it, until it is told to stop.
func lineEnds(body []byte, yield func(otherBody) bool) bool {
	trimmed := bytes.TrimRight(body, "\r\n")
	return yield(otherBody{append(bytes.Clone(trimmed), '\n'), "It is the signature of this body with a line end after it: something dropped the line end after it was signed (curl -d does; use --data-binary)."}) &&
		yield(otherBody{append(bytes.Clone(trimmed), "\r\n"...), "It is the signature of this body with CR LF after it: something dropped the line end after it was signed."}) &&
		yield(otherBody{trimmed, "It is the signature of this body without the line end after it: an editor or echo added one after it was signed (use printf, or echo -n)."}) &&
		yield(otherBody{bytes.TrimSpace(body), "It is the signature of this body without the white space around it."}) &&
		yield(otherBody{bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")), "It is the signature of this body with LF for line ends, not CR LF."}) &&
		yield(otherBody{bytes.ReplaceAll(body, []byte("\n"), []byte("\r\n")), "It is the signature of this body with CR LF for line ends, not LF."}) &&
		yield(otherBody{bytes.TrimPrefix(body, []byte("\ufeff")), "It is the signature of this body without the byte order mark in front: an editor added it."}) &&
		yield(otherBody{nil, "It is the signature of an empty body: the body was read, or lost, before it was signed."})
}

// reencoded yields the same JSON as the usual encoders write it, until it is told to stop.
func reencoded(body []byte, yield func(otherBody) bool) bool {
	var b bytes.Buffer
	if json.Compact(&b, body) != nil {
		return true
	}
	compact := b.Bytes()
	as := func(b []byte, how string) bool {
		hint := "It is the signature of the same JSON " + how + ": something decoded the body and encoded it again. Sign and verify the raw bytes."
		return yield(otherBody{b, hint}) && yield(otherBody{append(b, '\n'), hint})
	}
	if !as(bytes.Clone(compact), "without white space") {
		return false
	}
	for _, by := range []string{"  ", "    ", "\t"} {
		if b, ok := indent(compact, by, indentLimit(compact)); ok && !as(b, "with indentation") {
			return false
		}
	}
	var escaped bytes.Buffer
	json.HTMLEscape(&escaped, compact)
	return as(escaped.Bytes(), "with <, > and & escaped") &&
		as(spaced(compact), "with a blank after each colon and comma, as Python's json.dumps") &&
		decoded(body, as, yield)
}

// decoded yields what becomes of the JSON in a program that decodes it, until it is told to stop.
func decoded(body []byte, as func([]byte, string) bool, yield func(otherBody) bool) bool {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return true
	}
	sorted, _ := json.Marshal(v) // it was decoded
	if !as(sorted, "with sorted keys") {
		return false
	}
	if m, ok := v.(map[string]any); !ok || m["data"] == nil {
		return true
	}
	event, _ := alotwebhook.ParseEvent(body)
	return yield(otherBody{event.Data, "It is the signature of data alone, not of the whole body."})
}

// spaced puts a blank after each colon and comma outside of strings.
func spaced(compact []byte) []byte {
	var b bytes.Buffer
	inString, escaped := false, false
	for _, c := range compact {
		b.WriteByte(c)
		switch {
		case escaped:
			escaped = false
		case inString && c == '\\':
			escaped = true
		case c == '"':
			inString = !inString
		case !inString && (c == ':' || c == ','):
			b.WriteByte(' ')
		}
	}
	return b.Bytes()
}

type otherSecret struct {
	secret alotwebhook.Secret
	hint   string
}

// otherSecrets returns what the secret may have been where the signature was made.
func otherSecrets(secret alotwebhook.Secret) (secrets []otherSecret) {
	text := string(secret)
	add := func(s, hint string) {
		if s != "" && s != text {
			secrets = append(secrets, otherSecret{alotwebhook.Secret(s), hint})
		}
	}
	const around = "It was made with this secret and white space around it: the signing side read a line end or blanks with it, for example from a file."
	for _, space := range []string{"\n", "\r\n", " ", "\t"} {
		add(text+space, around)
		add(space+text, around)
		add(space+text+space, around)
	}
	const quotes = "It was made with this secret and other quotation marks: one side took the quotation marks of a configuration file for a part of the secret."
	add(`"`+text+`"`, quotes)
	add("'"+text+"'", quotes)
	add(strings.Trim(text, `"'`), quotes)
	key, isPrefixed := strings.CutPrefix(text, "whsec_")
	if raw, err := base64.StdEncoding.DecodeString(key); err == nil {
		add(string(raw), "It was made with the bytes that this secret encodes in base64. The key is the text of the secret itself, whsec_ included.")
	}
	if isPrefixed {
		add(key, "It was made with this secret without whsec_, which is a part of the secret.")
	} else {
		add("whsec_"+text, "It was made with whsec_ before this secret: whsec_ is a part of the secret.")
	}
	return secrets
}

func clip(s string) string {
	if len(s) > 20 {
		return s[:20] + "…"
	}
	return s
}
