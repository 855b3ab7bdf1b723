package settings

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/fault"
	"github.com/alot/alotwebhook/internal/repeats"
)

// maxBody is the largest body of a request to the API or the pages, in bytes. It
// has room for the longest URL and the names of hundreds of event types.
const maxBody = 64 << 10

// api is the handler of the management API, or of the operators' API.
type api struct {
	dispatcher *alotwebhook.Dispatcher
	admit      admission
	logger     *slog.Logger
	protection *http.CrossOriginProtection
	repeats    repeats.Memory
	routes     []route
	document   document
	// place returns where the routes are found, and the path of the request as they have it.
	place func(*http.Request) (base, path string)
	// names says that requests name organizations, so that the host is not to blame for one that
	// cannot be.
	names bool
}

// NewAPI returns the management API as a handler. It serves the paths that begin
// with /v1/webhooks, at the root or under [http.StripPrefix], with or without a
// slash at the end. It uses [Options.Organization], [Options.May], [Options.Actor],
// [Options.Logger] and [Options.TrustedOrigins] alone.
//
// The error is a [alotwebhook.FieldError] if d or Options.Organization is missing, or if a
// trusted origin is none.
func NewAPI(d *alotwebhook.Dispatcher, opts *Options) (http.Handler, error) {
	if err := checkHost(d, opts); err != nil {
		return nil, err
	}
	a, err := newAPI(d, opts.Logger, opts.TrustedOrigins)
	if err != nil {
		return nil, err
	}
	a.admit = opts.admit
	a.place = func(r *http.Request) (base, path string) { return webhooksPath, r.URL.Path }
	a.routes = a.table()
	if a.document, err = describe(d.EventTypes()); err != nil {
		return nil, err
	}
	return a, nil
}

// webhooksPath is what the paths of the management API begin with.
const webhooksPath = "/v1/webhooks"

// newAPI returns an API that has no routes yet.
func newAPI(d *alotwebhook.Dispatcher, logger *slog.Logger, trustedOrigins []string) (*api, error) {
	protection, err := protect(trustedOrigins)
	if err != nil {
		return nil, err
	}
	return &api{dispatcher: d, logger: cmp.Or(logger, d.Logger()), protection: protection}, nil
}

// operation handles a request that was allowed. r.PathValue("id") is the id in the path.
type operation func(r *http.Request, who caller) (response, error)

// route is a method and a path that the API serves, and what a request has to be allowed.
type route struct {
	method, pattern string
	needs           needs
	act             operation
	repeat          repeat
}

// table lists the routes. An [http.ServeMux] cannot hold them: it panics because
// "deliveries/{id}" and "{id}/deliveries" overlap. Its redirects would also lead to
// paths without the prefix that the host stripped.
func (a *api) table() []route {
	return []route{
		{http.MethodPost, "/v1/webhooks", toAdd, plain(a.createEndpoint), actsOnce},
		{http.MethodGet, "/v1/webhooks", toLook, a.listEndpoints, asIs},
		{http.MethodGet, "/v1/webhooks/operations", toLook, a.listOperations, asIs},
		{http.MethodGet, "/v1/webhooks/event-types", toLook, plain(a.listEventTypes), asIs},
		{http.MethodGet, "/v1/webhooks/openapi.json", toLook, plain(a.readOpenAPI), asIs},
		{http.MethodGet, "/v1/webhooks/events", toLook, a.listEvents, asIs},
		{http.MethodGet, "/v1/webhooks/events/{id}", toLook, plain(a.readEvent), asIs},
		{http.MethodGet, "/v1/webhooks/deliveries", toLook, a.listAllDeliveries, asIs},
		{http.MethodGet, "/v1/webhooks/deliveries/{id}", toLook, plain(a.readDelivery), asIs},
		{http.MethodPost, "/v1/webhooks/deliveries/{id}/redeliver", toSend, plain(a.redeliver), remembered(a.redelivered)},
		{http.MethodGet, "/v1/webhooks/{id}", toLook, plain(a.readEndpoint), asIs},
		{http.MethodPatch, "/v1/webhooks/{id}", toChange, plain(a.updateEndpoint), asIs},
		{http.MethodDelete, "/v1/webhooks/{id}", toChange, plain(a.deleteEndpoint), asIs},
		{http.MethodPost, "/v1/webhooks/{id}/rotate-secret", toRotate, plain(a.rotateSecret), actsOnce},
		{http.MethodPost, "/v1/webhooks/{id}/enable", toChange, plain(a.enableEndpoint), remembered(a.readEndpoint)},
		{http.MethodPost, "/v1/webhooks/{id}/prove", toChange, plain(a.proveEndpoint), asIs},
		{http.MethodPost, "/v1/webhooks/{id}/test", toSend, plain(a.sendTest), actsOnce},
		{http.MethodPost, "/v1/webhooks/{id}/recover", toSend, plain(a.beginRecovery), remembered(a.recovering)},
		{http.MethodGet, "/v1/webhooks/{id}/recover", toLook, plain(a.readRecovery), asIs},
		{http.MethodDelete, "/v1/webhooks/{id}/recover", toSend, plain(a.stopRecovery), asIs},
		{http.MethodPost, "/v1/webhooks/{id}/send-missed", toSend, plain(a.sendMissed), remembered(a.recovering)},
		{http.MethodGet, "/v1/webhooks/{id}/deliveries", toLook, a.listDeliveries, asIs},
	}
}

// plain wraps an operation that takes no query parameters, and refuses any.
func plain(act operation) operation {
	return func(r *http.Request, who caller) (response, error) {
		if err := readQuery(r).err(); err != nil {
			return response{}, err
		}
		return act(r, who)
	}
}

// ServeHTTP implements [http.Handler].
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	result, err := a.serve(w, r)
	if err == nil {
		result.write(w, "application/json")
		return
	}
	p := a.explain(r, err)
	response{status: p.Status, body: p, header: p.header}.write(w, "application/problem+json")
}

func (a *api) serve(w http.ResponseWriter, r *http.Request) (response, error) {
	if !isExempt(r) && a.protection.Check(r) != nil {
		return response{}, errCrossOrigin
	}
	r, who, err := a.admit(r)
	if err != nil {
		return response{}, errUnauthenticated
	}
	rt, err := a.find(r)
	switch {
	case err != nil:
		return response{}, err
	case !rt.needs.met(who.may):
		return response{}, notAllowed(rt.needs.missing(who.may))
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	result, err := a.once(rt, r, who)
	if err != nil {
		return response{}, &failure{who.organization, err}
	}
	return result, nil
}

// find returns the route of the request and sets the path's id as PathValue("id").
func (a *api) find(r *http.Request) (*route, error) {
	_, path := a.place(r)
	path = strings.Trim(path, "/")
	var allowed []string
	for i := range a.routes {
		rt := &a.routes[i]
		id, ok := matchPath(rt.pattern, path)
		if ok && rt.method == methodOf(r) {
			r.SetPathValue("id", id)
			return rt, nil
		}
		if ok {
			allowed = append(allowed, rt.method)
		}
	}
	if allowed == nil {
		return nil, errNotFound
	}
	return nil, methodNotAllowed(allowed)
}

// failure is the error of an operation with the organization of the request, for the
// log.
type failure struct {
	organization string
	err          error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// explain returns the problem that the customer gets for an error. An error that the
// customer cannot mend is logged, and its problem says nothing about it.
func (a *api) explain(r *http.Request, err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	var limit *alotwebhook.LimitError
	switch {
	case errors.Is(err, alotwebhook.ErrNotFound):
		return errNotFound
	case errors.As(err, &limit):
		return overLimit(limit)
	case errors.Is(err, alotwebhook.ErrConflict):
		return errBusy
	case errors.Is(err, alotwebhook.ErrRecovering):
		return errRecovering
	case errors.Is(err, alotwebhook.ErrUnproven):
		return newProblem(http.StatusConflict, unproven(err, "The endpoint's URL is not proven yet, so nothing is sent to it. Prove it first, with POST to prove."))
	case errors.Is(err, alotwebhook.ErrKeyReused):
		return errKeyReused
	case errors.Is(err, alotwebhook.ErrInvalid) && a.canMend(err):
		return invalid(problemsOf(err)...)
	case errors.Is(err, errors.ErrUnsupported):
		return errUnsupported
	case r.Context().Err() == nil: // the client is still there
		a.logFailure(r, err)
	}
	return errInternal
}

// canMend reports whether an error is about fields that the client has given.
func (a *api) canMend(err error) bool {
	problems := problemsOf(err)
	return len(problems) > 0 && (a.names || !slices.ContainsFunc(problems, func(p fieldProblem) bool { return p.Field == "organizationId" }))
}

// problemsOf returns what a dispatcher's error says of each field.
func problemsOf(err error) (problems []fieldProblem) {
	for _, field := range fault.Each[*alotwebhook.FieldError](err) {
		problems = append(problems, fieldProblem{field.Field, field.Problem})
	}
	return problems
}

func (a *api) logFailure(r *http.Request, err error) {
	attrs := []any{"method", r.Method, "path", r.URL.Path, "error", err}
	var f *failure
	if errors.As(err, &f) {
		attrs = append(attrs, "organization", f.organization)
	}
	a.logger.ErrorContext(r.Context(), "alotwebhook: settings request failed", attrs...)
}
