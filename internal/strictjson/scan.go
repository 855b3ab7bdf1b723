// Package strictjson reads JSON that two parsers cannot read as two different
// texts: UTF-8 alone, one value, each key once. It is several times faster than
// encoding/json, since it steps over the text and decodes nothing.
package strictjson

import "unicode/utf8"

// Valid reports whether b is UTF-8 and one JSON value, with white space around it
// or none: [json.Valid], but for the UTF-8.
func Valid(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	s := scanner{b: b}
	s.space()
	return s.value() && s.atEnd()
}

// scanner steps over JSON text and checks its grammar on the way (RFC 8259), to
// the depth that encoding/json allows. It does not check that the text is UTF-8.
type scanner struct {
	b     []byte
	i     int // the next byte
	depth int
}

// maxDepth is how deep encoding/json lets arrays and objects nest.
const maxDepth = 10000

// peek returns the next byte, or 0 at the end. JSON has no 0 byte anywhere.
func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

// skip steps over the next byte if that is c.
func (s *scanner) skip(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

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

func (s *scanner) atEnd() bool {
	s.space()
	return s.i == len(s.b)
}

// value steps over one value, and returns false if there is none.
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

// object steps over an object and calls member with each key, as it is spelled
// and with its quotes, and each value. It ends early when member returns false.
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

// open steps over an opening bracket and the white space behind it.
func (s *scanner) open(bracket byte) bool {
	if s.depth++; s.depth > maxDepth || !s.skip(bracket) {
		return false
	}
	s.space()
	return true
}

func (s *scanner) literal(word string) bool {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return false
	}
	s.i += len(word)
	return true
}

// special marks the bytes of a string that do not stand for themselves.
var special = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

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

// escape steps over the rest of an escape sequence, behind its backslash.
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
