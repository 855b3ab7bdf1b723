package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// These errors of [Object] refuse a text as a whole.
var (
	ErrNotUTF8   = errors.New("the body is not UTF-8")
	ErrNotObject = errors.New("the body is not a JSON object")
	ErrNotJSON   = errors.New("the body is not one JSON value")
)

// maxUnknownKeys bounds the work of comparing each unknown key with all others.
const maxUnknownKeys = 64

// Object reads text, which must be one JSON object. It sets values[i] to the value of
// keys[i] in the object, as a part of text; if the object lacks that key, values[i]
// stays nil. The caller passes values full of nil. The object may have up to 64 other
// keys.
//
// Object refuses two keys that are equal or differ in case only, and a key that
// differs from one of keys in case only, because parsers disagree about which of the
// two values counts. The error is one of those above, or its text names the key.
func Object(text []byte, keys []string, values [][]byte) error {
	if !utf8.Valid(text) {
		return ErrNotUTF8
	}
	s := scanner{b: text}
	if s.space(); s.peek() != '{' {
		return ErrNotObject
	}
	m := members{keys: keys, values: values}
	var refused error
	whole := s.object(func(key, value []byte) bool {
		refused = m.add(key, value)
		return refused == nil
	})
	if refused != nil {
		return refused
	}
	if !whole || !s.atEnd() {
		return ErrNotJSON
	}
	return nil
}

// members collects the members of one object: values of known keys, and the names of
// the unknown ones.
type members struct {
	keys    []string
	values  [][]byte
	unknown []string
}

// add takes in one member, or refuses its key.
func (m *members) add(key, value []byte) error {
	i, err := m.known(key)
	switch {
	case err != nil:
		return err
	case i >= 0 && m.values[i] != nil:
		return fmt.Errorf("%q appears twice", m.keys[i])
	case i >= 0:
		m.values[i] = value
		return nil
	}
	return m.addUnknown(string(Unquote(key)))
}

// addUnknown remembers the name of an unknown key, or refuses it.
func (m *members) addUnknown(name string) error {
	same := func(other string) bool { return strings.EqualFold(name, other) }
	if slices.ContainsFunc(m.unknown, same) {
		return fmt.Errorf("a key appears twice: %s", quoteShort(name))
	}
	if m.unknown = append(m.unknown, name); len(m.unknown) > maxUnknownKeys {
		return fmt.Errorf("more than %d unknown keys", maxUnknownKeys)
	}
	return nil
}

// known returns the index of a key among m.keys, or −1. The key comes with its quotes
// and escapes, as the text has it.
func (m *members) known(quoted []byte) (int, error) {
	for i, k := range m.keys {
		if string(quoted[1:len(quoted)-1]) == k {
			return i, nil
		}
	}
	name := string(Unquote(quoted))
	for i, k := range m.keys {
		if name == k {
			return i, nil // the text spells it with escapes
		}
		if strings.EqualFold(name, k) {
			return 0, fmt.Errorf("the key %s differs from %q in case only", quoteShort(name), k)
		}
	}
	return -1, nil
}

// quoteShort quotes a key for an error text. The sender of the text chose the key, so
// quoteShort cuts it after 40 characters and escapes everything outside ASCII.
func quoteShort(name string) string {
	const most = 40
	if runes := []rune(name); len(runes) > most {
		name = string(runes[:most]) + "…"
	}
	return strconv.QuoteToASCII(name)
}

// Unquote returns the content of a valid JSON string literal. If the literal has no
// escapes, the result is a part of it, and otherwise a copy.
func Unquote(literal []byte) []byte {
	if bytes.IndexByte(literal, '\\') < 0 {
		return literal[1 : len(literal)-1]
	}
	var s string
	_ = json.Unmarshal(literal, &s) // a valid literal always decodes
	return []byte(s)
}
