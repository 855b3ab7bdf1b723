package settings

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/alot/alotwebhook"
)

// operatorPath is what the paths of the operators' API begin with.
const operatorPath = "/v1/operator"

// operatorAPI is the handler of the operators' API.
type operatorAPI struct {
	over      *api // the routes over all organizations
	customers *api // those of one organization: its management API
}

// operators are the handlers of the routes over all organizations.
type operators struct {
	*api
	surveys *surveys
}

// NewOperatorAPI returns the operators' API as a handler: what the people who run the host see and
// do over all organizations. It serves the paths that begin with /v1/operator, at the root or under
// [http.StripPrefix]. It uses [OperatorOptions.Operator], [OperatorOptions.May],
// [OperatorOptions.Logger] and [OperatorOptions.TrustedOrigins] alone.
//
//	GET    /v1/operator/overview          what is late, failing, disabled and flooding; 24 hours; the processes
//	GET    /v1/operator/endpoints         search endpoints
//	GET    /v1/operator/deliveries        search deliveries, newest first
//	GET    /v1/operator/deliveries/{id}   read a delivery with its attempts and payload
//	GET    /v1/operator/operations        list what happened, and who did it, newest first
//	GET    /v1/operator/pauses            list what is paused
//	POST   /v1/operator/pauses            pause an endpoint, an organization, or all
//	POST   /v1/operator/resume            end a pause
//	GET    /v1/operator/recoveries        list the recoveries over many endpoints
//	POST   /v1/operator/recoveries        send failed deliveries again, cancel unfinished ones, count either, erase or remove
//	GET    /v1/operator/recoveries/{id}   read how far it is
//	DELETE /v1/operator/recoveries/{id}   stop it
//	GET    /v1/operator/openapi.json      read the OpenAPI 3.1 document: see [OperatorOpenAPI]
//
// Below /v1/operator/organizations/{organizationId}/webhooks is the management API of that
// organization, with the rights that the operator has: see [NewAPI]. The id is one segment of the
// path, percent-encoded; before ".", ".." and an id that begins with "~" stands a further "~",
// because clients and proxies resolve dots also where they are encoded.
//
// It reads and writes as the management API does. The error is a [alotwebhook.FieldError] if d,
// Operator or May is missing, or if a trusted origin is none.
func NewOperatorAPI(d *alotwebhook.Dispatcher, opts *OperatorOptions) (http.Handler, error) {
	if err := opts.check(d); err != nil {
		return nil, err
	}
	over, err := newAPI(d, opts.Logger, opts.TrustedOrigins)
	if err != nil {
		return nil, err
	}
	customers := &api{dispatcher: d, logger: over.logger, protection: over.protection}
	customers.admit = func(r *http.Request) (*http.Request, caller, error) {
		r, who, err := opts.visitor(r)
		who.organization, _, _ = organizationPath(r)
		return r, who, err
	}
	customers.place = func(r *http.Request) (base, path string) {
		organization, path, _ := organizationPath(r)
		return operatorPath + "/organizations/" + organizationSegment(organization) + "/webhooks", path
	}
	customers.routes = customers.table()
	if customers.document, err = describe(d.EventTypes()); err != nil {
		return nil, err
	}
	over.admit = opts.visitor
	over.place = func(r *http.Request) (base, path string) { return operatorPath, r.URL.Path }
	over.names = true
	o := &operators{api: over, surveys: &surveys{dispatcher: d}}
	if over.document, err = describeOperators(); err != nil {
		return nil, err
	}
	over.routes = o.table()
	return &operatorAPI{over, customers}, nil
}

// table lists the routes over all organizations. Those that begin or stop a recovery take further
// rights, by what the recovery does: see manyActions.
func (o *operators) table() []route {
	return []route{
		{http.MethodGet, "/v1/operator/overview", toLook, plain(o.overview), asIs},
		{http.MethodGet, "/v1/operator/endpoints", toLook, o.searchEndpoints, asIs},
		{http.MethodGet, "/v1/operator/deliveries", toLook, o.searchDeliveries, asIs},
		{http.MethodGet, "/v1/operator/deliveries/{id}", toLook, plain(o.readDelivery), asIs},
		{http.MethodGet, "/v1/operator/operations", toLook, o.searchOperations, asIs},
		{http.MethodGet, "/v1/operator/pauses", toLook, plain(o.listPauses), asIs},
		{http.MethodPost, "/v1/operator/pauses", toPause, plain(o.pause), remembered(o.paused)},
		{http.MethodPost, "/v1/operator/resume", toPause, plain(o.resume), remembered(done)},
		{http.MethodGet, "/v1/operator/recoveries", toLook, o.listRecoveries, asIs},
		{http.MethodPost, "/v1/operator/recoveries", toLook, plain(o.beginMany), remembered(o.beganMany)},
		{http.MethodGet, "/v1/operator/recoveries/{id}", toLook, plain(o.readMany), asIs},
		{http.MethodDelete, "/v1/operator/recoveries/{id}", toLook, plain(o.stopMany), asIs},
		{http.MethodGet, "/v1/operator/openapi.json", toLook, plain(o.readOpenAPI), asIs},
	}
}

// ServeHTTP implements [http.Handler].
func (o *operatorAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, _, ok := organizationPath(r); ok {
		o.customers.ServeHTTP(w, r)
		return
	}
	o.over.ServeHTTP(w, r)
}

// organizationPath returns the organization that the path names, and what the path would be in the
// organization's own API. ok is false if the path names none.
func organizationPath(r *http.Request) (organization, path string, ok bool) {
	given := segments(r.URL.EscapedPath())
	if len(given) < 5 || !hasPrefix(given, segments(operatorPath+"/organizations")) || given[4] != "webhooks" {
		return "", "", false
	}
	organization, ok = organizationIn(given[3])
	return organization, webhooksPath + "/" + unescape(given[5:]), ok
}

// done responds to a repeated request that has nothing more to say.
func done(*http.Request, caller) (response, error) {
	return response{status: http.StatusNoContent}, nil
}

// selector is what a body selects deliveries by.
type selector struct{ organization, endpoint string }

// into adds the fields that read the selector.
func (s *selector) into(want fields) fields {
	want["organizationId"] = stringInto(&s.organization)
	want["endpointId"] = idInto(&s.endpoint, endpointPrefix)
	return want
}

// idInto reads an id with the prefix.
func idInto(into *string, prefix string) readValue {
	return func(name string, value json.RawMessage) []fieldProblem {
		if errs := stringInto(into)(name, value); errs != nil {
			return errs
		}
		if !isID(prefix, *into) {
			return []fieldProblem{{name, "must be an id such as " + prefix + "01jcc7…"}}
		}
		return nil
	}
}

// noteInto reads why something is done. White space around it is left out.
func noteInto(into *string) readValue {
	return func(name string, value json.RawMessage) []fieldProblem {
		errs := stringInto(into)(name, value)
		*into = strings.TrimSpace(*into)
		return errs
	}
}
