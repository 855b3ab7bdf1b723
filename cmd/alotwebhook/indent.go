package main

import (
	"bytes"
	"encoding/json"
)

// indent returns JSON with indentation. ok is false for other texts, and for JSON that the indentation would make
// larger than the limit, or that is nested very deep: a few kilobytes of brackets become a hundred megabytes.
func indent(text []byte, by string, limit int) (indented []byte, ok bool) {
	if size, nested := indentedSize(text, len(by)); nested > maxNested || size > limit {
		return nil, false
	}
	var b bytes.Buffer
	if json.Indent(&b, bytes.TrimSpace(text), "", by) != nil {
		return nil, false
	}
	return b.Bytes(), true
}

// indentLimit is how large a text may become by indentation.
func indentLimit(text []byte) int { return 4*len(text) + 64<<10 }

// maxNested is how deep JSON may be nested to be shown with indentation.
const maxNested = 64

// indentedSize returns about how many bytes JSON has with an indentation of so many bytes, and how deep it is nested.
func indentedSize(text []byte, width int) (size, nested int) {
	size = len(text)
	depth, inString, escaped := 0, false, false
	for _, c := range text {
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped, inString = c == '\\', c != '"'
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			depth++
			nested = max(nested, depth)
			size += 1 + depth*width
		case c == '}' || c == ']':
			depth--
			size += 1 + max(depth, 0)*width
		case c == ',':
			size += 1 + max(depth, 0)*width
		case c == ':':
			size++
		}
	}
	return size, nested
}
