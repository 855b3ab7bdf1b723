package settings

import (
	"net/http"
	"time"

	"github.com/alot/alotwebhook"
)

// endpointJSON is an endpoint as the API shows it.
type endpointJSON struct {
	OrganizationID string                     `json:"organizationId,omitzero"` // in what operators read of many
	ID             string                     `json:"id"`
	URL            string                     `json:"url"`
	Description    string                     `json:"description,omitzero"`
	Events         []string                   `json:"events"`
	Rate           float64                    `json:"rate,omitzero"`
	Ordered        bool                       `json:"ordered,omitzero"`
	PayloadVersion string                     `json:"payloadVersion,omitzero"`
	Headers        []headerJSON               `json:"headers,omitzero"`
	Certificate    *certificateJSON           `json:"clientCertificate,omitzero"`
	Disabled       bool                       `json:"disabled"`
	DisabledReason alotwebhook.DisabledReason `json:"disabledReason,omitzero"`
	DisabledAt     instant                    `json:"disabledAt,omitzero"`
	FailingSince   instant                    `json:"failingSince,omitzero"`
	Paused         bool                       `json:"paused,omitzero"`         // by the host
	NextSecretFrom instant                    `json:"nextSecretFrom,omitzero"` // only while a rotation is still to come
	CreatedAt      instant                    `json:"createdAt"`
	UpdatedAt      instant                    `json:"updatedAt"`
	// Secret is only in the response to the request that had it generated.
	Secret string `json:"secret,omitzero"`
}

// shower returns the function that shows endpoints. It reads what the host has
// paused: call it before anything is changed, so that no change that was made is answered with an
// error.
func (a *api) shower(r *http.Request) (func(alotwebhook.Endpoint) endpointJSON, error) {
	paused, err := a.dispatcher.Pauses(r.Context())
	return func(e alotwebhook.Endpoint) endpointJSON {
		shown := showEndpoint(e)
		shown.Paused = !pauses(paused).since(e.OrganizationID, e.ID).IsZero()
		return shown
	}, err
}

// showEndpoint returns e as the API shows it, without its secret and what is paused.
func showEndpoint(e alotwebhook.Endpoint) endpointJSON {
	return endpointJSON{
		ID: e.ID, URL: e.URL, Description: e.Description, Events: e.EventTypes, Rate: e.Rate, Ordered: e.Ordered, PayloadVersion: e.PayloadVersion,
		Headers: showHeaders(e), Certificate: showCertificate(e),
		Disabled: e.Disabled, DisabledReason: e.DisabledReason, DisabledAt: instant(e.DisabledAt), FailingSince: instant(e.FailingSince),
		NextSecretFrom: nextSecretFrom(e),
		CreatedAt:      instant(e.CreatedAt), UpdatedAt: instant(e.UpdatedAt),
	}
}

// nextSecretFrom returns when a rotation that is still to come takes effect; zero
// if there is none.
func nextSecretFrom(e alotwebhook.Endpoint) instant {
	if e.NextSecretAt.After(time.Now()) {
		return instant(e.NextSecretAt)
	}
	return instant{}
}

// withSecret returns the endpoint with its secret, if that was generated.
func (e endpointJSON) withSecret(generated bool, secret alotwebhook.Secret) endpointJSON {
	if generated {
		e.Secret = string(secret)
	}
	return e
}

// asResponse returns a response with the endpoint and the ETag of its version.
func (e endpointJSON) asResponse(status int, version int64) response {
	return response{status: status, body: e}.with("ETag", e.etag(version))
}

// createEndpoint registers an endpoint. The response has the secret only if it was
// generated: a secret that the customer gave is not sent back.
func (a *api) createEndpoint(r *http.Request, who caller) (response, error) {
	e := alotwebhook.Endpoint{OrganizationID: who.organization}
	var secret *string
	var disabled, ordered *bool
	var rate *float64
	var own credentials
	err := readObject(r, own.fields(fields{
		"url": stringInto(&e.URL), "events": stringsInto(&e.EventTypes), "secret": optionalInto(&secret),
		"description": stringInto(&e.Description), "disabled": boolInto(&disabled),
		"rate": rateInto(&rate), "ordered": boolInto(&ordered), "payloadVersion": versionInto(&e.PayloadVersion),
	}))
	if err != nil {
		return response{}, err
	}
	if e.Secret, err = ownSecret(secret); err != nil {
		return response{}, err
	}
	e.Disabled, e.Ordered = disabled != nil && *disabled, ordered != nil && *ordered
	if rate != nil {
		e.Rate = *rate
	}
	own.apply(&e)
	show, err := a.shower(r)
	if err != nil {
		return response{}, err
	}
	created, repeated, err := a.register(r, e)
	if err != nil {
		return response{}, err
	}
	result := show(created).withSecret(secret == nil, created.Secret).asResponse(http.StatusCreated, created.Version).with("Location", a.at(r, "/"+created.ID))
	return result.repeated(repeated), nil
}

// register stores a new endpoint. If the request has a key that made an endpoint
// before, it returns that endpoint, and repeated is true.
func (a *api) register(r *http.Request, e alotwebhook.Endpoint) (created alotwebhook.Endpoint, repeated bool, err error) {
	key, err := readKey(r)
	switch {
	case err != nil:
		return alotwebhook.Endpoint{}, false, err
	case key != "":
		return a.dispatcher.CreateEndpointOnce(r.Context(), key, e)
	}
	created, err = a.dispatcher.CreateEndpoint(r.Context(), e)
	return created, false, err
}

// ownSecret returns the secret that the customer gave, or "" if none was given and
// one is to be generated.
func ownSecret(given *string) (alotwebhook.Secret, error) {
	switch {
	case given == nil:
		return "", nil
	case *given == "":
		return "", invalid(fieldProblem{"secret", "is empty; leave it out to have a secret generated"})
	}
	return alotwebhook.Secret(*given), nil
}

// endpointsJSON is a page of the list of endpoints.
type endpointsJSON struct {
	Endpoints  []endpointJSON `json:"endpoints"`
	NextCursor string         `json:"nextCursor,omitzero"`
}

func (a *api) listEndpoints(r *http.Request, who caller) (response, error) {
	q := readQuery(r, "cursor", "limit")
	list := listing{endpointPrefix, []string{who.organization}}
	limit := q.limit()
	cursor := q.place(list)
	if err := q.err(); err != nil {
		return response{}, err
	}
	found, next, err := who.endpoints(r.Context(), a.dispatcher, alotwebhook.EndpointFilter{Cursor: cursor}, limit)
	if err != nil {
		return response{}, err
	}
	show, err := a.shower(r)
	if err != nil {
		return response{}, err
	}
	page := endpointsJSON{Endpoints: make([]endpointJSON, len(found)), NextCursor: list.cursor(next)}
	for i, e := range found {
		page.Endpoints[i] = show(e)
	}
	return response{status: http.StatusOK, body: page}, nil
}

func (a *api) readEndpoint(r *http.Request, who caller) (response, error) {
	e, err := a.endpoint(r, who)
	if err != nil {
		return response{}, err
	}
	show, err := a.shower(r)
	if err != nil {
		return response{}, err
	}
	return show(e).answer(r, e.Version), nil
}

// endpoint returns the endpoint whose id is in the path, if the organization owns it.
func (a *api) endpoint(r *http.Request, who caller) (alotwebhook.Endpoint, error) {
	return who.endpoint(r.Context(), a.dispatcher, r.PathValue("id"))
}
