// Package strictjson reads JSON so strictly that no other parser can understand the
// same text differently: it must be UTF-8 and one value, and each key of the object
// may appear only once. The package steps over the text without decoding it, and is
// several times faster than encoding/json.
package strictjson

import "unicode/utf8"

// Valid reports whether b is one JSON value, with or without white space around it,
// and is UTF-8. [json.Valid] reports the same, except that it accepts other bytes than
// UTF-8 in strings.
func Valid(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	s := scanner{b: b}
	s.space()
	return s.value() && s.atEnd()
}

// scanner steps over JSON text and checks its grammar (RFC 8259) on the way. It does
// not check whether the text is UTF-8. Each method that returns a bool steps over its
// part of the grammar, and returns false if the text is something else.
type scanner struct {
	b     []byte
	i     int // the index of the next byte
	depth int // how many arrays and objects are open
}

// maxDepth is how deep arrays and objects may nest, as in encoding/json.
const maxDepth = 10000

// peek returns the next byte, or 0 at the end: a 0 byte is never valid in JSON.
func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

// skip steps over the next byte if it is c.
func (s *scanner) skip(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// space steps over white space, if there is any.
func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return
		}
	}
}

// atEnd reports whether only white space is left.
func (s *scanner) atEnd() bool {
	s.space()
	return s.i == len(s.b)
}

// value steps over one value of any kind.
func (s *scanner) value() bool {
	switch c := s.peek(); c {
	case '"':
		return s.string()
	case '{':
		return s.object(func(_, _ []byte) bool { return true })
	case '[':
		return s.array()
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		return s.number()
	}
}

// object steps over an object. It calls member with each key, as the text has it with
// its quotes, and each value. If member returns false, object does, too.
func (s *scanner) object(member func(key, value []byte) bool) bool {
	if !s.open('{') {
		return false
	}
	if s.skip('}') {
		s.depth--
		return true
	}
	for {
		from := s.i
		if !s.string() {
			return false
		}
		key := s.b[from:s.i:s.i]
		s.space()
		if !s.skip(':') {
			return false
		}
		s.space()
		from = s.i
		if !s.value() || !member(key, s.b[from:s.i:s.i]) {
			return false
		}
		if s.space(); s.skip('}') {
			s.depth--
			return true
		}
		if !s.skip(',') {
			return false
		}
		s.space()
	}
}

// array steps over an array.
func (s *scanner) array() bool {
	if !s.open('[') {
		return false
	}
	if s.skip(']') {
		s.depth--
		return true
	}
	for {
		if !s.value() {
			return false
		}
		if s.space(); s.skip(']') {
			s.depth--
			return true
		}
		if !s.skip(',') {
			return false
		}
		s.space()
	}
}

// open steps over an opening bracket and the white space after it.
func (s *scanner) open(bracket byte) bool {
	if s.depth++; s.depth > maxDepth || !s.skip(bracket) {
		return false
	}
	s.space()
	return true
}

// literal steps over true, false or null.
func (s *scanner) literal(word string) bool {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return false
	}
	s.i += len(word)
	return true
}

// special marks the bytes that end the plain part of a string: the quote, the
// backslash, and the control characters, which JSON forbids.
var special = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

// string steps over a string literal with its quotes.
func (s *scanner) string() bool {
	if !s.skip('"') {
		return false
	}
	for {
		rest := s.b[s.i:]
		n := 0
		for n < len(rest) && !special[rest[n]] {
			n++
		}
		s.i += n
		if s.skip('"') {
			return true
		}
		if !s.skip('\\') || !s.escape() {
			return false
		}
	}
}

// escape steps over an escape sequence after its backslash.
func (s *scanner) escape() bool {
	c := s.peek()
	s.i++
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			if !isHex(s.peek()) {
				return false
			}
			s.i++
		}
		return true
	}
	return false
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// number steps over a number.
func (s *scanner) number() bool {
	s.skip('-')
	if !s.skip('0') && !s.digits() {
		return false
	}
	if s.skip('.') && !s.digits() {
		return false
	}
	if s.skip('e') || s.skip('E') {
		if !s.skip('+') {
			s.skip('-')
		}
		return s.digits()
	}
	return true
}

// digits steps over one or more digits.
func (s *scanner) digits() bool {
	from := s.i
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.i++
	}
	return s.i > from
}
