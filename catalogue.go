package alotwebhook

import (
	"encoding/json"
	"slices"

	"github.com/alot/alotwebhook/internal/eventtype"
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
// subscribed to.
type EventType struct {
	// Name is one or more words of a–z, 0–9 and _ with dots between, at most 128 bytes:
	// "candidate.completed". Subscriptions hold it, so never change it.
	Name string
	// Description says in a sentence when the event happens. Customers read it.
	Description string
	// Example is believable data for documentation and test events: one JSON value, or
	// empty. TestExample, if not empty, takes its place in test events: it may say that it is a
	// test, to receivers that look at nothing but the signed payload.
	Example, TestExample json.RawMessage
}

// DefaultEventTypes returns the four published types. The caller may extend the slice:
//
//	types := append(alotwebhook.DefaultEventTypes(), alotwebhook.EventType{Name: "candidate.withdrew"})
func DefaultEventTypes() []EventType {
	return []EventType{
		{Name: EventCandidateInvited, Description: "A new candidate invite was created.",
			Example: json.RawMessage(`{"sessionId":"sess_123","assessmentId":"asm_456","candidateName":"Jane Smith","candidateEmail":"jane@example.com","status":"INVITED"}`)},
		{Name: EventCandidateCompleted, Description: "A candidate completed an assessment flow.",
			Example: json.RawMessage(`{"sessionId":"sess_123","assessmentId":"asm_456","candidateName":"Jane Smith","candidateEmail":"jane@example.com","score":82,"status":"COMPLETED"}`)},
		{Name: EventCandidateDisqualified, Description: "A candidate failed a required stage gate.",
			Example: json.RawMessage(`{"sessionId":"sess_123","assessmentId":"asm_456","candidateName":"Jane Smith","candidateEmail":"jane@example.com","score":31,"status":"DISQUALIFIED"}`)},
		{Name: EventAssessmentPublished, Description: "An assessment became publicly available.",
			Example: json.RawMessage(`{"assessmentId":"asm_456","status":"PUBLISHED"}`)},
	}
}

// EventTypes returns a copy of the catalogue, in the order of [Config.EventTypes].
func (d *Dispatcher) EventTypes() []EventType { return slices.Clone(d.cfg.EventTypes) }

// checkEventTypes refuses a catalogue that is not valid with a [FieldError] of a field
// such as "eventTypes[2].name".
func checkEventTypes(types []EventType) error {
	field, problem := eventtype.CatalogueProblem(len(types), func(i int) eventtype.Type { return eventtype.Type(types[i]) })
	if problem != "" {
		return refused(field, problem)
	}
	return nil
}
