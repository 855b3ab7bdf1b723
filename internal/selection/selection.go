// Package selection judges which deliveries, or events, operators select at once, and bounds their
// time.
package selection

import (
	"fmt"
	"time"

	"github.com/alot/alotwebhook/internal/envelope"
	"github.com/alot/alotwebhook/internal/storable"
	"github.com/alot/alotwebhook/internal/text"
	"github.com/alot/alotwebhook/internal/typeid"
)

// Purpose is what is to be done with what is selected.
type Purpose int

const (
	Recover Purpose = iota // failed deliveries are sent again
	Cancel                 // unfinished deliveries are canceled
	Erase                  // events are erased, or all of an organization is removed
)

// MaxNote is the longest note of a selection or a pause, in bytes.
const MaxNote = 256

// failedLookback is how much older than its failure the event of a delivery may be.
const failedLookback = 8 * 24 * time.Hour

// Selection is what somebody selects. Every zero field selects all.
type Selection struct {
	OrganizationID, EndpointID, EventID, EventType, Reason, Subject string
	// Since and Until bound the time of the events, FailedSince and FailedUntil that of failures.
	Since, Until, FailedSince, FailedUntil time.Time
	Note                                   string // why it is selected
}

// Problem says which field of s cannot be meant, and what is wrong with it, as the rest of a sentence;
// "" if nothing is.
func (s *Selection) Problem(p Purpose, now time.Time) (field, problem string) {
	if field, problem = s.subjectProblem(p); problem == "" {
		field, problem = storable.Problem(*s)
	}
	if problem == "" {
		field, problem = s.timeProblem(now)
	}
	if problem == "" && p != Erase {
		field, problem = s.deliveriesProblem(p)
	}
	if problem != "" {
		return field, problem
	}
	if _, err := typeid.Parse("evt", s.EventID); s.EventID != "" && err != nil {
		return "eventId", fmt.Sprintf("%q is no id of an event: evt_ and 26 characters", text.Clip(s.EventID, 40))
	}
	return "note", text.PlainProblem(s.Note, MaxNote)
}

// subjectProblem says what is wrong with whom it is about.
func (s *Selection) subjectProblem(p Purpose) (field, problem string) {
	switch problem := envelope.SubjectProblem(s.Subject); {
	case problem != "":
		return "subject", problem
	case p == Erase:
		return s.eraseProblem()
	case s.Subject != "":
		return "subject", "selects only what is to be erased"
	}
	return "", ""
}

// deliveriesProblem says what does not go with canceling, or that too much is selected.
func (s *Selection) deliveriesProblem(p Purpose) (field, problem string) {
	bounded := s.OrganizationID+s.EndpointID+s.EventID+s.EventType != ""
	if problem = storable.ReasonProblem(s.Reason); problem != "" {
		return "reason", problem
	}
	switch {
	case p == Cancel && !(s.FailedSince.IsZero() && s.FailedUntil.IsZero()):
		return "failedSince", "does not go with canceling: what has failed is finished"
	case p == Cancel && !bounded:
		return "organizationId", "is empty, as are the endpoint, the event and the type: name at least one of them, or pause everything instead"
	case !bounded && s.Since.IsZero() && s.FailedSince.IsZero():
		return "failedSince", "is missing, and nothing else selects deliveries: give the time since which they failed"
	}
	return "", ""
}

// eraseProblem says what does not go with erasing: events are erased, not deliveries.
func (s *Selection) eraseProblem() (field, problem string) {
	for _, of := range []struct {
		field string
		given bool
	}{
		{"endpointId", s.EndpointID != ""},
		{"eventType", s.EventType != ""},
		{"reason", s.Reason != ""},
		{"failedSince", !s.FailedSince.IsZero()},
		{"failedUntil", !s.FailedUntil.IsZero()},
	} {
		if of.given {
			return of.field, "does not go with erasing: name an event, a subject or an organization, and the time of the events"
		}
	}
	if s.EventID+s.Subject+s.OrganizationID == "" {
		return "subject", "is empty, as are the event and the organization: name at least one of them"
	}
	return "", ""
}

// timeProblem says which time cannot be meant.
func (s *Selection) timeProblem(now time.Time) (field, problem string) {
	switch {
	case s.Since.After(now):
		return "since", "is in the future"
	case s.FailedSince.After(now):
		return "failedSince", "is in the future"
	case !s.Until.IsZero() && !s.Since.Before(s.Until):
		return "until", "is not after since"
	case !s.FailedUntil.IsZero() && !s.FailedSince.Before(s.FailedUntil):
		return "failedUntil", "is not after failedSince"
	}
	return "", ""
}

// Bound gives s the bounds of what there is now: Since and Until get whole milliseconds, as ids have
// them, and Until becomes the next one at the latest. Failures without a Since are of events that are
// not much older. It returns the time before which there is nothing; kept is how long history is.
func (s *Selection) Bound(now time.Time, kept time.Duration) (oldest time.Time) {
	until := now.Truncate(time.Millisecond).Add(time.Millisecond)
	for _, bound := range []time.Time{s.Until, s.FailedUntil} {
		if !bound.IsZero() && bound.Before(until) {
			until = bound.UTC().Truncate(time.Millisecond)
		}
	}
	s.Until = until
	if s.Since.IsZero() && !s.FailedSince.IsZero() {
		if s.Since = s.FailedSince.Add(-failedLookback); s.Since.Before(time.Time{}) {
			s.Since = time.Time{} // no store holds what is before
		}
	}
	if s.Since.IsZero() {
		s.Since = time.Time{} // in whichever zone it was
		return now.Add(-kept)
	}
	s.Since = s.Since.UTC().Truncate(time.Millisecond)
	return s.Since
}

// Share returns how far a time is on the way from one to another, from 0 to 1.
func Share(from, at, to time.Time) float64 {
	if from.IsZero() || !at.After(from) || !to.After(from) {
		return 0
	}
	return min(float64(at.Sub(from))/float64(to.Sub(from)), 1)
}

// Progress returns how much is done, from 0 to 1, of what goes from until back to oldest, by the time in
// the id that it has come to: that of a delivery or an event. It is 0 for all else.
func Progress(cursor string, until, oldest time.Time) float64 {
	at, ok := typeid.Time("dlv", cursor)
	if !ok {
		at, ok = typeid.Time("evt", cursor)
	}
	span := until.Sub(oldest)
	if !ok || span <= 0 {
		return 0
	}
	return min(max(float64(until.Sub(at))/float64(span), 0), 1)
}

// OwnerProblem says what is wrong with an organization that is given along with an endpoint of an owner;
// "" if it is the owner, or none is given.
func OwnerProblem(given, owner, endpointID string) string {
	if given == "" || given == owner {
		return ""
	}
	return fmt.Sprintf("%q is not that of the endpoint %s", text.Clip(given, 40), endpointID)
}

// Earlier returns the earlier of two bounds; zero is none.
func Earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Takes reports whether a delivery whose last reason is that is one of a selection with this Reason;
// "" takes any but what was canceled and, unless discarded is set, discarded.
func Takes(reason, last string, discarded bool) bool {
	if reason != "" {
		return reason == last
	}
	return last != "canceled" && (discarded || last != "discarded")
}
