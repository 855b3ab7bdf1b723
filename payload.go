package alotwebhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/alot/alotwebhook/internal/hint"
	"github.com/alot/alotwebhook/internal/instant"
	"github.com/alot/alotwebhook/internal/strictjson"
	"github.com/alot/alotwebhook/internal/typeid"
)

// ErrMalformedEvent says that a body is not an event in the published form. Its signature
// may be good all the same.
var ErrMalformedEvent = errors.New("alotwebhook: malformed event")

// Payload returns the bytes that are signed and sent: one JSON object with the keys id,
// type, timestamp, organizationId and data, in this order. The timestamp is in UTC with
// exactly three decimals, and Data is there byte for byte. Payload checks nothing;
// [Dispatcher.Emit] does.
func (e Event) Payload() []byte {
	b := make([]byte, 0, 128+len(e.ID)+len(e.Type)+len(e.OrganizationID)+len(e.Data))
	b = e.appendEnvelope(b)
	b = append(b, e.Data...)
	return append(b, '}')
}

// payloadLen returns the length of the payload in bytes. It does not copy the data.
func (e *Event) payloadLen() int {
	var b [512]byte
	return len(e.appendEnvelope(b[:0])) + len(e.Data) + len("}")
}

// appendEnvelope appends the part of the payload that precedes the data.
func (e *Event) appendEnvelope(b []byte) []byte {
	b = append(b, `{"id":`...)
	b = strictjson.AppendString(b, e.ID)
	b = append(b, `,"type":`...)
	b = strictjson.AppendString(b, e.Type)
	b = append(b, `,"timestamp":"`...)
	b = instant.Append(b, e.Timestamp)
	b = append(b, `","organizationId":`...)
	b = strictjson.AppendString(b, e.OrganizationID)
	return append(b, `,"data":`...)
}

// MarshalJSON returns the payload, or a [FieldError] if Data is not one JSON value in
// UTF-8. An encoder may change white space and escapes afterwards: only [Event.Payload]
// returns the bytes that are signed and sent.
func (e Event) MarshalJSON() ([]byte, error) {
	if err := checkData(e.Data); err != nil {
		return nil, err
	}
	return e.Payload(), nil
}

// UnmarshalJSON parses a payload as [ParseEvent] does, with the same errors.
func (e *Event) UnmarshalJSON(body []byte) error {
	parsed, err := ParseEvent(body)
	if err == nil {
		*e = parsed
	}
	return err
}

// payloadKeys are the five published keys, in their order.
var payloadKeys = []string{"id", "type", "timestamp", "organizationId", "data"}

// ParseEvent reads a payload strictly: exactly one JSON object in UTF-8, with each of the
// five published keys once. It refuses a key that stands twice, and a key that differs
// from a published one in case only: another parser would read another event. It ignores
// other keys, up to 64 of them. The event is a copy: body may be used again.
//
// Every error is an [ErrMalformedEvent] that names the key.
//
// ParseEvent does not verify the signature. Do that first, with a [Verifier].
func ParseEvent(body []byte) (Event, error) {
	var values [5][]byte
	if err := strictjson.Object(body, payloadKeys, values[:]); err != nil {
		return Event{}, malformed("%v", err)
	}
	for i, value := range values {
		if value == nil {
			return Event{}, malformed("%q is missing", payloadKeys[i])
		}
	}
	var text [4][]byte
	for i := range text {
		var err error
		if text[i], err = payloadText(payloadKeys[i], values[i]); err != nil {
			return Event{}, err
		}
	}
	at, ok := instant.Parse(text[2])
	if !ok {
		return Event{}, malformed(`"timestamp" is not of the form 2006-01-02T15:04:05.000Z`)
	}
	// The three strings share one allocation.
	id, eventType := len(text[0]), len(text[0])+len(text[1])
	joined := string(text[0]) + string(text[1]) + string(text[3])
	if _, err := typeid.Parse(eventPrefix, joined[:id]); err != nil {
		return Event{}, malformed(`"id" %v`, err)
	}
	return Event{
		ID:             joined[:id],
		Type:           joined[id:eventType],
		Timestamp:      at,
		OrganizationID: joined[eventType:],
		Data:           bytes.Clone(values[4]),
	}, nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformedEvent, fmt.Sprintf(format, args...))
}

// payloadText returns the content of a JSON string. It refuses every other value, and an
// empty string.
func payloadText(key string, value []byte) ([]byte, error) {
	if value[0] != '"' {
		return nil, malformed("%q is not a string", key)
	}
	if value = strictjson.Unquote(value); len(value) == 0 {
		return nil, malformed("%q is empty", key)
	}
	return value, nil
}

// DecodeData decodes the event's data into a T, as [json.Unmarshal] does: it ignores
// unknown fields and leaves missing ones zero. The error is an [ErrMalformedEvent] that
// names the field. It wraps the error of json.Unmarshal, whose own text may quote data.
func DecodeData[T any](e Event) (T, error) {
	var data T
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return data, hint.Misfit(ErrMalformedEvent, clip(e.Type), data, err)
	}
	return data, nil
}
