package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
)

// maxBody is the largest body of a request, in bytes: room for the longest URL
// and a catalogue of hundreds of types.
const maxBody = 64 << 10

type api struct {
	dispatcher   *alotwebhook.Dispatcher
	organization func(*http.Request) (string, error)
	logger       *slog.Logger
	protection   *http.CrossOriginProtection
	repeats      repeats
	routes       []route
	document     document
}

// action answers a request of an organization; the id of the path is PathValue("id").
type action func(r *http.Request, organization string) (answer, error)

// answer is what an action has to say.
type answer struct {
	status int
	body   any // encoded as JSON; nil for none
	header http.Header
}

func (a answer) with(header, value string) answer {
	if a.header == nil {
		a.header = http.Header{}
	}
	a.header.Set(header, value)
	return a
}

// repeated marks an answer to a request that came before.
func (a answer) repeated(before bool) answer {
	if before {
		return a.with("Idempotency-Replayed", "true")
	}
	return a
}

type route struct {
	method, pattern string
	act             action
	repeat          repeat
}

// table lists the routes. An [http.ServeMux] cannot hold them: of
// "deliveries/{id}" and "{id}/deliveries" it takes neither for the more special
// one. It would redirect, too, and so to a path that lacks the prefix which was
// stripped.
func (a *api) table() []route {
	return []route{
		{http.MethodPost, "/v1/webhooks", plain(a.createEndpoint), actsOnce},
		{http.MethodGet, "/v1/webhooks", a.listEndpoints, asIs},
		{http.MethodGet, "/v1/webhooks/event-types", plain(a.listEventTypes), asIs},
		{http.MethodGet, "/v1/webhooks/openapi.json", plain(a.readOpenAPI), asIs},
		{http.MethodGet, "/v1/webhooks/deliveries/{id}", plain(a.readDelivery), asIs},
		{http.MethodPost, "/v1/webhooks/deliveries/{id}/redeliver", plain(a.redeliver), remembered},
		{http.MethodGet, "/v1/webhooks/{id}", plain(a.readEndpoint), asIs},
		{http.MethodPatch, "/v1/webhooks/{id}", plain(a.updateEndpoint), asIs},
		{http.MethodDelete, "/v1/webhooks/{id}", plain(a.deleteEndpoint), asIs},
		{http.MethodPost, "/v1/webhooks/{id}/rotate-secret", plain(a.rotateSecret), actsOnce},
		{http.MethodPost, "/v1/webhooks/{id}/test", plain(a.sendTest), actsOnce},
		{http.MethodPost, "/v1/webhooks/{id}/recover", plain(a.beginRecovery), remembered},
		{http.MethodGet, "/v1/webhooks/{id}/recover", plain(a.readRecovery), asIs},
		{http.MethodDelete, "/v1/webhooks/{id}/recover", plain(a.stopRecovery), asIs},
		{http.MethodGet, "/v1/webhooks/{id}/deliveries", a.listDeliveries, asIs},
	}
}

// plain is an action without parameters in the query.
func plain(act action) action {
	return func(r *http.Request, organization string) (answer, error) {
		if err := readQuery(r).err(); err != nil {
			return answer{}, err
		}
		return act(r, organization)
	}
}

// ServeHTTP implements [http.Handler].
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	result, err := a.serve(w, r)
	if err == nil {
		write(w, "application/json", result)
		return
	}
	p := a.explain(r, err)
	for name, value := range p.header {
		w.Header()[name] = value
	}
	write(w, "application/problem+json", answer{p.Status, p, nil})
}

func (a *api) serve(w http.ResponseWriter, r *http.Request) (answer, error) {
	organization, err := a.organization(r)
	if err != nil || organization == "" {
		return answer{}, errUnauthenticated
	}
	if r.Header.Get("Authorization") == "" && a.protection.Check(r) != nil {
		return answer{}, errCrossOrigin
	}
	rt, err := a.find(r)
	if err != nil {
		return answer{}, err
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	result, err := a.once(rt, r, organization)
	if err != nil {
		return answer{}, &failure{organization, err}
	}
	return result, nil
}

// failure is an action's error, and whose request it was.
type failure struct {
	organization string
	err          error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// find returns the route of the request and sets the id of the path.
func (a *api) find(r *http.Request) (*route, error) {
	path := strings.Trim(r.URL.Path, "/")
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
	return nil, methodNotAllowed(r.Method, allowed)
}

// write sends an answer. Secrets and personal data may be in it: no cache keeps it.
func write(w http.ResponseWriter, contentType string, a answer) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	for name, value := range a.header {
		h[name] = value
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // an & in a URL stays readable; nosniff keeps it from being HTML
	if err := enc.Encode(a.body); err != nil {
		panic(err) // the answers of this package always encode
	}
	h.Set("Content-Type", contentType)
	w.WriteHeader(a.status)
	_, _ = w.Write(body.Bytes()) // nobody is left to tell
}

// explain turns an error into what the customer may know, and logs what only
// the host should.
func (a *api) explain(r *http.Request, err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	var field *alotwebhook.FieldError
	switch {
	case errors.Is(err, alotwebhook.ErrNotFound):
		return errNotFound
	case errors.Is(err, alotwebhook.ErrConflict):
		return errBusy
	case errors.Is(err, alotwebhook.ErrRecovering):
		return errRecovering
	case errors.Is(err, alotwebhook.ErrKeyReused):
		return errKeyReused
	case errors.As(err, &field) && field.Field != "organizationId": // that one is the host's
		return invalid(fieldProblem{field.Field, field.Problem})
	case r.Context().Err() == nil: // otherwise the caller hung up
		a.logFailure(r, err)
	}
	return errInternal
}

func (a *api) logFailure(r *http.Request, err error) {
	attrs := []any{"method", r.Method, "path", r.URL.Path, "error", err}
	var f *failure
	if errors.As(err, &f) {
		attrs = append(attrs, "organization", f.organization)
	}
	a.logger.ErrorContext(r.Context(), "alotwebhook: settings request failed", attrs...)
}

// at is the path of something of this API as the caller finds it, with what
// the host took off the beginning.
func at(r *http.Request, path string) string {
	stripped := strings.Join(strippedFrom(r, segments(r.URL.EscapedPath())), "/")
	return rooted(stripped) + path
}

// instant is a time in the one form that the API has: UTC, three decimals.
type instant time.Time

func (t instant) IsZero() bool { return time.Time(t).IsZero() }

func (t instant) MarshalJSON() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
}
