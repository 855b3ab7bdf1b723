// Package hint words what a receiver's log says about a request that was refused: what is
// wrong, and where to look. It quotes nothing of a body.
package hint

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/alot/alotwebhook/internal/text"
)

// Mismatch describes a body whose signature does not match: its length, the request's
// Content-Length, which is negative if there was none, and the mistake that they point to.
func Mismatch(body []byte, length int64) string {
	lengths := fmt.Sprintf("%d bytes", len(body))
	if length >= 0 {
		lengths += fmt.Sprintf(" of %d (Content-Length)", length)
	}
	return lengths + ": " + whereToLook(body, length)
}

func whereToLook(body []byte, length int64) string {
	switch {
	case length >= 0 && length != int64(len(body)):
		return "something in front has read or changed the body; nothing may do so before the receiver"
	case len(body) == 0:
		return "the body is empty; has something in front read it?"
	case body[0] != '{':
		return "the body does not begin with {; was it passed on as base64, or encoded in another way?"
	}
	return "is it the endpoint's secret, without quotes, and does nothing in front parse the body and encode it again? " +
		"The command alotwebhook verify tries the usual mistakes"
}

// Misfit returns an error of a kind for an event's data that json.Unmarshal did not decode
// into a value of data's type. It wraps kind and err. Its text begins with that of kind and
// leaves out the text of err, which may quote the data.
func Misfit(kind error, eventType string, data any, err error) error {
	return &misfit{kind.Error() + ": data of " + text.Clip(eventType, 40) + misfitOf(data, err), []error{kind, err}}
}

type misfit struct {
	text string
	errs []error
}

func (m *misfit) Error() string   { return m.text }
func (m *misfit) Unwrap() []error { return m.errs }

func misfitOf(data any, err error) string {
	var t *json.UnmarshalTypeError
	if !errors.As(err, &t) {
		return fmt.Sprintf(" does not fit %T: it was refused with a %T", data, err)
	}
	field := ""
	if t.Field != "" {
		field = fmt.Sprintf(": %q", t.Field)
	}
	kind, _, _ := strings.Cut(t.Value, " ") // the value may be "number" and that number
	return fmt.Sprintf("%s is a JSON %s, which does not fit a Go %v", field, kind, t.Type)
}
