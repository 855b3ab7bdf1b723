package alotwebhook

import (
	"encoding/json"
	"slices"

	"github.com/alot/alotwebhook/internal/eventtype"
	"github.com/alot/alotwebhook/internal/published"
)

// The names of the four published event types.
const (
	// EventCandidateInvited says that a new candidate invite was created. Its data is a [CandidateInvited].
	EventCandidateInvited = "candidate.invited"
	// EventCandidateCompleted says that a candidate completed an assessment flow. Its data is a [CandidateCompleted].
	EventCandidateCompleted = "candidate.completed"
	// EventCandidateDisqualified says that a candidate failed a required stage gate. Its data is a [CandidateDisqualified].
	EventCandidateDisqualified = "candidate.disqualified"
	// EventAssessmentPublished says that an assessment became publicly available. Its data is an [AssessmentPublished].
	EventAssessmentPublished = "assessment.published"
)

// CandidateInvited is the data of [EventCandidateInvited]. As in the data of all published
// types, every field is optional: a field that is absent or null stays zero, and a zero
// field is not encoded. Unknown fields are ignored, so that new ones break no receiver.
type CandidateInvited struct {
	SessionID      string `json:"sessionId,omitzero"`
	AssessmentID   string `json:"assessmentId,omitzero"`
	CandidateName  string `json:"candidateName,omitzero"`
	CandidateEmail string `json:"candidateEmail,omitzero"`
	// Status is a word such as "INVITED"; expect others.
	Status string `json:"status,omitzero"`
}

// CandidateCompleted is the data of [EventCandidateCompleted]. Every field is optional: see
// [CandidateInvited].
type CandidateCompleted struct {
	SessionID      string `json:"sessionId,omitzero"`
	AssessmentID   string `json:"assessmentId,omitzero"`
	CandidateName  string `json:"candidateName,omitzero"`
	CandidateEmail string `json:"candidateEmail,omitzero"`
	// Score is nil if there is none; a score of 0 is not nil.
	Score *float64 `json:"score,omitzero"`
	// Status is a word such as "COMPLETED"; expect others.
	Status string `json:"status,omitzero"`
}

// CandidateDisqualified is the data of [EventCandidateDisqualified]. Every field is
// optional: see [CandidateInvited].
type CandidateDisqualified struct {
	SessionID      string `json:"sessionId,omitzero"`
	AssessmentID   string `json:"assessmentId,omitzero"`
	CandidateName  string `json:"candidateName,omitzero"`
	CandidateEmail string `json:"candidateEmail,omitzero"`
	// Score is nil if there is none; a score of 0 is not nil.
	Score *float64 `json:"score,omitzero"`
	// Status is a word such as "DISQUALIFIED"; expect others.
	Status string `json:"status,omitzero"`
}

// AssessmentPublished is the data of [EventAssessmentPublished]. Every field is optional:
// see [CandidateInvited].
type AssessmentPublished struct {
	AssessmentID string `json:"assessmentId,omitzero"`
	// Status is a word such as "PUBLISHED"; expect others.
	Status string `json:"status,omitzero"`
}

// EventType is an entry of the catalogue: a type of event that can be emitted and
// subscribed to. Customers read all of it but Versions.
type EventType struct {
	// Name is one or more words of a–z, 0–9 and _ with dots between, at most 128 bytes:
	// "candidate.completed". Subscriptions hold it, so never change it.
	Name string
	// Description says in a sentence when the event happens.
	Description string
	// Example is believable data for documentation and test events: one JSON value, or
	// empty. TestExample, if not empty, takes its place in test events: it may say that it is a
	// test, to receivers that look at nothing but the signed payload.
	Example, TestExample json.RawMessage
	// Schema is the JSON Schema (2020-12) of the data, an object, or empty: see [Config.CheckData].
	Schema json.RawMessage
	// Since says since when there is the type, as your customers count: at most 64 bytes, or "".
	Since string
	// Deprecated says what to use instead of the type, which goes on: at most 512 bytes, or "".
	Deprecated string
	// Versions makes the data of each earlier one of [Config.PayloadVersions] in which it was not as
	// it is today. A function gets the data as emitted, also long ago, and returns the same for the
	// same, so that all attempts send the same bytes. Its errors are logged.
	Versions map[string]func(data json.RawMessage) (json.RawMessage, error)
}

// DefaultEventTypes returns the four published types. The caller may extend the slice:
//
//	types := append(alotwebhook.DefaultEventTypes(), alotwebhook.EventType{Name: "candidate.withdrew"})
func DefaultEventTypes() (types []EventType) {
	for _, t := range published.Types() {
		types = append(types, EventType(t))
	}
	return types
}

// EventTypes returns a copy of the catalogue, in the order of [Config.EventTypes].
func (d *Dispatcher) EventTypes() []EventType { return slices.Clone(d.cfg.EventTypes) }

// Subscribes reports whether one of the endpoint's EventTypes is among [Subscriptions] to a type.
func (e *Endpoint) Subscribes(eventType string) bool {
	return eventtype.Includes(e.EventTypes, eventType)
}

// Subscriptions returns what endpoints subscribe to that get the events of a type: its name, "*" and
// each beginning of it, such as "candidate.*". The type of an [Operation] has its name alone.
func Subscriptions(eventType string) []string { return eventtype.Names(eventType) }

// checkEventTypes refuses a catalogue or versions that are not valid with a [FieldError] of a field
// such as "eventTypes[2].name".
func (c *Config) checkEventTypes() error {
	entries := make([]eventtype.Entry, len(c.EventTypes))
	for i, t := range c.EventTypes {
		entries[i] = eventtype.Entry(t)
	}
	known, field, problem := eventtype.CheckCatalogue(entries, c.PayloadVersions, c.CheckData)
	if problem != "" {
		return refused(field, problem)
	}
	c.forms, known.Host = known, c.host
	return nil
}

// Offers returns [Config.Wildcards], and a copy of [Config.PayloadVersions].
func (d *Dispatcher) Offers() (wildcards bool, payloadVersions []string) {
	return d.cfg.Wildcards, d.cfg.forms.Versions()
}

// PayloadOf returns the payload of an event as an endpoint with that PayloadVersion gets it. The error
// is that of [EventType].Versions, or says that there is no such version.
func (d *Dispatcher) PayloadOf(e Event, version string) ([]byte, error) {
	return d.cfg.forms.Payload(version, e.Type, e.Payload())
}
