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
	// Payload is the exact bytes that are sent: only when one delivery is read,
	// and until they are erased.
	Payload string `json:"payload,omitzero"`
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
	if d.State != alotwebhook.StatePending { // a parked one keeps its time, but waits for its endpoint
		d.NextAttemptAt = time.Time{}
	}
	return deliveryJSON{
		ID: d.ID, EventID: d.EventID, Type: d.EventType, EndpointID: d.EndpointID, Status: d.State,
		CreatedAt: instant(d.CreatedAt), NextAttemptAt: instant(d.NextAttemptAt), FinishedAt: instant(d.FinishedAt),
		AttemptCount: d.AttemptCount, LastStatusCode: d.LastStatusCode, LastReason: d.LastReason,
	}
}

func showWholeDelivery(d alotwebhook.Delivery) deliveryJSON {
	shown := showDelivery(d)
	shown.Attempts = showAttempts(d.Attempts)
	return shown
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

// listDeliveries answers with a page. One that is cut short, so that it comes at
// once, holds few or none and has a nextCursor all the same.
func (a *api) listDeliveries(r *http.Request, organization string) (answer, error) {
	f, list, err := deliveryFilter(r, organization)
	if err != nil {
		return answer{}, err
	}
	if _, err := a.endpoint(r, organization); err != nil {
		return answer{}, err
	}
	found, next, err := a.dispatcher.DeliveryPage(r.Context(), f)
	if err != nil {
		return answer{}, err
	}
	page := deliveriesJSON{Deliveries: make([]deliveryJSON, len(found)), NextCursor: list.cursor(next)}
	for i, d := range found {
		page.Deliveries[i] = showDelivery(d)
	}
	return answer{status: http.StatusOK, body: page}, nil
}

// deliveryFilter reads what the parameters select of the endpoint in the path.
func deliveryFilter(r *http.Request, organization string) (f alotwebhook.Filter, list listing, err error) {
	q := readQuery(r, "status", "type", "since", "until", "cursor", "limit")
	f = alotwebhook.Filter{
		OrganizationID: organization, EndpointID: r.PathValue("id"),
		State: q.state("status"), EventType: q.eventType("type"),
		Since: q.time("since"), Until: q.time("until"), Limit: q.limit(),
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		q.refuse("until", "must be later than since")
	}
	list = listing{deliveryPrefix, []string{
		organization, f.EndpointID, string(f.State), f.EventType,
		f.Since.UTC().Format(time.RFC3339Nano), f.Until.UTC().Format(time.RFC3339Nano),
	}}
	f.Cursor = q.place(list)
	return f, list, q.err()
}

func (a *api) readDelivery(r *http.Request, organization string) (answer, error) {
	d, err := a.delivery(r, organization)
	if err != nil {
		return answer{}, err
	}
	shown := showWholeDelivery(d)
	payload, err := payloadOf(r.Context(), a.dispatcher, d)
	if err != nil {
		return answer{}, err
	}
	shown.Payload = string(payload)
	return answer{status: http.StatusOK, body: shown}, nil
}

// redeliver answers with the delivery as it now waits, without its payload: the
// answer may be kept with its key.
func (a *api) redeliver(r *http.Request, organization string) (answer, error) {
	if err := readOptionalObject(r, fields{}); err != nil {
		return answer{}, err
	}
	d, err := a.delivery(r, organization)
	if err != nil {
		return answer{}, err
	}
	due, err := a.dispatcher.Redeliver(r.Context(), d.ID)
	if err != nil {
		return answer{}, err
	}
	if d, err = a.delivery(r, organization); err != nil {
		return answer{}, err
	}
	if !due && !isDue(d) {
		return answer{}, errNotDue
	}
	return answer{status: http.StatusAccepted, body: showWholeDelivery(d)}.
		with("Location", at(r, "/v1/webhooks/deliveries/"+d.ID)), nil
}

// isDue reports whether it is in line already: one that is being attempted is
// not due before its lease is over.
func isDue(d alotwebhook.Delivery) bool {
	return d.State == alotwebhook.StatePending && !d.NextAttemptAt.After(time.Now())
}

// delivery returns the one of the path, if it is the organization's.
func (a *api) delivery(r *http.Request, organization string) (alotwebhook.Delivery, error) {
	return deliveryOf(r.Context(), a.dispatcher, organization, r.PathValue("id"))
}
