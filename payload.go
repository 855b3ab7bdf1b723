package alotwebhook

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/alot/alotwebhook/internal/envelope"
	"github.com/alot/alotwebhook/internal/hint"
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
	return envelope.AppendHead(b, e.ID, e.Type, e.Timestamp, e.OrganizationID)
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

// ParseEvent reads a payload strictly: exactly one JSON object in UTF-8, with each of the
// five published keys once. It refuses a key that stands twice, and a key that differs
// from a published one in case only: another parser would read another event. It ignores
// other keys, up to 64 of them. The event is a copy: body may be used again.
//
// Every error is an [ErrMalformedEvent] that names the key.
//
// ParseEvent does not verify the signature. Do that first, with a [Verifier].
func ParseEvent(body []byte) (Event, error) {
	e, err := envelope.Parse(body, eventPrefix)
	if err != nil {
		return Event{}, fmt.Errorf("%w: %v", ErrMalformedEvent, err)
	}
	return Event{ID: e.ID, Type: e.Type, Timestamp: e.Timestamp, OrganizationID: e.OrganizationID, Data: e.Data}, nil
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
