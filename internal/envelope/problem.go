package envelope

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/alot/alotwebhook/internal/strictjson"
	"github.com/alot/alotwebhook/internal/text"
	"github.com/alot/alotwebhook/internal/typeid"
)

// The functions that end in Problem say what is wrong with a part of an event, "" for nothing. The
// text is the rest of a sentence that begins with the name of the field.

// IDProblem refuses an id that is no TypeID with that prefix over a UUIDv7.
func IDProblem(id, prefix string) string {
	u, err := typeid.Parse(prefix, id)
	switch {
	case err != nil:
		return fmt.Sprintf("%q %v; make events with NewEvent", text.Clip(id, 40), err)
	case u.Version() != 7:
		return fmt.Sprintf("%q is not over a UUIDv7; make events with NewEvent", id)
	}
	return ""
}

// TimestampProblem refuses a time that the payload's form cannot spell.
func TimestampProblem(at time.Time) string {
	if year := at.UTC().Year(); at.IsZero() || year < 0 || year > 9999 {
		return "is missing or not in the years 0 to 9999; say when the event happened"
	}
	return ""
}

// maxOrganizationID is the longest organization id, in bytes.
const maxOrganizationID = 255

// OrganizationProblem refuses an organization id that is empty, too long or no plain text.
func OrganizationProblem(id string) string {
	switch {
	case id == "":
		return "is missing; say whose endpoints are meant"
	case len(id) > maxOrganizationID:
		return fmt.Sprintf("has %d bytes; at most %d are allowed", len(id), maxOrganizationID)
	case !text.IsPlain(id):
		return "has control characters or is not UTF-8"
	}
	return ""
}

// maxSubject is the longest subject, in bytes.
const maxSubject = 128

// SubjectProblem says what is wrong with a subject; "" is none, and right.
func SubjectProblem(subject string) string {
	if len(subject) > maxSubject || !text.IsPlain(subject) {
		return fmt.Sprintf("is longer than %d bytes, or has control characters or is not UTF-8; give a key of your own, such as an id", maxSubject)
	}
	return ""
}

// TestProblem refuses an event that is a test: it is sent to one endpoint alone.
func TestProblem(test bool) string {
	if test {
		return "is true, and tests are not emitted: send one with SendTest, which chooses its data"
	}
	return ""
}

// TraceParentProblem refuses what is neither empty nor a traceparent.
func TraceParentProblem(s string) string {
	if s == "" || text.IsTraceParent(s) {
		return ""
	}
	return fmt.Sprintf("%q is no traceparent: 00, then 32, 16 and 2 hex digits in lower case, with a - before each, and neither id all zero; give that of a span, or none", text.Clip(s, 60))
}

// DataProblem refuses data that is not one JSON value in UTF-8.
func DataProblem(data []byte) string {
	switch {
	case len(data) == 0:
		return "is missing; give a JSON value"
	case !utf8.Valid(data):
		return "is not UTF-8"
	case !strictjson.Valid(data):
		return "is not one JSON value"
	}
	return ""
}

// SizeProblem refuses an event whose payload has more than most bytes. It does not copy the data.
func (e *Event) SizeProblem(most int) string {
	var b [512]byte
	if n := len(e.appendHead(b[:0])) + len(e.Data) + len("}"); n > most {
		return fmt.Sprintf("makes a payload of %d bytes, more than the %d allowed; send ids and let the receiver fetch the rest", n, most)
	}
	return ""
}
