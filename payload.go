package alotwebhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrMalformedEvent: the body is signed, but it is not an event as published.
var ErrMalformedEvent = errors.New("alotwebhook: malformed event")

// timestampLayout is what JavaScript's toISOString prints for the years 0 to 9999.
const timestampLayout = "2006-01-02T15:04:05.000Z"

// NewEvent makes an event that happens now, with a new id.
//
// Data that is a [json.RawMessage] is taken byte for byte; anything else is
// encoded as by [json.Marshal], but without escaping <, > and &. The event type
// is checked when the event is emitted. The error says what of data could not
// be encoded.
func NewEvent(eventType, organizationID string, data any) (Event, error) {
	raw, err := encodeData(data)
	if err != nil {
		return Event{}, err
	}
	id, err := newID(eventPrefix)
	if err != nil {
		return Event{}, err
	}
	return Event{
		ID:             id,
		Type:           eventType,
		Timestamp:      time.Now().UTC().Truncate(time.Millisecond),
		OrganizationID: organizationID,
		Data:           raw,
	}, nil
}

func encodeData(data any) (json.RawMessage, error) {
	if raw, ok := data.(json.RawMessage); ok {
		if err := checkData(raw); err != nil {
			return nil, err
		}
		return bytes.Clone(raw), nil
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(data); err != nil {
		return nil, &FieldError{Field: "data", Problem: "cannot be encoded as JSON: " + err.Error()}
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

func checkData(data json.RawMessage) *FieldError {
	switch {
	case len(data) == 0:
		return &FieldError{Field: "data", Problem: "is missing; give a JSON value"}
	case !utf8.Valid(data):
		return &FieldError{Field: "data", Problem: "is not UTF-8"}
	case !json.Valid(data):
		return &FieldError{Field: "data", Problem: "is not one JSON value"}
	}
	return nil
}

// Payload returns the bytes that are signed and sent: one JSON object with the
// keys id, type, timestamp, organizationId and data, in this order, and Data
// byte for byte. It checks nothing; [Dispatcher.Emit] does.
func (e Event) Payload() []byte {
	b := make([]byte, 0, 128+len(e.ID)+len(e.Type)+len(e.OrganizationID)+len(e.Data))
	b = append(b, `{"id":`...)
	b = appendString(b, e.ID)
	b = append(b, `,"type":`...)
	b = appendString(b, e.Type)
	b = append(b, `,"timestamp":"`...)
	b = e.Timestamp.UTC().AppendFormat(b, timestampLayout)
	b = append(b, `","organizationId":`...)
	b = appendString(b, e.OrganizationID)
	b = append(b, `,"data":`...)
	b = append(b, e.Data...)
	return append(b, '}')
}

// MarshalJSON returns the payload. An encoder may change its white space and
// escapes on the way: what is signed and sent is [Event.Payload] alone.
func (e Event) MarshalJSON() ([]byte, error) {
	if err := checkData(e.Data); err != nil {
		return nil, err
	}
	return e.Payload(), nil
}

// UnmarshalJSON is [ParseEvent].
func (e *Event) UnmarshalJSON(body []byte) error {
	parsed, err := ParseEvent(body)
	if err == nil {
		*e = parsed
	}
	return err
}

// appendString quotes s as JSON without escaping <, > and &.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			var buf bytes.Buffer
			enc := json.NewEncoder(&buf)
			enc.SetEscapeHTML(false)
			_ = enc.Encode(s) // a string always encodes, into a buffer that always takes it
			return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// The five keys of a payload, by their place in it.
var payloadKeys = [...]string{"id", "type", "timestamp", "organizationId", "data"}

// ParseEvent reads a payload strictly: exactly one JSON object in UTF-8, each of
// the five published keys once. A key twice, or one that differs from a published
// one in case only, is refused, since another parser would see another event;
// other unknown keys are ignored. Data is a copy: nothing aliases body.
//
// Every error is an [ErrMalformedEvent] that names the key.
//
// ParseEvent does not verify. Do that first, with a [Verifier].
func ParseEvent(body []byte) (Event, error) {
	if !utf8.Valid(body) {
		return Event{}, malformed("the body is not UTF-8")
	}
	if !json.Valid(body) {
		return Event{}, malformed("the body is not one JSON value")
	}
	w := walker{rest: body}
	var values [len(payloadKeys)][]byte
	if err := w.object(&values); err != nil {
		return Event{}, err
	}
	for i, v := range values {
		if v == nil {
			return Event{}, malformed("%q is missing", payloadKeys[i])
		}
	}
	var text [4]string
	for i := range text {
		s, ok := unquote(values[i])
		if !ok {
			return Event{}, malformed("%q is not a string", payloadKeys[i])
		}
		if s == "" {
			return Event{}, malformed("%q is empty", payloadKeys[i])
		}
		text[i] = s
	}
	if _, err := parseID(eventPrefix, text[0]); err != nil {
		return Event{}, malformed(`"id" %v`, err)
	}
	at, err := time.Parse(timestampLayout, text[2])
	if err != nil || len(text[2]) != len(timestampLayout) {
		return Event{}, malformed(`"timestamp" is not of the form 2006-01-02T15:04:05.000Z`)
	}
	return Event{ID: text[0], Type: text[1], Timestamp: at, OrganizationID: text[3], Data: bytes.Clone(values[4])}, nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformedEvent, fmt.Sprintf(format, args...))
}

// walker steps over JSON that is known to be valid.
type walker struct{ rest []byte }

// object reads the members of the outermost object, the published ones into values.
func (w *walker) object(values *[len(payloadKeys)][]byte) error {
	if w.peek() != '{' {
		return malformed("the body is not a JSON object")
	}
	w.rest = w.rest[1:]
	var unknown []string
	for w.peek() != '}' {
		if w.peek() == ',' {
			w.rest = w.rest[1:]
		}
		w.peek()
		key := w.value()
		w.peek() // the colon
		w.rest = w.rest[1:]
		w.peek()
		value := w.value()
		i, err := publishedKey(key)
		switch {
		case err != nil:
			return err
		case i >= 0 && values[i] != nil:
			return malformed("%q stands twice", payloadKeys[i])
		case i >= 0:
			values[i] = value
		default:
			name, _ := unquote(key)
			for _, other := range unknown {
				if strings.EqualFold(name, other) {
					return malformed("a key stands twice: %s", strconv.QuoteToASCII(clip(name)))
				}
			}
			if unknown = append(unknown, name); len(unknown) > maxUnknownKeys {
				return malformed("more than %d unknown keys", maxUnknownKeys)
			}
		}
	}
	return nil
}

// maxUnknownKeys bounds the work of looking for a key that stands twice.
const maxUnknownKeys = 64

// publishedKey returns the place of a quoted key among the published ones, or −1.
func publishedKey(quoted []byte) (int, error) {
	for i, k := range payloadKeys {
		if len(quoted) == len(k)+2 && string(quoted[1:len(quoted)-1]) == k {
			return i, nil
		}
	}
	name, _ := unquote(quoted)
	for i, k := range payloadKeys {
		if name == k {
			return i, nil // spelled with escapes
		}
		if strings.EqualFold(name, k) {
			return 0, malformed("the key %s differs from %q in case only", strconv.QuoteToASCII(clip(name)), k)
		}
	}
	return -1, nil
}

// peek skips white space and returns the byte that follows.
func (w *walker) peek() byte {
	for {
		switch c := w.rest[0]; c {
		case ' ', '\t', '\r', '\n':
			w.rest = w.rest[1:]
		default:
			return c
		}
	}
}

// value cuts off the value that rest begins with.
func (w *walker) value() []byte {
	depth, i := 0, 0
	for {
		switch c := w.rest[i]; c {
		case '"':
			i += stringLen(w.rest[i:])
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		default:
			i++
		}
		if depth == 0 && endsValue(w.rest, i) {
			v := w.rest[:i:i]
			w.rest = w.rest[i:]
			return v
		}
	}
}

// endsValue reports whether a value that began before i ends there.
func endsValue(b []byte, i int) bool {
	switch b[i-1] {
	case '"', '}', ']':
		return true
	}
	switch b[i] { // a number, true, false or null: up to what may follow it
	case ',', '}', ']', ' ', '\t', '\r', '\n':
		return true
	}
	return false
}

// stringLen returns the length of the string literal that b begins with, quotes included.
func stringLen(b []byte) int {
	for i := 1; ; i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// unquote returns the text of a valid string literal; ok is false for other values.
func unquote(literal []byte) (s string, ok bool) {
	if literal[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(literal, '\\') < 0 {
		return string(literal[1 : len(literal)-1]), true
	}
	err := json.Unmarshal(literal, &s)
	return s, err == nil
}

// clip shortens what is quoted in an error.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// DecodeData decodes the event's data into a T as [json.Unmarshal] does:
// unknown fields are ignored, missing ones left zero. The error is an [ErrMalformedEvent].
func DecodeData[T any](e Event) (T, error) {
	var data T
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return data, fmt.Errorf("%w: data of %s does not fit %T: %w", ErrMalformedEvent, e.Type, data, err)
	}
	return data, nil
}
