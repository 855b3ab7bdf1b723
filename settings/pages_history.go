package settings

import (
	"net/http"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

const (
	historyPage = 50 // deliveries on a page
	// searchTime is how long a page searches for deliveries that match its filter.
	// After that it shows what it has found, and offers to search further back.
	searchTime = 30 * time.Millisecond
	// endpointChoices is how many endpoints the filter offers.
	endpointChoices = 200
)

// historyLabels are the labels of the form with the filters, by parameter.
var historyLabels = map[string]string{
	"organization": "Organization", "subject": "Subject", "endpoint": "Endpoint", "status": "State", "type": "Event type", "test": "Tests", "since": "From", "until": "To", "event": "Event id",
}

// deliveryRow is a row of a list of deliveries.
type deliveryRow struct {
	alotwebhook.Delivery
	Base        string // of the pages that show the delivery
	EndpointURL string // "" if the endpoint was deleted, or if the list does not show it
}

// deliveriesView is a list of deliveries.
type deliveriesView struct {
	Rows        []deliveryRow
	OneEndpoint bool // all are to the same endpoint, so the list does not show it
	Many        bool // they are of many organizations, so the list shows that
}

// historyView is a page of the history.
type historyView struct {
	Rows      []deliveryRow
	Endpoints []alotwebhook.Endpoint      // that the filter offers
	Types     []alotwebhook.EventType     // that the filter offers
	States    []alotwebhook.DeliveryState // that the filter offers
	Filter    alotwebhook.Filter
	Many      bool              // the list is one over all organizations, for operators
	Problems  map[string]string // what is wrong with the filter, by field: then nothing was searched
	Missed    *missedEvent      // the event that the filter names, if there is nothing in the list; else nil

	Older   string    // address of the next page; "" on the last page
	Reached time.Time // how far back the page searched, if it did not search to the end
	Newest  string    // address of the first page; "" on the first page
	Live    bool      // the page updates itself
	Toggle  string    // address of the page with live updates on or off
	Here    string    // address of the page without filters
	Spans   []spanLink
}

// Status returns the status of the page.
func (h historyView) Status() int {
	if len(h.Problems) > 0 {
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// spanLink leads to the page with the same filters and another time. The script of the pages makes
// days those of the browser's zone.
type spanLink struct{ Name, Label, Address string }

// spans returns the times that the page offers, as of now and with days of UTC.
func (v *visit) spans(now time.Time) []spanLink {
	now = now.UTC()
	today := now.Truncate(24 * time.Hour)
	link := func(name, label string, since, until time.Time) spanLink {
		return spanLink{name, label, v.addressWith("since", input(since), "until", input(until), "cursor", "")}
	}
	return []spanLink{
		link("hour", "Last hour", now.Add(-time.Hour), time.Time{}), link("today", "Today", today, time.Time{}),
		link("yesterday", "Yesterday", today.Add(-24*time.Hour), today),
	}
}

// Filtered reports whether any filter is set.
func (h historyView) Filtered() bool {
	f := h.Filter
	return h.Many && f.OrganizationID+f.Subject != "" || f.EndpointID != "" || f.EventID != "" || f.EventType != "" || f.State != "" ||
		f.OnlyTests || f.NoTests || !f.Since.IsZero() || !f.Until.IsZero()
}

// Unlisted reports whether the filter has an endpoint that it does not offer.
func (h historyView) Unlisted() bool {
	return h.Filter.EndpointID != "" && !slices.ContainsFunc(h.Endpoints, func(e alotwebhook.Endpoint) bool {
		return e.ID == h.Filter.EndpointID
	})
}

// UnlistedType reports whether the filter has an event type that it does not offer.
func (h historyView) UnlistedType() bool {
	return h.Filter.EventType != "" && !slices.ContainsFunc(h.Types, func(t alotwebhook.EventType) bool {
		return t.Name == h.Filter.EventType
	})
}

// Input returns a time as the value of a datetime-local field.
func (historyView) Input(t time.Time) string { return input(t) }

// input returns a time as the value of a datetime-local field, in UTC.
func input(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05")
}

func (v *visit) listHistory() error {
	q := readQuery(v.r, historyParameters...)
	data := historyView{Filter: v.historyFilter(q)}
	data.Filter.OrganizationID = v.who.organization
	err := v.fillHistory(q, &data)
	if err != nil {
		return err
	}
	if data.Endpoints, _, err = v.endpoints(alotwebhook.EndpointFilter{}, endpointChoices); err != nil {
		return err
	}
	if err := v.nameEndpoints(&data); err != nil {
		return err
	}
	return v.show(data.Status(), "history", view{Heading: "History", Section: "history", Data: data})
}

// historyParameters are the parameters of a page with deliveries.
var historyParameters = []string{"endpoint", "event", "status", "type", "test", "since", "until", "cursor", "live", flashName}

// fillHistory reads the rest of the query and what it selects.
func (v *visit) fillHistory(q *query, data *historyView) error {
	live := q.values.Get("live")
	if live != "" && live != "off" {
		q.refuse("live", "must be off or left out")
	}
	data.Types = v.dispatcher.EventTypes()
	for _, s := range q.states() {
		data.States = append(data.States, alotwebhook.DeliveryState(s))
	}
	var err error
	if data.Problems, err = q.beside(); err != nil {
		return err
	}
	data.Here, data.Spans = v.base+"/"+v.path, v.spans(time.Now())
	if len(data.Problems) > 0 {
		return nil
	}
	next, err := v.search(data)
	if err == nil && next == "" && len(data.Rows) == 0 && data.Filter.EventID != "" {
		data.Missed, err = v.missed(data.Filter)
	}
	if err == nil {
		v.linkHistory(data, next, live)
	}
	return err
}

// linkHistory sets the addresses that the page links to. next is the cursor of the
// next page, live the value of that parameter. Only the first page updates itself.
func (v *visit) linkHistory(data *historyView, next, live string) {
	first := data.Filter.Cursor == ""
	data.Live = first && live == ""
	if next != "" {
		data.Older = v.addressWith("cursor", next, "live", "")
	}
	if first {
		data.Toggle = v.addressWith("live", map[bool]string{true: "off", false: ""}[data.Live])
	} else {
		data.Newest = v.addressWith("cursor", "")
	}
}

// historyFilter reads the filter but for the organization. An endpoint of another one
// matches nothing, as one that does not exist would.
func (v *visit) historyFilter(q *query) alotwebhook.Filter {
	q.labels = historyLabels
	f := q.filter(pageLayouts...)
	f.EndpointID, f.EventID = q.id("endpoint", endpointPrefix), q.pastedEvent("event")
	f.Cursor, f.Limit = q.cursor(deliveryPrefix), historyPage
	return f
}

// search reads deliveries until the page is full, the history ends, or searchTime is
// over. It returns the cursor of the next page.
func (v *visit) search(data *historyView) (next string, err error) {
	f := data.Filter
	found, next, err := gather(f.Cursor, func(cursor string, limit int) ([]alotwebhook.Delivery, string, error) {
		f.Cursor, f.Limit = cursor, limit
		return v.dispatcher.DeliveryPage(v.r.Context(), f)
	})
	for _, d := range found {
		data.Rows = append(data.Rows, deliveryRow{Delivery: d, Base: v.baseOf(d.OrganizationID)})
	}
	if next != "" && len(found) < historyPage {
		data.Reached = idTime(next)
	}
	return next, err
}

// gather reads a list from the cursor on until there are as many items as on a page, the list
// ends, or searchTime is over. It returns the cursor of the next page.
func gather[T any](cursor string, read func(cursor string, limit int) ([]T, string, error)) (found []T, next string, err error) {
	for began := time.Now(); ; {
		part, next, err := read(cursor, historyPage-len(found))
		if found = append(found, part...); err != nil {
			return nil, "", err
		}
		if next == "" || len(found) >= historyPage || time.Since(began) > searchTime {
			return found, next, nil
		}
		cursor = next
	}
}

// baseOf returns the path of the pages that show what an organization has: these ones, or
// those below the operators' pages.
func (v *visit) baseOf(organization string) string {
	if v.who.organization != "" {
		return v.base
	}
	return v.base + "/organizations/" + organizationSegment(organization)
}

// nameEndpoints gives each row its endpoint's URL.
func (v *visit) nameEndpoints(data *historyView) error {
	known := data.Endpoints
	var unknown []string
	for _, row := range data.Rows {
		is := func(e alotwebhook.Endpoint) bool { return e.ID == row.EndpointID }
		if !slices.ContainsFunc(known, is) && !slices.Contains(unknown, row.EndpointID) {
			unknown = append(unknown, row.EndpointID)
		}
	}
	urls, err := v.urls(unknown)
	if err != nil {
		return err
	}
	for _, e := range known {
		urls[e.ID] = e.URL
	}
	for i := range data.Rows {
		data.Rows[i].EndpointURL = urls[data.Rows[i].EndpointID]
	}
	return nil
}

// urls returns the URLs of the endpoints that there are, by their ids.
func (v *visit) urls(ids []string) (map[string]string, error) {
	urls := make(map[string]string, len(ids))
	if len(ids) == 0 { // no ids would select all endpoints
		return urls, nil
	}
	for e, err := range v.dispatcher.Endpoints(v.r.Context(), alotwebhook.EndpointFilter{IDs: ids}) {
		if err != nil {
			return nil, err
		}
		urls[e.ID] = e.URL
	}
	return urls, nil
}

// addressWith returns the address of this page with some parameters changed. The
// changes are name and value in turn; the value "" removes a parameter.
func (v *visit) addressWith(changes ...string) string {
	query := v.r.URL.Query()
	query.Del(flashName)
	for name, values := range query {
		if values[0] == "" { // forms send empty fields too
			query.Del(name)
		}
	}
	for i := 0; i < len(changes); i += 2 {
		query.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			query.Del(changes[i])
		}
	}
	if encoded := query.Encode(); encoded != "" {
		return v.base + "/" + v.path + "?" + encoded
	}
	return v.base + "/" + v.path
}
