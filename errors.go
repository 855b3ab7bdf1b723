package alotwebhook

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

const errorPrefix = "alotwebhook: "

// ErrInvalid is what every refused input is, for [errors.Is]; [FieldError] says which.
var ErrInvalid = errors.New("alotwebhook: invalid input")

// FieldError refuses one field of an input. It is an [ErrInvalid].
type FieldError struct {
	// Field is the field's name as the payload or the API spells it, such as
	// "organizationId"; "events[2].type" when several were given.
	Field string
	// Problem says what is wrong and what to do, without the value of a secret or a payload.
	Problem string
}

// Error names the field and says what is wrong.
func (e *FieldError) Error() string { return "alotwebhook: " + e.Field + " " + e.Problem }

// Is makes every FieldError an [ErrInvalid].
func (e *FieldError) Is(target error) bool { return target == ErrInvalid }

// explained puts a sentence in front of an error, with the package's prefix once.
type explained struct {
	what string
	err  error
}

// explain wraps err, saying what failed.
func explain(err error, format string, args ...any) error {
	return &explained{what: fmt.Sprintf(format, args...), err: err}
}

func (e *explained) Error() string {
	return errorPrefix + e.what + ": " + strings.TrimPrefix(e.err.Error(), errorPrefix)
}

func (e *explained) Unwrap() error { return e.err }

// twoErrors are a first error and a second, with the package's prefix once.
type twoErrors struct {
	first, second error
	between       string
}

func both(first error, between string, second error) error {
	return &twoErrors{first, second, between}
}

func (e *twoErrors) Error() string {
	return e.first.Error() + e.between + strings.TrimPrefix(e.second.Error(), errorPrefix)
}

func (e *twoErrors) Unwrap() []error { return []error{e.first, e.second} }

// isNil reports whether v is nil or holds a nil pointer, map or function, on which a
// method call would panic.
func isNil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Map, reflect.Func, reflect.Chan, reflect.Slice, reflect.Interface:
		return r.IsNil()
	}
	return false
}

// clip shortens a value that an error quotes to about 40 bytes.
func clip(s string) string { return clipTo(s, 40) }

// clipTo cuts s to at most n bytes and an ellipsis, between two characters.
func clipTo(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
