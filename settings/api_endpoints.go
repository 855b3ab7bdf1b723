package settings

import (
	"net/http"
	"time"

	"github.com/alot/alotwebhook"
)

const endpointPrefix = "wh_"

// endpointJSON is an endpoint as the API shows it.
type endpointJSON struct {
	ID             string                     `json:"id"`
	URL            string                     `json:"url"`
	Description    string                     `json:"description,omitzero"`
	Events         []string                   `json:"events"`
	Disabled       bool                       `json:"disabled"`
	DisabledReason alotwebhook.DisabledReason `json:"disabledReason,omitzero"`
	FailingSince   instant                    `json:"failingSince,omitzero"`
	NextSecretFrom instant                    `json:"nextSecretFrom,omitzero"` // of a rotation to come
	CreatedAt      instant                    `json:"createdAt"`
	UpdatedAt      instant                    `json:"updatedAt"`
	// Secret is only there in the answer to the request that made it.
	Secret string `json:"secret,omitzero"`
}

// showEndpoint leaves out the secret, whatever e holds.
func showEndpoint(e alotwebhook.Endpoint) endpointJSON {
	return endpointJSON{
		ID: e.ID, URL: e.URL, Description: e.Description, Events: e.EventTypes,
		Disabled: e.Disabled, DisabledReason: e.DisabledReason, FailingSince: instant(e.FailingSince),
		NextSecretFrom: nextSecretFrom(e),
		CreatedAt:      instant(e.CreatedAt), UpdatedAt: instant(e.UpdatedAt),
	}
}

func nextSecretFrom(e alotwebhook.Endpoint) instant {
	if e.NextSecretAt.After(time.Now()) {
		return instant(e.NextSecretAt)
	}
	return instant{}
}

// asAnswer is an endpoint with the version that If-Match goes by.
func (e endpointJSON) asAnswer(status int, version int64) answer {
	return answer{status: status, body: e}.with("ETag", etag(version))
}

// createEndpoint takes the published body. A secret of the customer's own is
// not repeated; one that is made here can be shown this once.
func (a *api) createEndpoint(r *http.Request, organization string) (answer, error) {
	e := alotwebhook.Endpoint{OrganizationID: organization}
	var secret *string
	var disabled *bool
	err := readObject(r, fields{
		"url": text(&e.URL), "events": texts(&e.EventTypes), "secret": optionalText(&secret),
		"description": text(&e.Description), "disabled": truth(&disabled),
	})
	if err != nil {
		return answer{}, err
	}
	if e.Secret, err = ownSecret(secret); err != nil {
		return answer{}, err
	}
	e.Disabled = disabled != nil && *disabled
	created, repeated, err := a.register(r, e)
	if err != nil {
		return answer{}, err
	}
	shown := showEndpoint(created)
	if secret == nil {
		shown.Secret = string(created.Secret)
	}
	result := shown.asAnswer(http.StatusCreated, created.Version).with("Location", at(r, "/v1/webhooks/"+created.ID))
	return result.repeated(repeated), nil
}

// register does it once for each key.
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

// ownSecret is the customer's, or "" if one is to be made.
func ownSecret(given *string) (alotwebhook.Secret, error) {
	switch {
	case given == nil:
		return "", nil
	case *given == "":
		return "", invalid(fieldProblem{"secret", "is empty; leave it out to have one made"})
	}
	return alotwebhook.Secret(*given), nil
}

type endpointsJSON struct {
	Endpoints  []endpointJSON `json:"endpoints"`
	NextCursor string         `json:"nextCursor,omitzero"`
}

func (a *api) listEndpoints(r *http.Request, organization string) (answer, error) {
	q := readQuery(r, "cursor", "limit")
	list := listing{endpointPrefix, []string{organization}}
	limit := q.limit()
	cursor := q.place(list)
	if err := q.err(); err != nil {
		return answer{}, err
	}
	found, next, err := endpointsOf(r.Context(), a.dispatcher, organization, cursor, limit)
	if err != nil {
		return answer{}, err
	}
	page := endpointsJSON{Endpoints: make([]endpointJSON, len(found)), NextCursor: list.cursor(next)}
	for i, e := range found {
		page.Endpoints[i] = showEndpoint(e)
	}
	return answer{status: http.StatusOK, body: page}, nil
}

func (a *api) readEndpoint(r *http.Request, organization string) (answer, error) {
	e, err := a.endpoint(r, organization)
	if err != nil {
		return answer{}, err
	}
	return showEndpoint(e).asAnswer(http.StatusOK, e.Version), nil
}

// endpoint returns the one of the path, if it is the organization's.
func (a *api) endpoint(r *http.Request, organization string) (alotwebhook.Endpoint, error) {
	return endpointOf(r.Context(), a.dispatcher, organization, r.PathValue("id"))
}
