package settings

import (
	"errors"
	"strings"

	"github.com/alot/alotwebhook"
)

// operatorLabels are the subjects of the problems that the operators' forms show, by the field of
// the dispatcher's error; operatorFields are the fields of the forms.
var (
	operatorLabels = map[string]string{
		"organizationId": "The organization", "endpointId": "The endpoint", "eventId": "The event", "eventType": "The event type",
		"since": "The beginning", "failedSince": "The beginning", "until": "The end", "failedUntil": "The end", "note": "What you wrote", "subject": "The subject",
	}
	operatorFields = map[string]string{
		"organizationId": "organization", "endpointId": "endpoint", "eventId": "event", "eventType": "type",
		"since": "since", "failedSince": "since", "until": "until", "failedUntil": "until", "note": "note", "subject": "subject",
	}
)

// addOperatorProblem adds what the dispatcher's error says to the problems of a form of the
// operators. It returns an error that is about none of its fields.
func (f *form) addOperatorProblem(err error) error {
	var field *alotwebhook.FieldError
	switch {
	case errors.Is(err, alotwebhook.ErrNotFound):
		f.problems["endpoint"] = "There is no such endpoint. It may have been deleted."
	case errors.Is(err, alotwebhook.ErrRecovering):
		f.problems["endpoint"] = "A recovery of this endpoint is under way. Stop it first, or wait for its end."
	case errors.Is(err, errors.ErrUnsupported):
		return errNoStore
	case errors.As(err, &field) && operatorFields[field.Field] != "":
		f.problems[operatorFields[field.Field]] = operatorLabels[field.Field] + " " + field.Problem + "."
	default:
		return err
	}
	return nil
}

// text returns what was typed without the white space around it: people paste ids, and blanks alone are
// no reason.
func (f *form) text(name string) string { return strings.TrimSpace(f.get(name)) }
