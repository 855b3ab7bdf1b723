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
)

// fields maps the keys that an object may have to what reads their values.
type fields map[string]func(name string, value json.RawMessage) []fieldProblem

// readObject reads the body as one JSON object. encoding/json alone would take
// the last of two equal keys, any case of a key and null for a string; here
// each of these is refused, and all of them at once.
func readObject(r *http.Request, want fields) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	return readMembers(body, want)
}

// readOptionalObject takes no body at all for an empty object.
func readOptionalObject(r *http.Request, want fields) error {
	body, err := readAll(r)
	if err != nil {
		return err
	}
	given := r.Header.Get("Content-Type") != ""
	if len(body) == 0 && (!given || isJSON(r)) {
		return nil
	}
	r.Body = readCloser{bytes.NewReader(body)}
	return readObject(r, want)
}

func readMembers(body []byte, want fields) error {
	var errs []fieldProblem
	seen := make(map[string]bool, len(want))
	err := members(body, func(key string, value json.RawMessage) {
		read, known := want[key]
		switch {
		case !known:
			errs = append(errs, fieldProblem{clip(key), "is not known here; correct it or leave it out"})
		case seen[key]:
			errs = append(errs, fieldProblem{key, "stands twice"})
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

// readBody returns a body that is valid JSON. The content type is asked for
// because a page of another site can make a browser send anything else without
// being asked, with the customer's cookies.
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
		return nil, malformed(fmt.Sprintf("The body is not JSON, as byte %d shows.", syntax.Offset))
	}
	return body, nil
}

// isJSON reports whether the request says that its body is JSON; a PATCH may
// say more exactly which kind (RFC 7396).
func isJSON(r *http.Request) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && (media == "application/json" || media == mergePatchType && r.Method == http.MethodPatch)
}

const mergePatchType = "application/merge-patch+json"

// readAll reads the body to its end or its limit.
func readAll(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, errTooLarge
	case err != nil:
		return nil, malformed("The body broke off.")
	}
	return body, nil
}

// members shows each member of the object that body is.
func members(body []byte, member func(key string, value json.RawMessage)) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return malformed("The body is not a JSON object.")
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
		member(key.(string), value) // the grammar lets nothing else be a key
	}
	return nil
}

// text reads a string. encoding/json puts U+FFFD in the place of half a surrogate
// pair: a secret would become another one.
func text(into *string) func(string, json.RawMessage) []fieldProblem {
	return func(name string, value json.RawMessage) []fieldProblem {
		switch {
		case value[0] != '"' || json.Unmarshal(value, into) != nil:
			return []fieldProblem{{name, "must be a string"}}
		case strings.ContainsRune(*into, utf8.RuneError):
			return []fieldProblem{{name, "has half of a surrogate pair or U+FFFD; send the text that was meant"}}
		}
		return nil
	}
}

// optionalText reads a string and tells an empty one from none.
func optionalText(into **string) func(string, json.RawMessage) []fieldProblem {
	return func(name string, value json.RawMessage) []fieldProblem {
		*into = new(string)
		return text(*into)(name, value)
	}
}

// removableText reads a string, or null for none.
func removableText(into **string) func(string, json.RawMessage) []fieldProblem {
	return func(name string, value json.RawMessage) []fieldProblem {
		*into = new(string)
		if string(value) == "null" {
			return nil
		}
		return text(*into)(name, value)
	}
}

// truth reads true or false.
func truth(into **bool) func(string, json.RawMessage) []fieldProblem {
	return func(name string, value json.RawMessage) []fieldProblem {
		*into = new(bool)
		if value[0] != 't' && value[0] != 'f' || json.Unmarshal(value, *into) != nil {
			return []fieldProblem{{name, "must be true or false"}}
		}
		return nil
	}
}

// moment reads a time.
func moment(into *time.Time) func(string, json.RawMessage) []fieldProblem {
	return func(name string, value json.RawMessage) []fieldProblem {
		var given string
		if errs := text(&given)(name, value); errs != nil {
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

// elsewhere refuses a key that is changed by another request.
func elsewhere(detail string) func(string, json.RawMessage) []fieldProblem {
	return func(name string, _ json.RawMessage) []fieldProblem { return []fieldProblem{{name, detail}} }
}

// texts reads an array of strings.
func texts(into *[]string) func(string, json.RawMessage) []fieldProblem {
	return func(name string, value json.RawMessage) (errs []fieldProblem) {
		var items []json.RawMessage
		if value[0] != '[' || json.Unmarshal(value, &items) != nil {
			return []fieldProblem{{name, "must be an array of strings"}}
		}
		*into = make([]string, len(items))
		for i, item := range items {
			errs = append(errs, text(&(*into)[i])(fmt.Sprintf("%s[%d]", name, i), item)...)
		}
		return errs
	}
}

// clip keeps a key that somebody else chose from filling the answer.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	for cut := most; ; cut-- {
		if utf8.RuneStart(s[cut]) {
			return s[:cut] + "…"
		}
	}
}
