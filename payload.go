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

	"github.com/alot/alotwebhook/internal/text"
)

// ErrMalformedEvent: the body is signed, but it is not an event as published.
var ErrMalformedEvent = errors.New("alotwebhook: malformed event")

// timestampLayout is what JavaScript's toISOString prints for the years 0 to 9999.
const timestampLayout = "2006-01-02T15:04:05.000Z"

// NewEvent makes an event that happens now, with a new id.
//
// Data that is a [json.RawMessage], a pointer to one, or a []byte is taken as
// JSON, byte for byte. Anything else is encoded as by [json.Marshal], but
// without escaping <, > and &; that takes the white space out of a RawMessage
// further inside and changes nothing else of it. The event type is checked when
// the event is emitted. The error says what of data could not be encoded.
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
	raw, ok := rawData(data)
	if !ok {
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(data); err != nil {
			return nil, &FieldError{Field: "data", Problem: "cannot be encoded as JSON: " + err.Error()}
		}
		raw = bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	}
	// What was encoded is checked too: a Marshaler may write what is not UTF-8.
	if err := checkData(raw); err != nil {
		return nil, err
	}
	return raw, nil
}

// rawData returns a copy of data that is JSON already.
func rawData(data any) (raw json.RawMessage, ok bool) {
	switch d := data.(type) {
	case json.RawMessage:
		return bytes.Clone(d), true
	case []byte: // encoding/json would make base64 of it, which nobody means here
		return bytes.Clone(d), true
	case *json.RawMessage:
		if d != nil {
			raw = bytes.Clone(*d)
		}
		return raw, true
	}
	return nil, false
}

func checkData(data json.RawMessage) *FieldError {
	switch {
	case len(data) == 0:
		return &FieldError{Field: "data", Problem: "is missing; give a JSON value"}
	case !utf8.Valid(data):
		return &FieldError{Field: "data", Problem: "is not UTF-8"}
	case !validJSON(data):
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
	m, err := scanPayload(body)
	if err != nil {
		return Event{}, err
	}
	var text [4][]byte
	for i := range text {
		if text[i], err = m.text(i); err != nil {
			return Event{}, err
		}
	}
	at, ok := parseTimestamp(text[2])
	if !ok {
		return Event{}, malformed(`"timestamp" is not of the form 2006-01-02T15:04:05.000Z`)
	}
	// One piece of memory for the three strings.
	id, eventType := len(text[0]), len(text[0])+len(text[1])
	joined := string(text[0]) + string(text[1]) + string(text[3])
	if _, err := parseID(eventPrefix, joined[:id]); err != nil {
		return Event{}, malformed(`"id" %v`, err)
	}
	return Event{
		ID:             joined[:id],
		Type:           joined[id:eventType],
		Timestamp:      at,
		OrganizationID: joined[eventType:],
		Data:           bytes.Clone(m.values[4]),
	}, nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformedEvent, fmt.Sprintf(format, args...))
}

// members are those of a payload's object, as they stand there.
type members struct {
	values  [len(payloadKeys)][]byte
	unknown []string
}

func scanPayload(body []byte) (*members, error) {
	if !utf8.Valid(body) {
		return nil, malformed("the body is not UTF-8")
	}
	s := scanner{b: body}
	if s.space(); s.peek() != '{' {
		return nil, malformed("the body is not a JSON object")
	}
	var m members
	var refused error
	whole := s.members(func(key, value []byte) bool {
		refused = m.add(key, value)
		return refused == nil
	})
	if refused != nil {
		return nil, refused
	}
	if !whole || !s.atEnd() {
		return nil, malformed("the body is not one JSON value")
	}
	for i, v := range m.values {
		if v == nil {
			return nil, malformed("%q is missing", payloadKeys[i])
		}
	}
	return &m, nil
}

// maxUnknownKeys bounds the work of looking for a key that stands twice.
const maxUnknownKeys = 64

func (m *members) add(key, value []byte) error {
	i, err := publishedKey(key)
	switch {
	case err != nil:
		return err
	case i >= 0 && m.values[i] != nil:
		return malformed("%q stands twice", payloadKeys[i])
	case i >= 0:
		m.values[i] = value
		return nil
	}
	name := string(unquote(key))
	for _, other := range m.unknown {
		if strings.EqualFold(name, other) {
			return malformed("a key stands twice: %s", strconv.QuoteToASCII(clip(name)))
		}
	}
	if m.unknown = append(m.unknown, name); len(m.unknown) > maxUnknownKeys {
		return malformed("more than %d unknown keys", maxUnknownKeys)
	}
	return nil
}

// publishedKey returns the place of a quoted key among the published ones, or −1.
func publishedKey(quoted []byte) (int, error) {
	for i, k := range payloadKeys {
		if string(quoted[1:len(quoted)-1]) == k {
			return i, nil
		}
	}
	name := string(unquote(quoted))
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

// text returns the content of a member that must be a string and not empty.
func (m *members) text(i int) ([]byte, error) {
	v := m.values[i]
	if v[0] != '"' {
		return nil, malformed("%q is not a string", payloadKeys[i])
	}
	if v = unquote(v); len(v) == 0 {
		return nil, malformed("%q is empty", payloadKeys[i])
	}
	return v, nil
}

// unquote returns the content of a valid string literal: a part of it, if it
// has no escapes.
func unquote(literal []byte) []byte {
	if bytes.IndexByte(literal, '\\') < 0 {
		return literal[1 : len(literal)-1]
	}
	var s string
	_ = json.Unmarshal(literal, &s) // a valid literal always decodes
	return []byte(s)
}

// parseTimestamp reads timestampLayout and nothing else.
func parseTimestamp(b []byte) (at time.Time, ok bool) {
	if len(b) != len(timestampLayout) || b[4] != '-' || b[7] != '-' || b[10] != 'T' ||
		b[13] != ':' || b[16] != ':' || b[19] != '.' || b[23] != 'Z' {
		return time.Time{}, false
	}
	ok = true
	number := func(from, to int) (n int) {
		for _, c := range b[from:to] {
			ok = ok && '0' <= c && c <= '9'
			n = 10*n + int(c) - '0'
		}
		return n
	}
	year, month, day := number(0, 4), time.Month(number(5, 7)), number(8, 10)
	hour, minute, second, ms := number(11, 13), number(14, 16), number(17, 19), number(20, 23)
	at = time.Date(year, month, day, hour, minute, second, ms*int(time.Millisecond), time.UTC)
	// Date carries a 31st of April over into May: what it changed was no time.
	return at, ok && hour < 24 && minute < 60 && second < 60 && at.Day() == day && at.Month() == month
}

// clip shortens a value that an error quotes to 40 bytes.
func clip(s string) string { return text.Clip(s, 40) }

// DecodeData decodes the event's data into a T as [json.Unmarshal] does:
// unknown fields are ignored, missing ones left zero. The error is an [ErrMalformedEvent].
func DecodeData[T any](e Event) (T, error) {
	var data T
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return data, fmt.Errorf("%w: data of %s does not fit %T: %w", ErrMalformedEvent, e.Type, data, err)
	}
	return data, nil
}
