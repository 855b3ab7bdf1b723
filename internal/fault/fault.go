// Package fault words errors: a sentence in front of one, or several joined, with the
// module's prefix in the text once.
package fault

import (
	"fmt"
	"reflect"
	"strings"
)

// Prefix begins the text of every error of the module.
const Prefix = "alotwebhook: "

// explained is an error with a sentence in front.
type explained struct {
	what string
	err  error
}

// Explain wraps err and says what failed. It returns nil if err is.
func Explain(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &explained{what: fmt.Sprintf(format, args...), err: err}
}

func (e *explained) Error() string {
	return Prefix + e.what + ": " + strings.TrimPrefix(e.err.Error(), Prefix)
}

func (e *explained) Unwrap() error { return e.err }

// joined is an error with two causes.
type joined struct {
	first, second error
	between       string
}

// Both joins two errors, with a text between theirs.
func Both(first error, between string, second error) error {
	return &joined{first, second, between}
}

func (e *joined) Error() string {
	return e.first.Error() + e.between + strings.TrimPrefix(e.second.Error(), Prefix)
}

func (e *joined) Unwrap() []error { return []error{e.first, e.second} }

// several is an error with several causes.
type several struct{ causes []error }

// All joins errors, of which those that are nil do not count. It returns nil if all are.
func All(errs ...error) error {
	found := &several{}
	for _, err := range errs {
		if err != nil {
			found.causes = append(found.causes, err)
		}
	}
	switch len(found.causes) {
	case 0:
		return nil
	case 1:
		return found.causes[0]
	}
	return found
}

func (e *several) Error() string {
	var b strings.Builder
	for i, err := range e.causes {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(strings.TrimPrefix(err.Error(), Prefix))
	}
	return Prefix + b.String()
}

func (e *several) Unwrap() []error { return e.causes }

// Each returns all errors of a type that err is or wraps, in the order in which errors.As looks.
func Each[T error](err error) (found []T) {
	if t, ok := err.(T); ok {
		return []T{t}
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return Each[T](e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, cause := range e.Unwrap() {
			found = append(found, Each[T](cause)...)
		}
	}
	return found
}

// IsNil reports whether v is nil or holds a nil pointer, map or function, on which a
// method call would panic.
func IsNil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Map, reflect.Func, reflect.Chan, reflect.Slice, reflect.Interface:
		return r.IsNil()
	}
	return false
}

// Prefixed returns err with the module's prefix in its text.
func Prefixed(err error) error { return fmt.Errorf(Prefix+"%w", err) }
