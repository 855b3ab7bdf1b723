package settings

import (
	"net/http"
	"time"

	"github.com/alot/alotwebhook"
)

// overviewJSON is the survey of all organizations.
type overviewJSON struct {
	At                 instant       `json:"at"`
	AgeMs              float64       `json:"ageMs"`
	Pending            int64         `json:"pending"`
	Parked             int64         `json:"parked"`
	OldestDueMs        float64       `json:"oldestDueMs"`
	OldestDueFailingMs float64       `json:"oldestDueFailingMs"`
	FailingEndpoints   int64         `json:"failingEndpoints"`
	DisabledEndpoints  int64         `json:"disabledEndpoints"`
	Complete           bool          `json:"complete"` // false if the store shows none of what follows
	Backlogs           []backlogJSON `json:"backlogs"`
	Hours              []hourJSON    `json:"hours"`
	Processes          []processJSON `json:"processes"`
}

// backlogJSON is the backlog of an organization.
type backlogJSON struct {
	OrganizationID string  `json:"organizationId"`
	Pending        int64   `json:"pending"`
	Due            int64   `json:"due"`
	Parked         int64   `json:"parked"`
	OldestDueMs    float64 `json:"oldestDueMs"`
}

// hourJSON is what was attempted in an hour.
type hourJSON struct {
	Hour      instant                             `json:"hour"`
	Succeeded int64                               `json:"succeeded"`
	Failed    int64                               `json:"failed"`
	Reasons   map[alotwebhook.FailureReason]int64 `json:"reasons,omitempty"`
	AverageMs float64                             `json:"averageMs"`
	SlowestMs float64                             `json:"slowestMs"`
}

// processJSON is a process that claims.
type processJSON struct {
	ID     string  `json:"id"`
	SeenMs float64 `json:"seenMs"`
	LeftMs float64 `json:"leftMs"` // negative if others take over what it owned
	Share  float64 `json:"share"`
}

func (o *operators) overview(r *http.Request, _ caller) (response, error) {
	found, err := o.surveys.read(r.Context())
	if err != nil {
		return response{}, err
	}
	stats := found.Stats
	shown := overviewJSON{
		At: instant(found.At), AgeMs: milliseconds(max(time.Since(found.At), 0)),
		Pending: stats.Pending, Parked: stats.Parked,
		OldestDueMs: milliseconds(stats.OldestDue), OldestDueFailingMs: milliseconds(stats.OldestDueFailing),
		FailingEndpoints: stats.FailingEndpoints, DisabledEndpoints: stats.DisabledEndpoints, Complete: found.Complete,
		Backlogs: make([]backlogJSON, len(found.Backlogs)), Hours: make([]hourJSON, len(found.Totals)),
		Processes: make([]processJSON, len(found.Processes)),
	}
	for i, b := range found.Backlogs {
		shown.Backlogs[i] = backlogJSON{b.OrganizationID, b.Pending, b.Due, b.Parked, milliseconds(b.OldestDue)}
	}
	for i, t := range found.Totals {
		shown.Hours[i] = hourJSON{instant(t.Hour), t.Succeeded, t.Failed(), t.Reasons, milliseconds(t.Average()), milliseconds(t.Slowest)}
	}
	for i, p := range found.Processes {
		shown.Processes[i] = processJSON{p.ID, milliseconds(p.Seen), milliseconds(p.Left), p.Share}
	}
	return response{status: http.StatusOK, body: shown}, nil
}

// searchEndpoints responds with a page of the endpoints of all organizations.
func (o *operators) searchEndpoints(r *http.Request, _ caller) (response, error) {
	q := readQuery(r, "state", "url", "organization", "cursor", "limit")
	state := q.values.Get("state")
	f := alotwebhook.EndpointFilter{
		OrganizationID: q.organization("organization"), Failing: state == "failing", Disabled: state == "disabled", URLPart: q.values.Get("url"),
	}
	if state != "" && !f.Failing && !f.Disabled {
		q.refuse("state", "must be failing or disabled")
	}
	list := listing{endpointPrefix, []string{f.OrganizationID, state, f.URLPart}}
	limit := q.limit()
	f.Cursor = q.place(list)
	if err := q.err(); err != nil {
		return response{}, err
	}
	found, next, err := endpointPage(r.Context(), o.dispatcher, f, limit)
	if err != nil {
		return response{}, err
	}
	show, err := o.shower(r)
	page := endpointsJSON{Endpoints: make([]endpointJSON, len(found)), NextCursor: list.cursor(next)}
	for i, e := range found {
		page.Endpoints[i] = show(e)
		page.Endpoints[i].OrganizationID = e.OrganizationID
	}
	return response{status: http.StatusOK, body: page}, err
}

// searchDeliveries responds with a page of the deliveries of all organizations. As in the list of
// one endpoint, a search that takes long is cut short.
func (o *operators) searchDeliveries(r *http.Request, _ caller) (response, error) {
	q := readQuery(r, append([]string{"organization", "endpoint", "event", "subject"}, deliveryFilters...)...)
	q.many = true
	f, list := q.deliveries(alotwebhook.Filter{
		OrganizationID: q.organization("organization"), EndpointID: q.id("endpoint", endpointPrefix), EventID: q.id("event", eventPrefix),
		Subject: q.subject("subject"),
	})
	if err := q.err(); err != nil {
		return response{}, err
	}
	found, next, err := o.dispatcher.DeliveryPage(r.Context(), f)
	if err != nil {
		return response{}, err
	}
	page := deliveriesJSON{Deliveries: make([]deliveryJSON, len(found)), NextCursor: list.cursor(next)}
	for i, d := range found {
		page.Deliveries[i] = showDelivery(d)
		page.Deliveries[i].OrganizationID = d.OrganizationID
	}
	return response{status: http.StatusOK, body: page}, nil
}

// readDelivery responds with a delivery as its organization's API does.
func (o *operators) readDelivery(r *http.Request, who caller) (response, error) {
	id := r.PathValue("id")
	if !isID(deliveryPrefix, id) {
		return response{}, errNotFound
	}
	d, err := o.dispatcher.Delivery(r.Context(), id)
	if err != nil {
		return response{}, err
	}
	who.organization = d.OrganizationID
	result, err := o.api.readDelivery(r, who)
	if err != nil {
		return response{}, err
	}
	shown := result.body.(deliveryJSON)
	shown.OrganizationID = d.OrganizationID
	return response{status: http.StatusOK, body: shown}, nil
}

// searchOperations responds with a page of the operations of all organizations, and of those that
// are about all at once.
func (o *operators) searchOperations(r *http.Request, _ caller) (response, error) {
	q := readQuery(r, append([]string{"organization"}, operationFilters...)...)
	f, list := q.operations(q.organization("organization"), endpointPrefix, recoveryPrefix)
	if err := q.err(); err != nil {
		return response{}, err
	}
	found, next, err := o.dispatcher.Operations(r.Context(), f)
	if err != nil {
		return response{}, err
	}
	page := operationsJSON{Operations: make([]operationJSON, len(found)), NextCursor: list.cursor(next)}
	for i, op := range found {
		page.Operations[i] = showOperation(op)
		page.Operations[i].OrganizationID = op.OrganizationID
		if isID(recoveryPrefix, op.EndpointID) {
			page.Operations[i].EndpointID, page.Operations[i].RecoveryID = "", op.EndpointID
		}
	}
	return response{status: http.StatusOK, body: page}, nil
}
