package webhookclient

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"time"
)

// Endpoint is a URL of yours that receives events.
type Endpoint struct {
	ID             string    `json:"id"`
	URL            string    `json:"url"`
	Description    string    `json:"description"`
	Events         []string  `json:"events"` // the event types that it subscribes to
	Disabled       bool      `json:"disabled"`
	DisabledReason string    `json:"disabledReason"`
	DisabledAt     time.Time `json:"disabledAt"`
	FailingSince   time.Time `json:"failingSince"`
	Paused         bool      `json:"paused"`
	Rate           float64   `json:"rate"` // requests a second; 0 for no limit of its own
	Ordered        bool      `json:"ordered"`
	NextSecretFrom time.Time `json:"nextSecretFrom"`
	CreatedAt      time.Time `json:"createdAt"`
	UpdatedAt      time.Time `json:"updatedAt"`
	// PayloadVersion is that of the payloads that it gets; "" if there are none, or for the oldest.
	PayloadVersion string `json:"payloadVersion"`
	// Headers are its own. Their values cannot be read.
	Headers []Header `json:"headers"`
	// ClientCertificate is what it is shown of its own; nil for none.
	ClientCertificate *ClientCertificate `json:"clientCertificate"`
	// Secret is there only where one was chosen or generated, this once: see [Client.CreateEndpoint]
	// and [Client.RotateSecret].
	Secret string `json:"secret"`
}

// Header is a header of an endpoint's own. In a change, one without a Value keeps the value of its name.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

// ClientCertificate says which certificate requests to an endpoint are made with. To give one, set
// PEM: the certificate, its chain and its private key. It cannot be read. Without PEM, a change removes it.
type ClientCertificate struct {
	PEM       string    `json:"-"`
	Subject   string    `json:"subject"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// MarshalJSON returns what a request gives: null for none.
func (c ClientCertificate) MarshalJSON() ([]byte, error) {
	if c.PEM == "" {
		return []byte("null"), nil
	}
	return json.Marshal(map[string]string{"pem": c.PEM})
}

// NewEndpoint is an endpoint to be registered.
type NewEndpoint struct {
	URL         string   `json:"url"`
	Events      []string `json:"events"`
	Description string   `json:"description,omitempty"`
	// Secret is a secret of your own; "" has one generated.
	Secret   string  `json:"secret,omitempty"`
	Disabled bool    `json:"disabled,omitempty"`
	Rate     float64 `json:"rate,omitempty"`
	Ordered  bool    `json:"ordered,omitempty"`
	// PayloadVersion is one of those that the service offers; "" has it give the newest.
	PayloadVersion    string             `json:"payloadVersion,omitempty"`
	Headers           []Header           `json:"headers,omitempty"`
	ClientCertificate *ClientCertificate `json:"clientCertificate,omitempty"`
}

// EndpointChange changes an endpoint: what is nil stays as it is.
type EndpointChange struct {
	URL         *string  `json:"url,omitempty"`
	Events      []string `json:"events,omitzero"` // an empty list is refused
	Description *string  `json:"description,omitempty"`
	Disabled    *bool    `json:"disabled,omitempty"`
	Rate        *float64 `json:"rate,omitempty"`
	Ordered     *bool    `json:"ordered,omitempty"`

	PayloadVersion *string `json:"payloadVersion,omitempty"`
	// Headers replace all that there are. With another URL, they have to be given again, or none.
	Headers           *[]Header          `json:"headers,omitempty"`
	ClientCertificate *ClientCertificate `json:"clientCertificate,omitempty"`
}

// Endpoints returns all endpoints of your organization. The sequence ends with the first error.
func (c *Client) Endpoints(ctx context.Context) iter.Seq2[Endpoint, error] {
	return pages(ctx, c, request{}, func(p struct {
		Endpoints  []Endpoint
		NextCursor string
	}) ([]Endpoint, string) {
		return p.Endpoints, p.NextCursor
	})
}

// Endpoint returns an endpoint.
func (c *Client) Endpoint(ctx context.Context, id string) (Endpoint, error) {
	return askEndpoint(ctx, c, request{method: http.MethodGet, path: "/{wh_}", id: id})
}

// CreateEndpoint registers an endpoint and returns it with its Secret, which is shown this once.
func (c *Client) CreateEndpoint(ctx context.Context, n NewEndpoint) (Endpoint, error) {
	return askEndpoint(ctx, c, request{method: http.MethodPost, in: n})
}

// UpdateEndpoint changes an endpoint.
func (c *Client) UpdateEndpoint(ctx context.Context, id string, change EndpointChange) (Endpoint, error) {
	return askEndpoint(ctx, c, request{method: http.MethodPatch, path: "/{wh_}", id: id, in: change})
}

// DeleteEndpoint removes an endpoint for good.
func (c *Client) DeleteEndpoint(ctx context.Context, id string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: "/{wh_}", id: id}, nil)
}

// RotateSecret gives an endpoint a new secret, "" for a generated one, with which requests are signed
// from that time on; zero stands for now. The endpoint is returned with it.
func (c *Client) RotateSecret(ctx context.Context, id, secret string, from time.Time) (Endpoint, error) {
	in := map[string]string{}
	if secret != "" {
		in["secret"] = secret
	}
	if !from.IsZero() {
		in["signsFrom"] = timeParam(from)
	}
	return askEndpoint(ctx, c, request{method: http.MethodPost, path: "/{wh_}/rotate-secret", id: id, in: in})
}

// EnableEndpoint enables an endpoint. Of what is parked it sends the events since that time, and
// discards the others; a zero time sends all. While much is being discarded, the returned endpoint is
// disabled still.
func (c *Client) EnableEndpoint(ctx context.Context, id string, since time.Time) (Endpoint, error) {
	in := map[string]string{}
	if !since.IsZero() {
		in["since"] = timeParam(since)
	}
	return askEndpoint(ctx, c, request{method: http.MethodPost, path: "/{wh_}/enable", id: id, in: in})
}

// ProveEndpoint has the URL of an endpoint proven whose DisabledReason is "unproven": its receiver is sent a
// challenge at once, and the endpoint is enabled if the answer is right. If not, the [Problem] has the status 409 and says
// what came back.
func (c *Client) ProveEndpoint(ctx context.Context, id string) (Endpoint, error) {
	return askEndpoint(ctx, c, request{method: http.MethodPost, path: "/{wh_}/prove", id: id})
}

// Test is a test event on its way.
type Test struct {
	EventID    string `json:"eventId"`
	Type       string `json:"type"`
	DeliveryID string `json:"deliveryId"`
}

// SendTest sends a test event of a type to an endpoint; "" stands for one that it subscribes to.
func (c *Client) SendTest(ctx context.Context, id, eventType string) (Test, error) {
	in := map[string]string{}
	if eventType != "" {
		in["type"] = eventType
	}
	return ask(ctx, c, request{method: http.MethodPost, path: "/{wh_}/test", id: id, in: in}, func(t Test) error {
		if t.EventID == "" || t.DeliveryID == "" {
			return errors.New("it has no eventId or no deliveryId")
		}
		return nil
	})
}

// Recovery sends the failed deliveries of an endpoint again, in the background.
type Recovery struct {
	EndpointID string    `json:"endpointId"`
	Status     string    `json:"status"`
	Since      time.Time `json:"since"`
	Until      time.Time `json:"until"`
	Progress   float64   `json:"progress"` // from 0 to 1
	Recovered  int64     `json:"recovered"`
	Skipped    int64     `json:"skipped"`
	CreatedAt  time.Time `json:"createdAt"`
	UpdatedAt  time.Time `json:"updatedAt"`
	FinishedAt time.Time `json:"finishedAt"` // zero while it goes on
}

// Recover begins to send the failed deliveries of an endpoint again, of events since that time; zero
// for all.
func (c *Client) Recover(ctx context.Context, id string, since time.Time) (Recovery, error) {
	in := map[string]string{}
	if !since.IsZero() {
		in["since"] = timeParam(since)
	}
	return askRecovery(ctx, c, request{method: http.MethodPost, path: "/{wh_}/recover", id: id, in: in})
}

// SendMissed begins to send to an endpoint the events since that time that it never got; zero for all
// that are kept. It is the endpoint's recovery.
func (c *Client) SendMissed(ctx context.Context, id string, since time.Time) (Recovery, error) {
	in := map[string]string{}
	if !since.IsZero() {
		in["since"] = timeParam(since)
	}
	return askRecovery(ctx, c, request{method: http.MethodPost, path: "/{wh_}/send-missed", id: id, in: in})
}

// Recovery returns the newest recovery of an endpoint.
func (c *Client) Recovery(ctx context.Context, id string) (Recovery, error) {
	return askRecovery(ctx, c, request{method: http.MethodGet, path: "/{wh_}/recover", id: id})
}

// StopRecovery stops the recovery of an endpoint.
func (c *Client) StopRecovery(ctx context.Context, id string) (Recovery, error) {
	return askRecovery(ctx, c, request{method: http.MethodDelete, path: "/{wh_}/recover", id: id})
}

// askEndpoint makes a request whose response is the endpoint that it names, or a new one.
func askEndpoint(ctx context.Context, c *Client, r request) (Endpoint, error) {
	return ask(ctx, c, r, idCheck(func(e Endpoint) string { return e.ID }, r.id))
}

// askRecovery makes a request whose response is a recovery of the endpoint that it names.
func askRecovery(ctx context.Context, c *Client, r request) (Recovery, error) {
	return ask(ctx, c, r, idCheck(func(got Recovery) string { return got.EndpointID }, r.id))
}
