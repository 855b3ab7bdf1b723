package alotwebhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/alot/alotwebhook/internal/strictjson"
	"github.com/alot/alotwebhook/internal/text"
	"github.com/alot/alotwebhook/internal/typeid"
)

// NewEvent makes an event that happens now, to the millisecond, with a new id.
//
// If data is a [json.RawMessage], a pointer to one, or a []byte, it is taken as JSON, byte
// for byte. Any other value is encoded as by [json.Marshal], but without escaping <, > and
// &. White space inside a RawMessage further down is lost then.
//
// The error is a [FieldError] of "data" that says why data cannot be encoded. The event
// type and the organization are checked later, by [Dispatcher.Emit].
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

// encodeData returns data as one JSON value in UTF-8, or a [FieldError] of "data".
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
	// The encoded form is checked, too: a Marshaler may write bytes that are not UTF-8.
	if err := checkData(raw); err != nil {
		return nil, err
	}
	return raw, nil
}

// rawData returns a copy of data if its type says that it is JSON already.
func rawData(data any) (raw json.RawMessage, ok bool) {
	switch d := data.(type) {
	case json.RawMessage:
		return bytes.Clone(d), true
	case []byte: // encoding/json would encode it as a base64 string
		return bytes.Clone(d), true
	case *json.RawMessage:
		if d != nil {
			raw = bytes.Clone(*d)
		}
		return raw, true
	}
	return nil, false
}

// check refuses an event that may not be emitted, with a [FieldError]: first by its
// fields, one after the other, then by the size of its payload in bytes.
func (e *Event) check(types map[string]EventType, maxPayload int) *FieldError {
	for _, err := range [...]*FieldError{
		checkEventID(e.ID),
		checkType("type", e.Type, types),
		checkTimestamp(e.Timestamp),
		checkOrganization(e.OrganizationID),
		checkTraceParent(e.TraceParent),
		checkData(e.Data),
	} {
		if err != nil {
			return err
		}
	}
	if n := e.payloadLen(); n > maxPayload {
		return &FieldError{Field: "data", Problem: fmt.Sprintf("makes a payload of %d bytes, more than the %d allowed; send ids and let the receiver fetch the rest", n, maxPayload)}
	}
	return nil
}

// checkEventID refuses an id that is no TypeID over a UUIDv7.
func checkEventID(id string) *FieldError {
	u, err := typeid.Parse(eventPrefix, id)
	switch {
	case err != nil:
		return &FieldError{Field: "id", Problem: fmt.Sprintf("%q %v; make events with NewEvent", clip(id), err)}
	case u.Version() != 7:
		return &FieldError{Field: "id", Problem: fmt.Sprintf("%q is not over a UUIDv7; make events with NewEvent", id)}
	}
	return nil
}

// checkType refuses an event type that is not in the catalogue. The field is the one that
// the error names.
func checkType(field, name string, types map[string]EventType) *FieldError {
	if name == "" {
		return &FieldError{Field: field, Problem: "is missing; give an event type of the catalogue"}
	}
	if _, ok := types[name]; !ok {
		return &FieldError{Field: field, Problem: fmt.Sprintf("%q is not in the catalogue; correct it, or have it added there", clip(name))}
	}
	return nil
}

// checkTimestamp refuses a time that the payload's form cannot spell.
func checkTimestamp(at time.Time) *FieldError {
	if year := at.UTC().Year(); at.IsZero() || year < 0 || year > 9999 {
		return &FieldError{Field: "timestamp", Problem: "is missing or not in the years 0 to 9999; say when the event happened"}
	}
	return nil
}

// maxOrganizationID is the longest organization id, in bytes.
const maxOrganizationID = 255

// checkOrganization refuses an organization id that is empty, too long or no plain text.
func checkOrganization(id string) *FieldError {
	switch {
	case id == "":
		return &FieldError{Field: "organizationId", Problem: "is missing; say whose endpoints are meant"}
	case len(id) > maxOrganizationID:
		return &FieldError{Field: "organizationId", Problem: fmt.Sprintf("has %d bytes; at most %d are allowed", len(id), maxOrganizationID)}
	case !text.IsPlain(id):
		return &FieldError{Field: "organizationId", Problem: "has control characters or is not UTF-8"}
	}
	return nil
}

// checkTraceParent refuses what is neither empty nor a traceparent. Version 00 is the only one that
// the specification has.
func checkTraceParent(s string) *FieldError {
	if s == "" || text.IsTraceParent(s) {
		return nil
	}
	return &FieldError{Field: "traceParent", Problem: fmt.Sprintf("%q is no traceparent: 00, then 32, 16 and 2 hex digits in lower case, with a - before each, and neither id all zero; give that of a span, or none", text.Clip(s, 60))}
}

// checkData refuses data that is not one JSON value in UTF-8.
func checkData(data json.RawMessage) *FieldError {
	switch {
	case len(data) == 0:
		return &FieldError{Field: "data", Problem: "is missing; give a JSON value"}
	case !utf8.Valid(data):
		return &FieldError{Field: "data", Problem: "is not UTF-8"}
	case !strictjson.Valid(data):
		return &FieldError{Field: "data", Problem: "is not one JSON value"}
	}
	return nil
}
