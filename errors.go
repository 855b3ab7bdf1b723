package alotwebhook

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/alot/alotwebhook/internal/guard"
	"github.com/alot/alotwebhook/internal/rate"
	"github.com/alot/alotwebhook/internal/text"
)

const errorPrefix = "alotwebhook: "

// ErrInvalid is the kind of every error about an input, for [errors.Is]. A [FieldError]
// names the field.
var ErrInvalid = errors.New("alotwebhook: invalid input")

// The kinds of a [LimitError], for [errors.Is].
var (
	ErrTooManyEndpoints = errors.New("alotwebhook: too many endpoints")
	ErrTooOften         = errors.New("alotwebhook: too often")
)

// LimitError refuses what goes over a limit that [Config] sets to every organization.
type LimitError struct {
	// Kind is [ErrTooManyEndpoints] or [ErrTooOften].
	Kind error
	// Limit is the name of the limit's field in [Config], and Most its value.
	Limit string
	Most  int
	// RetryAfter is how long to wait until there is room again; 0 if waiting does not help.
	RetryAfter time.Duration
}

// Error names the limit and says what to do.
func (e *LimitError) Error() string {
	if e.RetryAfter == 0 {
		return fmt.Sprintf("%v: the organization has the %d that Config.%s allows, or more; delete one that is not needed any more", e.Kind, e.Most, e.Limit)
	}
	return fmt.Sprintf("%v: Config.%s allows the organization %d; try again in %v", e.Kind, e.Limit, e.Most, e.RetryAfter)
}

// Unwrap returns the kind.
func (e *LimitError) Unwrap() error { return e.Kind }

// rateLimit is how often an organization may do something, by a field of [Config].
type rateLimit struct {
	uses      *rate.Limiter // by organization
	field     string
	perMinute int
}

func newRateLimit(field string, perMinute int) rateLimit {
	return rateLimit{rate.PerMinute(perMinute), field, perMinute}
}

// take counts one use, or refuses it with a [LimitError].
func (r rateLimit) take(organizationID string) error {
	if wait := r.uses.Take(organizationID); wait > 0 {
		return &LimitError{Kind: ErrTooOften, Limit: r.field, Most: r.perMinute, RetryAfter: wait}
	}
	return nil
}

// FieldError refuses one field of an input. It is an [ErrInvalid] for [errors.Is].
type FieldError struct {
	// Field is the field's name as the payload, the API or [Config] spells it, such as
	// "organizationId"; "events[2].type" if several events were given.
	Field string
	// Problem says what is wrong and what to do, after the field's name. It never quotes
	// a secret or a payload.
	Problem string
}

// Error names the field and says what is wrong.
func (e *FieldError) Error() string { return "alotwebhook: " + e.Field + " " + e.Problem }

// Is makes every FieldError an [ErrInvalid].
func (e *FieldError) Is(target error) bool { return target == ErrInvalid }

// fieldError turns a refusal of package guard into a [FieldError]. It returns every
// other error, and nil, as it is.
func fieldError(err error) error {
	var refusal *guard.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	field := &FieldError{Field: refusal.Field, Problem: refusal.Problem}
	if refusal.Blocked {
		return blockedURL{field}
	}
	return field
}

// blockedURL refuses a URL for the address in it.
type blockedURL struct{ *FieldError }

func (e blockedURL) Unwrap() []error { return []error{e.FieldError, ErrBlockedAddress} }

// explained is an error with a sentence in front. The package's prefix stands in its
// text once.
type explained struct {
	what string
	err  error
}

// explain wraps err and says what failed.
func explain(err error, format string, args ...any) error {
	return &explained{what: fmt.Sprintf(format, args...), err: err}
}

func (e *explained) Error() string {
	return errorPrefix + e.what + ": " + strings.TrimPrefix(e.err.Error(), errorPrefix)
}

func (e *explained) Unwrap() error { return e.err }

// twoErrors is an error with two causes. The package's prefix stands in its text once.
type twoErrors struct {
	first, second error
	between       string
}

// both joins two errors, with a text between theirs.
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
func clip(s string) string { return text.Clip(s, 40) }
