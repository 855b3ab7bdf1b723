package webhookclient

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Delivery is one event on its way to one endpoint.
type Delivery struct {
	ID             string    `json:"id"`
	EventID        string    `json:"eventId"`
	Type           string    `json:"type"`
	EndpointID     string    `json:"endpointId"`
	Status         string    `json:"status"` // pending, delivered, failed or parked
	CreatedAt      time.Time `json:"createdAt"`
	NextAttemptAt  time.Time `json:"nextAttemptAt"`
	WaitsFor       string    `json:"waitsFor"`
	WaitsUntil     time.Time `json:"waitsUntil"`
	FinishedAt     time.Time `json:"finishedAt"`
	AttemptCount   int       `json:"attemptCount"`
	LastStatusCode int       `json:"lastStatusCode"`
	LastReason     string    `json:"lastReason"`
	// Attempts and Payload are there of a single delivery alone; OlderAttempts counts those that are
	// not among them.
	Attempts      []Attempt `json:"attempts"`
	OlderAttempts int       `json:"olderAttempts"`
	Payload       string    `json:"payload"`
}

// Attempt is one request of a delivery, or the reason why none could be made.
type Attempt struct {
	Number       int       `json:"number"`
	StartedAt    time.Time `json:"startedAt"`
	DurationMs   float64   `json:"durationMs"`
	StatusCode   int       `json:"statusCode"`
	Reason       string    `json:"reason"`
	Detail       string    `json:"detail"`
	ResponseBody string    `json:"responseBody"`
}

// DeliveriesOptions selects deliveries; a zero field selects all.
type DeliveriesOptions struct {
	EndpointID, EventID, Type, Status string
	// Since (inclusive) and Until (exclusive) bound the time in the event's id.
	Since, Until time.Time
}

// Deliveries returns the deliveries that o selects, newest first and without attempts. The sequence
// ends with the first error.
func (c *Client) Deliveries(ctx context.Context, o DeliveriesOptions) iter.Seq2[Delivery, error] {
	list := apiList{path: "/deliveries", query: url.Values{}}
	if o.EndpointID != "" {
		list.path = one(o.EndpointID) + "/deliveries"
	}
	set(list.query, "event", o.EventID)
	set(list.query, "type", o.Type)
	set(list.query, "status", o.Status)
	set(list.query, "since", timeParam(o.Since))
	set(list.query, "until", timeParam(o.Until))
	return pages(ctx, c, list, func(p *struct {
		Deliveries []Delivery
		NextCursor string
	}) ([]Delivery, string) {
		return p.Deliveries, p.NextCursor
	})
}

// Delivery returns a delivery with its attempts and its payload.
func (c *Client) Delivery(ctx context.Context, id string) (d Delivery, err error) {
	err = c.call(ctx, http.MethodGet, "/deliveries"+one(id), nil, nil, &d)
	return d, err
}

// Redeliver sends a delivery again.
func (c *Client) Redeliver(ctx context.Context, id string) (d Delivery, err error) {
	err = c.call(ctx, http.MethodPost, "/deliveries"+one(id)+"/redeliver", nil, nil, &d)
	return d, err
}

// Operation is something that happened to your endpoints.
type Operation struct {
	ID         string    `json:"id"`
	Type       string    `json:"type"`
	At         time.Time `json:"at"`
	EndpointID string    `json:"endpointId"`
	DeliveryID string    `json:"deliveryId"`
	Actor      string    `json:"actor"`
	Note       string    `json:"note"`
}

// Operations returns what happened to your endpoints, newest first. The sequence ends with the first
// error.
func (c *Client) Operations(ctx context.Context) iter.Seq2[Operation, error] {
	return pages(ctx, c, apiList{path: "/operations"}, func(p *struct {
		Operations []Operation
		NextCursor string
	}) ([]Operation, string) {
		return p.Operations, p.NextCursor
	})
}

// apiList is a list that the API gives in pages.
type apiList struct {
	path  string
	query url.Values
}

// pages returns the items of all pages of a list.
func pages[T, P any](ctx context.Context, c *Client, list apiList, read func(*P) (items []T, next string)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		query := url.Values{"limit": {"100"}}
		for name, values := range list.query {
			query[name] = values
		}
		for {
			var p P
			if err := c.call(ctx, http.MethodGet, list.path, query, nil, &p); err != nil {
				var none T
				yield(none, err)
				return
			}
			items, next := read(&p)
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			query.Set("cursor", next)
		}
	}
}
