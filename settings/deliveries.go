package settings

import (
	"net/http"
	"time"

	"github.com/alot/alotwebhook"
)

const deliveryPrefix = "dlv_"

// deliveryJSON is a delivery as the API shows it.
type deliveryJSON struct {
	ID             string                    `json:"id"`
	EventID        string                    `json:"eventId"`
	Type           string                    `json:"type"`
	EndpointID     string                    `json:"endpointId"`
	Status         alotwebhook.DeliveryState `json:"status"`
	CreatedAt      instant                   `json:"createdAt"`
	NextAttemptAt  instant                   `json:"nextAttemptAt,omitzero"`
	FinishedAt     instant                   `json:"finishedAt,omitzero"`
	AttemptCount   int                       `json:"attemptCount"`
	LastStatusCode int                       `json:"lastStatusCode,omitzero"`
	LastReason     alotwebhook.FailureReason `json:"lastReason,omitzero"`
	// Attempts are only there when one delivery is read.
	Attempts []attemptJSON `json:"attempts,omitzero"`
}

type attemptJSON struct {
	Number       int                       `json:"number"`
	StartedAt    instant                   `json:"startedAt"`
	DurationMs   float64                   `json:"durationMs"`
	StatusCode   int                       `json:"statusCode,omitzero"`
	Reason       alotwebhook.FailureReason `json:"reason,omitzero"`
	Detail       string                    `json:"detail,omitzero"`
	ResponseBody string                    `json:"responseBody,omitzero"`
}

func showDelivery(d alotwebhook.Delivery) deliveryJSON {
	return deliveryJSON{
		ID: d.ID, EventID: d.EventID, Type: d.EventType, EndpointID: d.EndpointID, Status: d.State,
		CreatedAt: instant(d.CreatedAt), NextAttemptAt: instant(d.NextAttemptAt), FinishedAt: instant(d.FinishedAt),
		AttemptCount: d.AttemptCount, LastStatusCode: d.LastStatusCode, LastReason: d.LastReason,
	}
}

func showAttempts(attempts []alotwebhook.Attempt) []attemptJSON {
	shown := make([]attemptJSON, len(attempts))
	for i, t := range attempts {
		shown[i] = attemptJSON{
			Number: t.Number, StartedAt: instant(t.StartedAt), DurationMs: milliseconds(t.Duration),
			StatusCode: t.StatusCode, Reason: t.Reason, Detail: t.Detail, ResponseBody: t.ResponseBody,
		}
	}
	return shown
}

// milliseconds keeps three decimals: an attempt on loopback takes less than one.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond).Microseconds()) / 1000
}

type deliveriesJSON struct {
	Deliveries []deliveryJSON `json:"deliveries"`
	NextCursor string         `json:"nextCursor,omitzero"`
}

func (a *api) listDeliveries(r *http.Request, organization string) (answer, error) {
	f, limit, err := deliveryFilter(r)
	if err != nil {
		return answer{}, err
	}
	e, err := a.endpoint(r, organization)
	if err != nil {
		return answer{}, err
	}
	f.OrganizationID, f.EndpointID, f.Limit = organization, e.ID, limit+1 // one more tells whether there is more
	list := deliveriesJSON{Deliveries: []deliveryJSON{}}
	for d, err := range a.dispatcher.Deliveries(r.Context(), f) {
		if err != nil {
			return answer{}, err
		}
		if len(list.Deliveries) == limit {
			list.NextCursor = list.Deliveries[limit-1].ID
			break
		}
		list.Deliveries = append(list.Deliveries, showDelivery(d))
	}
	return answer{http.StatusOK, list}, nil
}

// deliveryFilter reads what the parameters select.
func deliveryFilter(r *http.Request) (f alotwebhook.Filter, limit int, err error) {
	q := readQuery(r, "status", "type", "since", "until", "cursor", "limit")
	f = alotwebhook.Filter{
		State: q.state("status"), EventType: q.eventType("type"),
		Since: q.time("since"), Until: q.time("until"), Cursor: q.cursor(deliveryPrefix),
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		q.refuse("until", "must be later than since")
	}
	limit = q.limit()
	return f, limit, q.err()
}

func (a *api) readDelivery(r *http.Request, organization string) (answer, error) {
	if err := readQuery(r).err(); err != nil {
		return answer{}, err
	}
	id := r.PathValue("id")
	if !isID(deliveryPrefix, id) {
		return answer{}, errNotFound
	}
	d, err := a.dispatcher.Delivery(r.Context(), id)
	if err != nil {
		return answer{}, err
	}
	if d.OrganizationID != organization {
		return answer{}, errNotFound
	}
	shown := showDelivery(d)
	shown.Attempts = showAttempts(d.Attempts)
	return answer{http.StatusOK, shown}, nil
}
