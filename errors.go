package alotwebhook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alot/alotwebhook/internal/fault"
	"github.com/alot/alotwebhook/internal/guard"
	"github.com/alot/alotwebhook/internal/proof"
	"github.com/alot/alotwebhook/internal/rate"
	"github.com/alot/alotwebhook/internal/storable"
)

// Short names for what most files use.
var (
	explain = fault.Explain
	isNil   = fault.IsNil
)

// ErrInvalid is the kind of every error about an input, for [errors.Is]. A [FieldError]
// names the field.
var ErrInvalid = errors.New("alotwebhook: invalid input")

// The kinds of a [LimitError], for [errors.Is].
var (
	ErrTooManyEndpoints = errors.New("alotwebhook: too many endpoints")
	ErrTooOften         = errors.New("alotwebhook: too often")
)

// ErrUnproven says that nothing is sent to an endpoint, as its URL is not proven: see [Config.ProveURLs].
// The error of [Dispatcher.ProveEndpoint] says what came back to the challenge.
var ErrUnproven = proof.ErrUnproven

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

// once counts one use of a limit by an organization, or refuses it with a [LimitError].
func once(l *rate.Limiter, organizationID string) error {
	if wait := l.Take(organizationID); wait > 0 {
		return &LimitError{Kind: ErrTooOften, Limit: l.Name, Most: l.PerMinute, RetryAfter: wait}
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

// refused returns a FieldError, or nil if there is no problem.
func refused(field, problem string) error {
	if problem == "" {
		return nil
	}
	return &FieldError{field, problem}
}

// invalid refuses the first field of a struct that no store can hold, with a [FieldError]; nil if there is none.
func invalid(of any) error { return refused(storable.Problem(of)) }

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

// checked is a store that is asked for nothing that no store can hold, and whose errors name what they are
// about once. checkedSurveyor is the same of a [Surveyor].
type (
	checked         struct{ Store }
	checkedSurveyor struct{ Surveyor }
)

func (s checked) Endpoint(ctx context.Context, id string) (Endpoint, error) {
	return storable.Find(ctx, "endpoint", id, s.Store.Endpoint, ErrNotFound)
}

func (s checked) Event(ctx context.Context, id string) (Event, error) {
	return storable.Find(ctx, "event", id, s.Store.Event, ErrNotFound)
}

func (s checked) Delivery(ctx context.Context, id string) (Delivery, error) {
	return storable.Find(ctx, "delivery", id, s.Store.Delivery, ErrNotFound)
}

func (s checked) Endpoints(ctx context.Context, f EndpointFilter) ([]Endpoint, string, error) {
	return list(ctx, f, s.Store.Endpoints)
}

func (s checked) Recoveries(ctx context.Context, f RecoveryFilter) ([]Recovery, string, error) {
	return list(ctx, f, s.Store.Recoveries)
}

func (s checked) Operations(ctx context.Context, f OperationFilter) ([]Operation, string, error) {
	return list(ctx, f, s.Store.Operations)
}

func (s checked) Deliveries(ctx context.Context, f Filter) ([]Delivery, string, error) {
	return list(ctx, f, s.Store.Deliveries)
}

// list reads a page, unless its filter is not valid.
func list[F, T any](ctx context.Context, f F, read func(context.Context, F) ([]T, string, error)) (page []T, next string, err error) {
	if err = invalid(f); err == nil {
		page, next, err = read(ctx, f)
	}
	return page, next, err
}

func (s checkedSurveyor) Totals(ctx context.Context, since time.Time) (list []Tally, err error) {
	if err = invalid(struct{ Since time.Time }{since}); err == nil {
		list, err = s.Surveyor.Totals(ctx, since)
	}
	return list, err
}

func (s checkedSurveyor) Count(ctx context.Context, r Recovery) (n Count, err error) {
	if err = invalid(r); err == nil {
		n, err = s.Surveyor.Count(ctx, r)
	}
	return n, err
}
