package alotwebhook

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/alot/alotwebhook/internal/envelope"
	"github.com/alot/alotwebhook/internal/eventtype"
	"github.com/alot/alotwebhook/internal/hint"
	"github.com/alot/alotwebhook/internal/typeid"
)

// ErrMalformedEvent says that a body is not an event in the published form. Its signature
// may be good all the same.
var ErrMalformedEvent = errors.New("alotwebhook: malformed event")

// NewEvent makes an event that happens now, to the millisecond, with a new id.
//
// If data is a [json.RawMessage], a pointer to one, or a []byte, it is taken as JSON, byte
// for byte. Any other value is encoded as by [json.Marshal], but without escaping <, > and
// &. White space inside a RawMessage further down is lost then.
//
// The error is a [FieldError] of "data" that says why data cannot be encoded. The event
// type and the organization are checked later, by [Dispatcher.Emit].
func NewEvent(eventType, organizationID string, data any) (Event, error) {
	raw, problem := envelope.Encode(data)
	if problem != "" {
		return Event{}, refused("data", problem)
	}
	id, err := typeid.New(eventPrefix)
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

// Payload returns the bytes that are signed and sent: one JSON object with the keys id,
// type, timestamp, organizationId and data, in this order. The timestamp is in UTC with
// exactly three decimals, and Data is there byte for byte. Payload checks nothing;
// [Dispatcher.Emit] does.
func (e Event) Payload() []byte { return (*envelope.Event)(&e).Payload() }

// MarshalJSON returns the payload, or a [FieldError] if Data is not one JSON value in
// UTF-8. An encoder may change white space and escapes afterwards: only [Event.Payload]
// returns the bytes that are signed and sent.
func (e Event) MarshalJSON() ([]byte, error) {
	if problem := envelope.DataProblem(e.Data); problem != "" {
		return nil, refused("data", problem)
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
	return Event(e), nil
}

// DecodeData decodes the event's data into a T, as [json.Unmarshal] does: it ignores
// unknown fields and leaves missing ones zero. The error is an [ErrMalformedEvent] that
// names the field. It wraps the error of json.Unmarshal, whose own text may quote data.
func DecodeData[T any](e Event) (T, error) {
	var data T
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return data, hint.Misfit(ErrMalformedEvent, e.Type, data, err)
	}
	return data, nil
}

// check refuses an event that may not be emitted, with a [FieldError]: first by its
// fields, one after the other, then by the size of its payload in bytes and by CheckData.
func (e *Event) check(types map[string]EventType, cfg *Config) error {
	if err := cmp.Or(
		refused("id", envelope.IDProblem(e.ID, eventPrefix)),
		checkType("type", e.Type, types),
		refused("timestamp", envelope.TimestampProblem(e.Timestamp)),
		checkOrganization(e.OrganizationID),
		refused("traceParent", envelope.TraceParentProblem(e.TraceParent)),
		refused("subject", envelope.SubjectProblem(e.Subject)),
		refused("test", envelope.TestProblem(e.Test)),
		refused("data", envelope.DataProblem(e.Data)),
		refused("data", (*envelope.Event)(e).SizeProblem(cfg.MaxPayload)),
	); err != nil {
		return err
	}
	return refused("data", eventtype.Check(cfg.CheckData).Problem(e.Type, e.Data))
}

// checkType refuses an event type that is not in the catalogue. The field is the one that
// the error names.
func checkType(field, name string, types map[string]EventType) error {
	_, listed := types[name]
	return refused(field, eventtype.ListProblem(name, listed))
}

// checkOrganization refuses an organization id that is empty, too long or no plain text.
func checkOrganization(id string) error {
	return refused("organizationId", envelope.OrganizationProblem(id))
}
