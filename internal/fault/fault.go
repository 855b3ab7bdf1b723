// Package fault words errors: a sentence in front of one, or two joined, with the
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
