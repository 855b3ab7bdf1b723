// Package text holds what several packages do with texts: shorten one for a message, hash
// a list of them, tell what one is made of, and make one that every store takes.
package text

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"unicode"
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

// IsPlain reports whether s is UTF-8 without control characters.
func IsPlain(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// PlainProblem returns what is wrong with a text that has to be plain and have at most so many
// bytes, or "". It is the rest of a sentence that begins with the field's name.
func PlainProblem(s string, most int) string {
	if len(s) > most || !IsPlain(s) {
		return fmt.Sprintf("is longer than %d bytes, or has control characters or is not UTF-8", most)
	}
	return ""
}

// Plain returns as many whole characters from the beginning of s as fit into most bytes, with
// U+FFFD for each that is a control character or not UTF-8.
func Plain(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return utf8.RuneError
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.TrimSuffix(Clip(s, most), "…")
	}
	return s
}

// SecretProblem returns what is wrong with a secret of so many bytes, or "". Its
// text is the rest of a sentence that begins with the field's name. Blanks around a secret
// are a slip of copying that would make every signature fail.
func SecretProblem(s string, least, most int) string {
	switch trimmed := strings.TrimSpace(s); {
	case trimmed == "":
		return "is empty or blank"
	case trimmed != s:
		return "begins or ends with white space"
	case len(s) > most:
		return fmt.Sprintf("has %d bytes; at most %d are allowed", len(s), most)
	case len(s) < least:
		return fmt.Sprintf("has %d bytes; give at least %d, which cannot be guessed", len(s), least)
	case !IsPlain(s):
		return "has control characters or is not UTF-8"
	}
	return ""
}

// KeyProblem returns what is wrong with a secret that somebody verifies with, or "".
func KeyProblem(s string) string {
	switch strings.TrimSpace(s) {
	case "":
		return "is empty; is its environment variable or file set?"
	case s:
		return ""
	}
	return "has white space around it; trim the line end or the blanks"
}

// IsPrintableASCII reports whether s can be the value of a header.
func IsPrintableASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

// Storable returns text that every store takes: UTF-8, and no NUL, which PostgreSQL's
// text does not hold. Each byte that is neither becomes U+FFFD.
func Storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// IsTraceParent reports whether s is a traceparent in version 00, the only one that the
// specification has: https://www.w3.org/TR/trace-context/#traceparent-header.
func IsTraceParent(s string) bool {
	if len(s) != 55 || s[:3] != "00-" || s[35] != '-' || s[52] != '-' {
		return false
	}
	trace, span, flags := s[3:35], s[36:52], s[53:]
	return isHex(trace) && isHex(span) && isHex(flags) && strings.Trim(trace, "0") != "" && strings.Trim(span, "0") != ""
}

// isHex reports whether s has hex digits in lower case only.
func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
