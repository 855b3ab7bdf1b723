package settings

import (
	"net/http"

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
		CreatedAt: instant(e.CreatedAt), UpdatedAt: instant(e.UpdatedAt),
	}
}

// createEndpoint takes the published body. A secret of the customer's own is
// not repeated; one that is made here can be shown this once.
func (a *api) createEndpoint(r *http.Request, organization string) (answer, error) {
	if err := readQuery(r).err(); err != nil {
		return answer{}, err
	}
	e := alotwebhook.Endpoint{OrganizationID: organization}
	var secret *string
	err := readObject(r, fields{"url": text(&e.URL), "events": texts(&e.EventTypes), "secret": optionalText(&secret)})
	if err != nil {
		return answer{}, err
	}
	if secret != nil {
		if e.Secret = alotwebhook.Secret(*secret); e.Secret == "" {
			return answer{}, invalid(fieldProblem{"secret", "is empty; leave it out to have one made"})
		}
	}
	created, err := a.dispatcher.CreateEndpoint(r.Context(), e)
	if err != nil {
		return answer{}, err
	}
	shown := showEndpoint(created)
	if secret == nil {
		shown.Secret = string(created.Secret)
	}
	return answer{http.StatusCreated, shown}, nil
}

type endpointsJSON struct {
	Endpoints  []endpointJSON `json:"endpoints"`
	NextCursor string         `json:"nextCursor,omitzero"`
}

func (a *api) listEndpoints(r *http.Request, organization string) (answer, error) {
	q := readQuery(r, "cursor", "limit")
	f, limit := alotwebhook.EndpointFilter{OrganizationID: organization, Cursor: q.cursor(endpointPrefix)}, q.limit()
	f.Limit = limit + 1 // one more tells whether there is more
	if err := q.err(); err != nil {
		return answer{}, err
	}
	list := endpointsJSON{Endpoints: []endpointJSON{}}
	for e, err := range a.dispatcher.Endpoints(r.Context(), f) {
		if err != nil {
			return answer{}, err
		}
		if len(list.Endpoints) == limit {
			list.NextCursor = list.Endpoints[limit-1].ID
			break
		}
		list.Endpoints = append(list.Endpoints, showEndpoint(e))
	}
	return answer{http.StatusOK, list}, nil
}

func (a *api) readEndpoint(r *http.Request, organization string) (answer, error) {
	if err := readQuery(r).err(); err != nil {
		return answer{}, err
	}
	e, err := a.endpoint(r, organization)
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, showEndpoint(e)}, nil
}

// endpoint returns the one of the path, if it is the organization's.
func (a *api) endpoint(r *http.Request, organization string) (alotwebhook.Endpoint, error) {
	id := r.PathValue("id")
	if !isID(endpointPrefix, id) {
		return alotwebhook.Endpoint{}, errNotFound
	}
	e, err := a.dispatcher.Endpoint(r.Context(), id)
	if err == nil && e.OrganizationID != organization {
		err = errNotFound
	}
	return e, err
}
