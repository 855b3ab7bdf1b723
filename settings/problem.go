package settings

import (
	"net/http"
	"strings"
)

// problem is an error as a customer reads it. The API sends it as problem details
// (RFC 9457) of the type about:blank; the pages show it as a page.
type problem struct {
	Title  string         `json:"title"`
	Status int            `json:"status"`
	Detail string         `json:"detail"`
	Errors []fieldProblem `json:"errors,omitempty"`
	// Missing are the actions that the request would have to be allowed.
	Missing []Action `json:"missing,omitempty"`

	header http.Header // sent along with it
}

// fieldProblem says what is wrong with one field of a request: a key, a parameter
// or a header.
type fieldProblem struct {
	Field  string `json:"field"`  // as the request spells it, such as "events[1]"
	Detail string `json:"detail"` // without its subject, which is the field
}

// Error returns title and detail for the log.
func (p *problem) Error() string { return p.Title + ": " + p.Detail }

// summary joins problems to text, with a sentence for each.
func summary(problems []fieldProblem) string {
	sentences := make([]string, len(problems))
	for i, p := range problems {
		sentences[i] = p.Field + " " + p.Detail
	}
	return strings.Join(sentences, ". ") + "."
}
