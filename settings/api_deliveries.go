package settings

import (
	"net/http"
	"time"

	"github.com/alot/alotwebhook"
)

// deliveryJSON is a delivery as the API shows it.
type deliveryJSON struct {
	OrganizationID string                    `json:"organizationId,omitzero"` // in what operators read of many
	ID             string                    `json:"id"`
	EventID        string                    `json:"eventId"`
	Type           string                    `json:"type"`
	EndpointID     string                    `json:"endpointId"`
	Test           bool                      `json:"test,omitzero"`
	Status         alotwebhook.DeliveryState `json:"status"`
	CreatedAt      instant                   `json:"createdAt"`
	NextAttemptAt  instant                   `json:"nextAttemptAt,omitzero"`
	WaitsFor       string                    `json:"waitsFor,omitzero"`
	WaitsUntil     instant                   `json:"waitsUntil,omitzero"`
	FinishedAt     instant                   `json:"finishedAt,omitzero"`
	AttemptCount   int                       `json:"attemptCount"`
	LastStatusCode int                       `json:"lastStatusCode,omitzero"`
	LastReason     alotwebhook.FailureReason `json:"lastReason,omitzero"`
	// Attempts are in the response for one delivery, not in lists.
	Attempts []attemptJSON `json:"attempts,omitzero"`
	// OlderAttempts counts those that are not among Attempts.
	OlderAttempts int `json:"olderAttempts,omitzero"`
	// Payload is the exact body of the requests. It is only in the response to
	// the reading of one delivery, and only until it is erased.
	Payload string `json:"payload,omitzero"`
	// PayloadsHidden says why there is no Payload and no ResponseBody: the request may not
	// see them.
	PayloadsHidden bool `json:"payloadsHidden,omitzero"`
}

// attemptJSON is an attempt as the API shows it.
type attemptJSON struct {
	Number       int                       `json:"number"`
	URL          string                    `json:"url,omitzero"`
	StartedAt    instant                   `json:"startedAt"`
	DurationMs   float64                   `json:"durationMs"`
	StatusCode   int                       `json:"statusCode,omitzero"`
	Reason       alotwebhook.FailureReason `json:"reason,omitzero"`
	Detail       string                    `json:"detail,omitzero"`
	ResponseBody string                    `json:"responseBody,omitzero"`
	// RequestHeaders are those of the request, but for the signatures.
	RequestHeaders  map[string]string `json:"requestHeaders,omitzero"`
	ResponseHeaders string            `json:"responseHeaders,omitzero"`
}

// showDelivery returns d as the lists of the API show it.
func showDelivery(d alotwebhook.Delivery) deliveryJSON {
	if d.State != alotwebhook.StatePending { // a parked delivery has a time too, but it waits for its endpoint
		d.NextAttemptAt = time.Time{}
	}
	return deliveryJSON{
		ID: d.ID, EventID: d.EventID, Type: d.EventType, EndpointID: d.EndpointID, Test: d.Test, Status: d.State,
		CreatedAt: instant(d.CreatedAt), NextAttemptAt: instant(d.NextAttemptAt), FinishedAt: instant(d.FinishedAt),
		WaitsFor: d.WaitsFor, WaitsUntil: instant(d.WaitsUntil),
		AttemptCount: d.AttemptCount, LastStatusCode: d.LastStatusCode, LastReason: d.LastReason,
	}
}

// maxAttempts is how many attempts of a delivery the API and the pages show: the newest.
const maxAttempts = alotwebhook.KeptAttempts

// showWholeDelivery returns d as lists show it, and with its newest attempts.
func (c caller) showWholeDelivery(from *alotwebhook.Dispatcher, d alotwebhook.Delivery) deliveryJSON {
	shown := showDelivery(d)
	shown.PayloadsHidden = !c.may[ActionPayloads]
	shown.Attempts = showAttempts(newest(d.Attempts), func(number int) map[string]string { return singly(from.RequestHeader(d, number)) })
	shown.OlderAttempts = d.AttemptCount - len(shown.Attempts)
	return shown
}

// newest returns the last maxAttempts of the attempts.
func newest(attempts []alotwebhook.Attempt) []alotwebhook.Attempt {
	return attempts[max(0, len(attempts)-maxAttempts):]
}

// singly returns headers that have one value each.
func singly(h http.Header) map[string]string {
	values := make(map[string]string, len(h))
	for name := range h {
		values[name] = h.Get(name)
	}
	return values
}

func showAttempts(attempts []alotwebhook.Attempt, sent func(number int) map[string]string) []attemptJSON {
	shown := make([]attemptJSON, len(attempts))
	for i, t := range attempts {
		shown[i] = attemptJSON{
			Number: t.Number, URL: t.URL, StartedAt: instant(t.StartedAt), DurationMs: milliseconds(t.Duration),
			StatusCode: t.StatusCode, Reason: t.Reason, Detail: t.Detail, ResponseBody: t.ResponseBody, ResponseHeaders: t.ResponseHeaders,
		}
		if t.URL != "" && wasRequested(t) {
			shown[i].RequestHeaders = sent(t.Number)
		}
	}
	return shown
}

// wasRequested reports whether an attempt made a request, or tried to.
func wasRequested(a alotwebhook.Attempt) bool {
	return a.Reason != alotwebhook.ReasonPoison && a.Reason != alotwebhook.ReasonUnsendable && a.Reason != alotwebhook.ReasonBlockedAddress
}

// milliseconds returns d in milliseconds with three decimals, since some attempts
// take less than one millisecond.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond).Microseconds()) / 1000
}

// deliveriesJSON is a page of the list of deliveries.
type deliveriesJSON struct {
	Deliveries []deliveryJSON `json:"deliveries"`
	NextCursor string         `json:"nextCursor,omitzero"`
}

// listDeliveries responds with a page of an endpoint's deliveries. A search that
// takes long is cut short: its page has few deliveries or none, and a nextCursor
// from which the client goes on.
func (a *api) listDeliveries(r *http.Request, who caller) (response, error) {
	f, list, err := deliveryFilter(r, who)
	if err != nil {
		return response{}, err
	}
	if _, err := a.endpoint(r, who); err != nil {
		return response{}, err
	}
	return a.deliveryPage(r, f, list)
}

// listAllDeliveries responds with a page of the deliveries to all of the organization's endpoints.
func (a *api) listAllDeliveries(r *http.Request, who caller) (response, error) {
	f, list, err := deliveryFilter(r, who)
	if err != nil {
		return response{}, err
	}
	return a.deliveryPage(r, f, list)
}

func (a *api) deliveryPage(r *http.Request, f alotwebhook.Filter, list listing) (response, error) {
	found, next, err := a.dispatcher.DeliveryPage(r.Context(), f)
	if err != nil {
		return response{}, err
	}
	page := deliveriesJSON{Deliveries: make([]deliveryJSON, len(found)), NextCursor: list.cursor(next)}
	for i, d := range found {
		page.Deliveries[i] = showDelivery(d)
	}
	return response{status: http.StatusOK, body: page}, nil
}

// deliveryFilter reads the parameters of a request for the deliveries of the
// endpoint in the path, or of all if there is none in it. The list is what its cursors belong to.
func deliveryFilter(r *http.Request, who caller) (f alotwebhook.Filter, list listing, err error) {
	q := readQuery(r, append([]string{"event"}, deliveryFilters...)...)
	f, list = q.deliveries(alotwebhook.Filter{
		OrganizationID: who.organization, EndpointID: r.PathValue("id"), EventID: q.id("event", eventPrefix),
	})
	return f, list, q.err()
}

// deliveryFilters are the parameters of a list of deliveries.
var deliveryFilters = []string{"status", "type", "test", "since", "until", "cursor", "limit"}

// deliveries reads the parameters of a list of deliveries of what is given. The list is what its
// cursors belong to.
func (q *query) deliveries(of alotwebhook.Filter) (f alotwebhook.Filter, list listing) {
	f = q.filter(time.RFC3339)
	f.OrganizationID, f.EndpointID, f.EventID, f.Limit = of.OrganizationID, of.EndpointID, of.EventID, q.limit()
	f.Subject = of.Subject
	list = listDeliveriesOf(f)
	f.Cursor = q.place(list)
	return f, list
}

// listDeliveriesOf returns the list of the deliveries that f selects.
func listDeliveriesOf(f alotwebhook.Filter) listing {
	list := listing{deliveryPrefix, []string{
		f.OrganizationID, f.EndpointID, string(f.State), f.EventType,
		f.Since.UTC().Format(time.RFC3339Nano), f.Until.UTC().Format(time.RFC3339Nano),
	}}
	if f.EventID != "" { // lists without it keep the cursors that they had before there was one
		list.by = append(list.by, f.EventID)
	}
	if f.Subject != "" {
		list.by = append(list.by, "subject", f.Subject)
	}
	if test := testsOf(f); test != "" {
		list.by = append(list.by, "test="+test)
	}
	return list
}

func (a *api) readDelivery(r *http.Request, who caller) (response, error) {
	d, err := a.delivery(r, who)
	if err != nil {
		return response{}, err
	}
	shown := who.showWholeDelivery(a.dispatcher, d)
	payload, _, err := who.payload(r.Context(), a.dispatcher, d)
	if err != nil {
		return response{}, err
	}
	shown.Payload = string(payload)
	return response{status: http.StatusOK, body: shown}, nil
}

// redeliver sends a delivery again and responds with it.
func (a *api) redeliver(r *http.Request, who caller) (response, error) {
	if err := readOptionalObject(r, fields{}); err != nil {
		return response{}, err
	}
	d, err := a.delivery(r, who)
	if err != nil {
		return response{}, err
	}
	due, err := a.dispatcher.Redeliver(r.Context(), d.ID)
	if err != nil {
		return response{}, err
	}
	if !due {
		if d, err = a.delivery(r, who); err != nil {
			return response{}, err
		}
		if !isDue(d) {
			return response{}, errNotDue
		}
	}
	result, err := a.redelivered(r, who)
	if err != nil && due { // it is sent again all the same
		a.logFailure(r, &failure{who.organization, err})
		d.State, d.NextAttemptAt, d.FinishedAt = alotwebhook.StatePending, time.Now(), time.Time{}
		return a.isRedelivered(r, who, d), nil
	}
	return result, err
}

// redelivered responds with a delivery that was sent again, as it is now.
func (a *api) redelivered(r *http.Request, who caller) (response, error) {
	d, err := a.delivery(r, who)
	if err != nil {
		return response{}, err
	}
	return a.isRedelivered(r, who, d), nil
}

func (a *api) isRedelivered(r *http.Request, who caller, d alotwebhook.Delivery) response {
	return response{status: http.StatusAccepted, body: who.showWholeDelivery(a.dispatcher, d)}.
		with("Location", a.at(r, "/deliveries/"+d.ID))
}

// isDue reports whether d waits for an attempt that can begin now, or is being attempted:
// many stores cannot tell. Where one can, the next attempt is at the end of the lease.
func isDue(d alotwebhook.Delivery) bool {
	return d.State == alotwebhook.StatePending && !d.NextAttemptAt.After(time.Now())
}

// delivery returns the delivery whose id is in the path, if the organization owns it.
func (a *api) delivery(r *http.Request, who caller) (alotwebhook.Delivery, error) {
	return who.delivery(r.Context(), a.dispatcher, r.PathValue("id"))
}
