// Package eventtype says which names an event type may have.
package eventtype

import (
	"fmt"
	"strings"

	"github.com/alot/alotwebhook/internal/text"
)

// MaxLen is the longest name, in bytes.
const MaxLen = 128

// Problem returns what is wrong with a name of an event type, or "". Its text is the rest
// of a sentence that begins with the field's name.
func Problem(name string) string {
	if name == "" {
		return "is empty; name it like candidate.completed"
	}
	if len(name) > MaxLen {
		return fmt.Sprintf("is %d bytes long; at most %d are allowed", len(name), MaxLen)
	}
	for word := range strings.SplitSeq(name, ".") {
		if word == "" || strings.ContainsFunc(word, notOfWord) {
			return fmt.Sprintf("is not words of a-z, 0-9 and _ with dots between: %q", name)
		}
	}
	return ""
}

// ListProblem returns what is wrong with a name that somebody uses, or "". The name is right if the
// catalogue lists it.
func ListProblem(name string, listed bool) string {
	switch {
	case name == "":
		return "is missing; give an event type of the catalogue"
	case !listed:
		return fmt.Sprintf("%q is not in the catalogue; correct it, or have it added there", text.Clip(name, 40))
	}
	return ""
}

// notOfWord reports whether c cannot stand in a word of a name.
func notOfWord(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_'
}
