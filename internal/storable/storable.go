// Package storable says which texts and times every store can hold, and which words of a closed list
// it can have. Others come to no database: one would refuse them in its own words, and another would
// find nothing.
package storable

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/alot/alotwebhook/internal/fault"
	"github.com/alot/alotwebhook/internal/text"
)

// quoted is how much of a text an error repeats, in bytes.
const quoted = 40

// IsText reports whether every store can hold a text: it is UTF-8 without NUL.
func IsText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// TimeProblem says what is wrong with a time that not every database and every form of JSON holds, as
// the rest of a sentence; "" if nothing is. The zero time stands for none, and is right.
func TimeProblem(at time.Time) string {
	if year := at.UTC().Year(); !at.IsZero() && (year < 1 || year > 9999) {
		return fmt.Sprintf("is in the year %d, and no store holds that; give a time in the years 1 to 9999 (UTC), or none", year)
	}
	return ""
}

// Problem looks at the texts and times among the fields of a struct, such as a filter, and returns the
// first that no store can hold, or that is not in the closed list of its type, by the name that the API gives it, and what is wrong as the rest of a
// sentence; "" if nothing is. It looks at every field, so that none is forgotten that comes to a filter.
func Problem(of any) (field, problem string) {
	v := reflect.ValueOf(of)
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			continue
		}
		name := v.Type().Field(i).Name
		if problem := problemOf(name, v.Field(i)); problem != "" {
			return spell(name), problem
		}
	}
	return "", ""
}

func problemOf(name string, v reflect.Value) string {
	if at, ok := v.Interface().(time.Time); ok {
		return TimeProblem(at)
	}
	switch {
	case v.Kind() == reflect.String:
		return cmp.Or(textProblem(name, v.String()), typeProblem(v.Type(), v.String()))
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String:
		for i := range v.Len() {
			if problem := textProblem(name, v.Index(i).String()); problem != "" {
				return problem
			}
		}
	}
	return ""
}

// textProblem quotes no subject, which is personal, and no note.
func textProblem(name, s string) string {
	switch {
	case IsText(s):
		return ""
	case name == "Subject" || name == "Note":
		return fmt.Sprintf("of %d bytes has a NUL or is not UTF-8, and no store holds that; correct it", len(s))
	}
	return fmt.Sprintf("%q has a NUL or is not UTF-8, and no store holds that; give it as it was stored", text.Clip(s, quoted))
}

// spell returns the name of a field as the API spells it: endpointId for EndpointID.
func spell(name string) string {
	switch name {
	case "IDs":
		return "ids"
	case "URLPart":
		return "url"
	}
	if bare, ok := strings.CutSuffix(name, "ID"); ok {
		name = bare + "Id"
	}
	return strings.ToLower(name[:1]) + name[1:]
}

// maxKey is the longest key of a Deduper, in bytes. The id of an event has 30.
const maxKey = 255

// KeyProblem says what is wrong with the key of an event that was handled.
func KeyProblem(key string) string {
	switch {
	case key == "":
		return "is empty; give the event's id"
	case len(key) > maxKey:
		return fmt.Sprintf("has %d bytes, and at most %d are allowed; give the event's id, with a short name in front if there must be one", len(key), maxKey)
	case !IsText(key):
		return fmt.Sprintf("%q has a NUL or is not UTF-8; give the event's id", text.Clip(key, quoted))
	}
	return ""
}

// Find reads what has an id. Its error names the id once, whatever a store says of it: it is none, or
// of the kind notFound, or else the store's. What no store can hold is not found.
func Find[T any](ctx context.Context, kind, id string, read func(context.Context, string) (T, error), notFound error) (found T, err error) {
	err = notFound
	if IsText(id) {
		found, err = read(ctx, id)
	}
	if errors.Is(err, notFound) {
		err = notFound
	}
	return found, fault.Explain(err, "%s %q", kind, text.Clip(id, quoted))
}
