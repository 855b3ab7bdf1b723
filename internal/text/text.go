// Package text holds the two things that the root package and settings both do
// with texts: shorten one for a message, and hash a list of them.
package text

import (
	"crypto/sha256"
	"fmt"
	"unicode/utf8"
)

// Clip returns s if it has at most most bytes. Otherwise it returns as many whole
// characters from its beginning as fit into most bytes, and an ellipsis. It keeps
// a text that somebody else chose from filling a message.
func Clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// Hash returns the SHA-256 hash of a list of texts. The length of each text is
// hashed with it, so two different lists never give the same input.
func Hash(texts ...string) [sha256.Size]byte {
	h := sha256.New()
	for _, t := range texts {
		fmt.Fprintf(h, "%d:%s", len(t), t)
	}
	return [sha256.Size]byte(h.Sum(nil))
}
