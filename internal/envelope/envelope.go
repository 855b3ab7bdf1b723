// Package envelope reads and writes the payload of an event, the one published form, and says which
// events have one.
package envelope

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/alot/alotwebhook/internal/strictjson"
	"github.com/alot/alotwebhook/internal/typeid"
)

// Event has the fields of the root's Event, so that each converts to the other.
type Event struct {
	ID             string
	Type           string
	Timestamp      time.Time
	OrganizationID string
	Data           json.RawMessage
	TraceParent    string // no part of the payload, as Subject
	Subject        string
	Test           bool
}

// Payload returns the payload. It checks nothing.
func (e *Event) Payload() []byte {
	b := make([]byte, 0, 128+len(e.ID)+len(e.Type)+len(e.OrganizationID)+len(e.Data))
	b = e.appendHead(b)
	b = append(b, e.Data...)
	return append(b, '}')
}

// appendHead appends the part of the payload that precedes the data.
func (e *Event) appendHead(b []byte) []byte {
	b = append(b, `{"id":`...)
	b = strictjson.AppendString(b, e.ID)
	b = append(b, `,"type":`...)
	b = strictjson.AppendString(b, e.Type)
	b = append(b, `,"timestamp":"`...)
	b = appendInstant(b, e.Timestamp)
	b = append(b, `","organizationId":`...)
	b = strictjson.AppendString(b, e.OrganizationID)
	return append(b, `,"data":`...)
}

// keys are the five published keys, in their order.
var keys = []string{"id", "type", "timestamp", "organizationId", "data"}

// Parse reads a payload strictly: see [strictjson.Object]. Its id is one with that prefix. The
// event shares no memory with body. Every error is a sentence that names the key.
func Parse(body []byte, prefix string) (Event, error) {
	var values [5][]byte
	if err := strictjson.Object(body, keys, values[:]); err != nil {
		return Event{}, err
	}
	for i, value := range values {
		if value == nil {
			return Event{}, fmt.Errorf("%q is missing", keys[i])
		}
	}
	var text [4][]byte
	for i := range text {
		var err error
		if text[i], err = content(keys[i], values[i]); err != nil {
			return Event{}, err
		}
	}
	at, ok := parseInstant(text[2])
	if !ok {
		return Event{}, fmt.Errorf(`"timestamp" is not of the form %s`, layout)
	}
	// The three strings share one allocation.
	id, eventType := len(text[0]), len(text[0])+len(text[1])
	joined := string(text[0]) + string(text[1]) + string(text[3])
	if _, err := typeid.Parse(prefix, joined[:id]); err != nil {
		return Event{}, fmt.Errorf(`"id" %w`, err)
	}
	return Event{ID: joined[:id], Type: joined[id:eventType], Timestamp: at, OrganizationID: joined[eventType:], Data: bytes.Clone(values[4])}, nil
}

// content returns the content of a JSON string. It refuses every other value, and an empty
// string.
func content(key string, value []byte) ([]byte, error) {
	if value[0] != '"' {
		return nil, fmt.Errorf("%q is not a string", key)
	}
	if value = strictjson.Unquote(value); len(value) == 0 {
		return nil, fmt.Errorf("%q is empty", key)
	}
	return value, nil
}
