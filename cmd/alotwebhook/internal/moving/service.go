package moving

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// These are what the paths of the two APIs end with.
const (
	customersPath = "/v1/webhooks"
	operatorsPath = "/v1/operator"
)

// Service is the management API of a host of this library: a customer's, which speaks for one
// organization, or the operators', which speaks for all.
type Service struct {
	client    *Client
	base      string
	operators bool
}

// NewService returns the API at a URL that ends with /v1/webhooks or /v1/operator.
func NewService(c *Client, base string) (*Service, error) {
	base = strings.TrimRight(base, "/")
	s := &Service{client: c, base: base, operators: strings.HasSuffix(base, operatorsPath)}
	if !s.operators && !strings.HasSuffix(base, customersPath) {
		return nil, fmt.Errorf("the API is at a URL that ends with %s, or with %s for all organizations", customersPath, operatorsPath)
	}
	return s, nil
}

// KnowsOrganizations reports whether the API is told for which organization a request speaks.
func (s *Service) KnowsOrganizations() bool { return s.operators }

// at returns where the API of an organization is. Its id is one segment of the path; a client
// would resolve dots also if they are encoded.
func (s *Service) at(organization string) string {
	if !s.operators {
		return s.base
	}
	if organization == "." || organization == ".." || strings.HasPrefix(organization, "~") {
		organization = "~" + organization
	}
	return s.base + "/organizations/" + url.PathEscape(organization) + "/webhooks"
}

// registered is an endpoint as the API shows it.
type registered struct {
	Organization string   `json:"organizationId"`
	ID           string   `json:"id"`
	URL          string   `json:"url"`
	Description  string   `json:"description"`
	Events       []string `json:"events"`
	Disabled     bool     `json:"disabled"`
	Ordered      bool     `json:"ordered"`
	Rate         float64  `json:"rate"`
	Secret       string   `json:"secret"` // only of a request that had it generated

	PayloadVersion string   `json:"payloadVersion"`
	Headers        []Header `json:"headers"` // without values
	Certificate    *struct {
		Subject string `json:"subject"`
	} `json:"clientCertificate"`

	etag string
}

// endpoints lists those of an organization, or of all for "" in the operators' API.
func (s *Service) endpoints(ctx context.Context, organization string) (found []registered, err error) {
	list := s.at(organization)
	if s.operators && organization == "" {
		list = s.base + "/endpoints"
	}
	for query := (url.Values{"limit": {"100"}}); ; {
		var page struct {
			Endpoints  []registered `json:"endpoints"`
			NextCursor string       `json:"nextCursor"`
		}
		if _, err := s.client.Get(ctx, list+"?"+query.Encode(), &page); err != nil {
			return nil, err
		}
		found = append(found, page.Endpoints...)
		if page.NextCursor == "" {
			return found, nil
		}
		query.Set("cursor", page.NextCursor)
	}
}

// Export returns the endpoints of the API, without their secrets: nobody can read these.
func (s *Service) Export(ctx context.Context) ([]Endpoint, error) {
	found, err := s.endpoints(ctx, "")
	exported := make([]Endpoint, len(found))
	for i, r := range found {
		exported[i] = Endpoint{
			Organization: r.Organization, ID: r.ID, URL: r.URL, Description: r.Description, Events: r.Events,
			Disabled: r.Disabled, Ordered: r.Ordered, Rate: r.Rate, PayloadVersion: r.PayloadVersion, Headers: r.Headers,
		}
		if r.Certificate != nil {
			exported[i].lacks("its client certificate (%s), whose key no API shows: give it again afterwards", r.Certificate.Subject)
		}
	}
	return exported, err
}

// eventType is a type of the catalogue.
type eventType struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// catalogue is what an endpoint can subscribe to.
type catalogue struct {
	EventTypes      []eventType `json:"eventTypes"`
	Wildcards       bool        `json:"wildcards"`
	PayloadVersions []string    `json:"payloadVersions"`
}

func (s *Service) eventTypes(ctx context.Context, organization string) (*catalogue, error) {
	var list catalogue
	_, err := s.client.Get(ctx, s.at(organization)+"/event-types", &list)
	return &list, err
}

// endpoint reads one; found is false if there is none.
func (s *Service) endpoint(ctx context.Context, organization, id string) (r registered, found bool, err error) {
	header, err := s.client.Get(ctx, s.at(organization)+"/"+url.PathEscape(id), &r)
	if isStatus(err, http.StatusNotFound) {
		return r, false, nil
	}
	r.etag = header.Get("Etag")
	return r, err == nil, err
}

// create registers an endpoint. A repeated call with the key finds what the first one made, for
// 24 hours.
func (s *Service) create(ctx context.Context, e *Endpoint, key string, want state) (r registered, err error) {
	body := struct {
		state
		Headers []Header `json:"headers,omitempty"`
		Secret  string   `json:"secret,omitempty"`
	}{want, e.Headers, e.Secret}
	header, err := s.client.do(ctx, http.MethodPost, s.at(e.Organization), http.Header{"Idempotency-Key": {key}}, body, &r)
	r.etag = header.Get("Etag")
	return r, err
}

// update changes an endpoint that has the known ETag still. Its headers are replaced, unless it had
// and has none of the import.
func (s *Service) update(ctx context.Context, e *Endpoint, known *entry, to state) (r registered, err error) {
	body := struct {
		state
		Headers *[]Header `json:"headers,omitempty"`
	}{state: to}
	if len(e.Headers) > 0 || known.HeadersTrace != "" {
		list := append([]Header{}, e.Headers...)
		body.Headers = &list
	}
	header, err := s.client.do(ctx, http.MethodPatch, s.at(e.Organization)+"/"+url.PathEscape(known.ID), http.Header{"If-Match": {known.ETag}}, body, &r)
	r.etag = header.Get("Etag")
	return r, err
}

// rotate has an endpoint sign with a secret at once. Nothing happens if it does already.
func (s *Service) rotate(ctx context.Context, organization, id, key, secret string) (r registered, err error) {
	header, err := s.client.do(ctx, http.MethodPost, s.at(organization)+"/"+url.PathEscape(id)+"/rotate-secret",
		http.Header{"Idempotency-Key": {key}}, map[string]string{"secret": secret}, &r)
	r.etag = header.Get("Etag")
	return r, err
}

// ends reports whether an error leaves no hope for the requests after it: the API is not reached,
// does not know whom it speaks to, or fails itself.
func ends(err error) bool {
	var e *StatusError
	if !errors.As(err, &e) {
		return true
	}
	return e.Status >= 500 || isStatus(err, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests)
}
