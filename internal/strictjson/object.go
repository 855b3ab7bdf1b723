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

// Why a text is refused as a whole.
var (
	ErrNotUTF8   = errors.New("the body is not UTF-8")
	ErrNotObject = errors.New("the body is not a JSON object")
	ErrNotJSON   = errors.New("the body is not one JSON value")
)

// maxUnknownKeys bounds the work of comparing each unknown key with the others.
const maxUnknownKeys = 64

// Object reads text, which must be one JSON object, and sets values[i] to the value
// of keys[i], a part of text, or to nil if the object lacks that key. The object may
// have up to 64 other keys.
//
// It refuses two keys that are equal or differ in case only, and a key that differs
// in case only from one of keys: parsers disagree on which of the two counts. The
// error is one of those above, or names the key.
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

// members collects the members of one object.
type members struct {
	keys    []string
	values  [][]byte
	unknown []string
}

func (m *members) add(key, value []byte) error {
	i, err := m.known(key)
	switch {
	case err != nil:
		return err
	case i >= 0 && m.values[i] != nil:
		return fmt.Errorf("%q stands twice", m.keys[i])
	case i >= 0:
		m.values[i] = value
		return nil
	}
	return m.addUnknown(string(Unquote(key)))
}

func (m *members) addUnknown(name string) error {
	same := func(other string) bool { return strings.EqualFold(name, other) }
	if slices.ContainsFunc(m.unknown, same) {
		return fmt.Errorf("a key stands twice: %s", quoteShort(name))
	}
	if m.unknown = append(m.unknown, name); len(m.unknown) > maxUnknownKeys {
		return fmt.Errorf("more than %d unknown keys", maxUnknownKeys)
	}
	return nil
}

// known returns the place of a quoted key among m.keys, or −1.
func (m *members) known(quoted []byte) (int, error) {
	for i, k := range m.keys {
		if string(quoted[1:len(quoted)-1]) == k {
			return i, nil
		}
	}
	name := string(Unquote(quoted))
	for i, k := range m.keys {
		if name == k {
			return i, nil // spelled with escapes
		}
		if strings.EqualFold(name, k) {
			return 0, fmt.Errorf("the key %s differs from %q in case only", quoteShort(name), k)
		}
	}
	return -1, nil
}

// quoteShort quotes the beginning of a key that somebody else chose.
func quoteShort(name string) string {
	const most = 40
	if runes := []rune(name); len(runes) > most {
		name = string(runes[:most]) + "…"
	}
	return strconv.QuoteToASCII(name)
}

// Unquote returns the content of a valid string literal. It is a part of the
// literal if that has no escapes, and a copy otherwise.
func Unquote(literal []byte) []byte {
	if bytes.IndexByte(literal, '\\') < 0 {
		return literal[1 : len(literal)-1]
	}
	var s string
	_ = json.Unmarshal(literal, &s) // a valid literal always decodes
	return []byte(s)
}
