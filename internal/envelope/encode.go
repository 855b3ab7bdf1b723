package envelope

import (
	"bytes"
	"encoding/json"
)

// Encode returns data as one JSON value in UTF-8, or says why it cannot: see [DataProblem].
func Encode(data any) (raw json.RawMessage, problem string) {
	raw, ok := rawData(data)
	if !ok {
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(data); err != nil {
			return nil, "cannot be encoded as JSON: " + err.Error()
		}
		raw = bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	}
	// The encoded form is checked, too: a Marshaler may write bytes that are not UTF-8.
	return raw, DataProblem(raw)
}

// rawData returns a copy of data if its type says that it is JSON already.
func rawData(data any) (raw json.RawMessage, ok bool) {
	switch d := data.(type) {
	case json.RawMessage:
		return bytes.Clone(d), true
	case []byte: // encoding/json would encode it as a base64 string
		return bytes.Clone(d), true
	case *json.RawMessage:
		if d != nil {
			raw = bytes.Clone(*d)
		}
		return raw, true
	}
	return nil, false
}

// FirstOf returns the first of the values that is not empty; an empty object if none is.
func FirstOf(values ...json.RawMessage) json.RawMessage {
	for _, v := range values {
		if len(v) > 0 {
			return v
		}
	}
	return json.RawMessage(`{}`)
}
