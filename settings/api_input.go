package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/alot/alotwebhook/internal/text"
)

// fields are the keys that an object may have, each with the function that reads
// its value.
type fields map[string]readValue

// readValue stores the value of the field called name, or returns what is wrong
// with it. The value is valid JSON without white space around it.
type readValue func(name string, value json.RawMessage) []fieldProblem

// readObject reads the body as one JSON object. It refuses a key that is not in
// want, a key that is given twice, and a value of the wrong type, all in one
// problem. encoding/json alone would take the last of two equal keys, a key in any
// case, and null for a string.
func readObject(r *http.Request, want fields) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	return readMembers(body, want)
}

// readOptionalObject reads a body that may be left out. No body counts as an empty
// object.
func readOptionalObject(r *http.Request, want fields) error {
	body, err := readAll(r)
	if err != nil {
		return err
	}
	given := r.Header.Get("Content-Type") != ""
	if len(body) == 0 && (!given || isJSON(r)) {
		return nil
	}
	setBody(r, body)
	return readObject(r, want)
}

// readMembers reads the members of the object that body holds.
func readMembers(body []byte, want fields) error {
	var errs []fieldProblem
	seen := make(map[string]bool, len(want))
	err := members(body, func(key string, value json.RawMessage) {
		read, known := want[key]
		switch {
		case !known:
			errs = append(errs, fieldProblem{text.Clip(key, maxQuoted), "is not known here; correct it or leave it out"})
		case seen[key]:
			errs = append(errs, fieldProblem{key, "is given twice"})
		default:
			errs = append(errs, read(key, value)...)
		}
		seen[key] = true
	})
	if err == nil && len(errs) > 0 {
		err = malformed(summary(errs), errs...)
	}
	return err
}

// readBody returns the body if it is valid JSON. The content type must say so: a
// page of another site can make a browser send a form or plain text with the
// customer's cookies, but not JSON.
func readBody(r *http.Request) ([]byte, error) {
	if !isJSON(r) {
		return nil, notJSONType(r.Method)
	}
	body, err := readAll(r)
	if err != nil {
		return nil, err
	}
	switch {
	case len(body) == 0:
		return nil, malformed("The body is empty; send a JSON object.")
	case !utf8.Valid(body):
		return nil, malformed("The body is not UTF-8.")
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal(body, new(json.RawMessage)); errors.As(err, &syntax) {
		return nil, malformed(fmt.Sprintf("The body is not JSON: the error is at byte %d.", syntax.Offset))
	}
	return body, nil
}

// isJSON reports whether the content type of the request is JSON. That of a PATCH
// may also be a JSON merge patch (RFC 7396).
func isJSON(r *http.Request) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && (media == "application/json" || media == mergePatchType && r.Method == http.MethodPatch)
}

const mergePatchType = "application/merge-patch+json"

// readAll returns the whole body. It refuses a body that is larger than maxBody.
func readAll(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, errTooLarge
	case err != nil:
		return nil, malformed("The body could not be read to its end.")
	}
	return body, nil
}

// members calls member for each member of the object that body holds, in order.
func members(body []byte, member func(key string, value json.RawMessage)) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return malformed("The body is not a JSON object; send one.")
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return malformed("The body is not JSON.")
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return malformed("The body is not JSON.")
		}
		member(key.(string), value) // a key of JSON is always a string
	}
	return nil
}

// stringInto reads a string. It refuses U+FFFD, because encoding/json puts it in the
// place of half a surrogate pair: a secret would become a different one unnoticed.
func stringInto(into *string) readValue {
	return func(name string, value json.RawMessage) []fieldProblem {
		switch {
		case value[0] != '"' || json.Unmarshal(value, into) != nil:
			return []fieldProblem{{name, "must be a string"}}
		case strings.ContainsRune(*into, utf8.RuneError):
			return []fieldProblem{{name, "contains half of a surrogate pair or U+FFFD, the sign of damaged text; send the undamaged text"}}
		}
		return nil
	}
}

// optionalInto reads a string. The pointer stays nil if the key is absent, so that
// an empty string differs from none.
func optionalInto(into **string) readValue {
	return func(name string, value json.RawMessage) []fieldProblem {
		*into = new(string)
		return stringInto(*into)(name, value)
	}
}

// versionInto reads a version of payloads, which is not empty.
func versionInto(into *string) readValue {
	return func(name string, value json.RawMessage) []fieldProblem {
		if string(value) == `""` {
			return []fieldProblem{{name, "is empty; name a version, or leave it out"}}
		}
		return stringInto(into)(name, value)
	}
}

// removableInto reads a string, or null, which counts as an empty string.
func removableInto(into **string) readValue {
	return func(name string, value json.RawMessage) []fieldProblem {
		*into = new(string)
		if string(value) == "null" {
			return nil
		}
		return stringInto(*into)(name, value)
	}
}

// boolInto reads true or false. The pointer stays nil if the key is absent.
func boolInto(into **bool) readValue {
	return func(name string, value json.RawMessage) []fieldProblem {
		*into = new(bool)
		if value[0] != 't' && value[0] != 'f' || json.Unmarshal(value, *into) != nil {
			return []fieldProblem{{name, "must be true or false"}}
		}
		return nil
	}
}

// rateInto reads a number of requests a second. The pointer stays nil if the key is absent.
func rateInto(into **float64) readValue {
	return func(name string, value json.RawMessage) []fieldProblem {
		*into = new(float64)
		number := bytes.ContainsRune([]byte("-0123456789"), rune(value[0])) && json.Unmarshal(value, *into) == nil
		digits, _, _ := strings.Cut(strings.ToLower(string(value)), "e")
		if !number || **into == 0 && strings.ContainsAny(digits, "123456789") { // 1e-400 is no 0
			return []fieldProblem{{name, "must be a number from 0.01 to 10,000, or 0 for no limit of its own"}}
		}
		return nil
	}
}

// timeInto reads a time in the form of RFC 3339.
func timeInto(into *time.Time) readValue {
	return func(name string, value json.RawMessage) []fieldProblem {
		var given string
		if errs := stringInto(&given)(name, value); errs != nil {
			return errs
		}
		t, err := time.Parse(time.RFC3339, given)
		if err != nil {
			return []fieldProblem{{name, "must be a time such as 2026-05-25T14:23:00Z"}}
		}
		*into = t
		return nil
	}
}

// endInto reads a time that bounds something, or from which something is to be. It refuses the zero time of
// Go, which would stand for none.
func endInto(into *time.Time) readValue {
	return func(name string, value json.RawMessage) []fieldProblem {
		errs := timeInto(into)(name, value)
		if errs == nil && into.IsZero() {
			return []fieldProblem{{name, "is the beginning of the year 1; give another time, or leave it out"}}
		}
		return errs
	}
}

// elsewhere refuses a key whose value is changed by another request. The detail names
// that request.
func elsewhere(detail string) readValue {
	return func(name string, _ json.RawMessage) []fieldProblem { return []fieldProblem{{name, detail}} }
}

// stringsInto reads an array of strings.
func stringsInto(into *[]string) readValue {
	return func(name string, value json.RawMessage) (errs []fieldProblem) {
		var items []json.RawMessage
		if value[0] != '[' || json.Unmarshal(value, &items) != nil {
			return []fieldProblem{{name, "must be an array of strings"}}
		}
		*into = make([]string, len(items))
		for i, item := range items {
			errs = append(errs, stringInto(&(*into)[i])(fmt.Sprintf("%s[%d]", name, i), item)...)
		}
		return errs
	}
}
