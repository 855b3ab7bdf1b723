package webhookclient

import (
	"context"
	"errors"
	"iter"
	"maps"
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
	list := request{path: "/deliveries", query: url.Values{}}
	if o.EndpointID != "" {
		list.path, list.id = "/{wh_}/deliveries", o.EndpointID
	}
	set(list.query, "event", o.EventID)
	set(list.query, "type", o.Type)
	set(list.query, "status", o.Status)
	set(list.query, "since", timeParam(o.Since))
	set(list.query, "until", timeParam(o.Until))
	return pages(ctx, c, list, func(p struct {
		Deliveries []Delivery
		NextCursor string
	}) ([]Delivery, string) {
		return p.Deliveries, p.NextCursor
	})
}

// Delivery returns a delivery with its attempts and its payload.
func (c *Client) Delivery(ctx context.Context, id string) (Delivery, error) {
	return askDelivery(ctx, c, request{method: http.MethodGet, path: "/deliveries/{dlv_}", id: id})
}

// Redeliver sends a delivery again.
func (c *Client) Redeliver(ctx context.Context, id string) (Delivery, error) {
	return askDelivery(ctx, c, request{method: http.MethodPost, path: "/deliveries/{dlv_}/redeliver", id: id})
}

// askDelivery makes a request whose response is the delivery that it names.
func askDelivery(ctx context.Context, c *Client, r request) (Delivery, error) {
	return ask(ctx, c, r, idCheck(func(d Delivery) string { return d.ID }, r.id))
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
	return pages(ctx, c, request{path: "/operations"}, func(p struct {
		Operations []Operation
		NextCursor string
	}) ([]Operation, string) {
		return p.Operations, p.NextCursor
	})
}

// pages returns the items of all pages of a list.
func pages[T, P any](ctx context.Context, c *Client, list request, read func(P) (items []T, next string)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		r := list
		r.method, r.query = http.MethodGet, url.Values{"limit": {"100"}}
		maps.Copy(r.query, list.query)
		for {
			page, err := ask(ctx, c, r, func(p P) error {
				items, next := read(p)
				return checkPage(items, next, r.query.Get("cursor"))
			})
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			items, next := read(page)
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			r.query.Set("cursor", next)
		}
	}
}

// checkPage says what is wrong with a page that was asked for with a cursor.
func checkPage[T any](items []T, next, cursor string) error {
	switch {
	case items == nil:
		return errors.New("it has no list")
	case next != "" && next == cursor:
		return errors.New("its nextCursor leads to the same page again")
	}
	return nil
}
