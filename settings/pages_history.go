package settings

import (
	"errors"
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
	"endpoint": "Endpoint", "status": "State", "type": "Event type", "since": "From", "until": "To", "event": "Event id",
}

// deliveryRow is a row of a list of deliveries.
type deliveryRow struct {
	alotwebhook.Delivery
	EndpointURL string // "" if the endpoint was deleted, or if the list does not show it
}

// deliveriesView is a list of deliveries.
type deliveriesView struct {
	Base        string
	Rows        []deliveryRow
	OneEndpoint bool // all are to the same endpoint, so the list does not show it
}

// historyView is a page of the history.
type historyView struct {
	Rows      []deliveryRow
	Endpoints []alotwebhook.Endpoint      // that the filter offers
	Types     []alotwebhook.EventType     // that the filter offers
	States    []alotwebhook.DeliveryState // that the filter offers
	Filter    alotwebhook.Filter

	Older   string    // address of the next page; "" on the last page
	Reached time.Time // how far back the page searched, if it did not search to the end
	Newest  string    // address of the first page; "" on the first page
	Live    bool      // the page updates itself
	Toggle  string    // address of the page with live updates on or off
}

// Filtered reports whether any filter is set.
func (h historyView) Filtered() bool {
	f := h.Filter
	return f.EndpointID != "" || f.EventID != "" || f.EventType != "" || f.State != "" || !f.Since.IsZero() || !f.Until.IsZero()
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

// Input returns a time as the value of a datetime-local field, in UTC.
func (historyView) Input(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05")
}

func (v *visit) listHistory() error {
	q := readQuery(v.r, "endpoint", "event", "status", "type", "since", "until", "cursor", "live", flashName)
	data := historyView{Filter: v.historyFilter(q), Types: v.dispatcher.EventTypes()}
	live := q.values.Get("live")
	if live != "" && live != "off" {
		q.refuse("live", "must be off or left out")
	}
	if q.err() != nil {
		return pageProblem(http.StatusBadRequest, "We could not read that filter", summary(q.problems))
	}
	for _, s := range states {
		data.States = append(data.States, alotwebhook.DeliveryState(s))
	}
	next, err := v.search(&data)
	if err != nil {
		return err
	}
	if data.Endpoints, _, err = v.endpoints("", endpointChoices); err != nil {
		return err
	}
	if err := v.nameEndpoints(&data); err != nil {
		return err
	}
	v.linkHistory(&data, next, live)
	return v.show(http.StatusOK, "history", view{Heading: "History", Section: "history", Data: data})
}

// linkHistory sets the addresses that the page links to. next is the cursor of the
// next page, live the value of that parameter. Only the first page updates itself.
func (v *visit) linkHistory(data *historyView, next, live string) {
	first := data.Filter.Cursor == ""
	data.Live = first && live == ""
	if next != "" {
		data.Older = v.historyAddress("cursor", next, "live", "")
	}
	if first {
		data.Toggle = v.historyAddress("live", map[bool]string{true: "off", false: ""}[data.Live])
	} else {
		data.Newest = v.historyAddress("cursor", "")
	}
}

// historyFilter reads the filter. An endpoint of another organization matches
// nothing, as one that does not exist would.
func (v *visit) historyFilter(q *query) alotwebhook.Filter {
	q.labels = historyLabels
	f := q.filter(pageLayouts...)
	f.OrganizationID = v.who.organization
	f.EndpointID, f.EventID = q.id("endpoint", endpointPrefix), q.id("event", eventPrefix)
	f.Cursor, f.Limit = q.cursor(deliveryPrefix), historyPage
	return f
}

// search reads deliveries until the page is full, the history ends, or searchTime is
// over. It returns the cursor of the next page.
func (v *visit) search(data *historyView) (next string, err error) {
	f := data.Filter
	for began := time.Now(); ; {
		f.Limit = historyPage - len(data.Rows)
		found, next, err := v.dispatcher.DeliveryPage(v.r.Context(), f)
		if err != nil {
			return "", err
		}
		for _, d := range found {
			data.Rows = append(data.Rows, deliveryRow{Delivery: d})
		}
		if next == "" || len(data.Rows) >= historyPage {
			return next, nil
		}
		if time.Since(began) > searchTime {
			data.Reached = idTime(next)
			return next, nil
		}
		f.Cursor = next
	}
}

// nameEndpoints gives each row its endpoint's URL.
func (v *visit) nameEndpoints(data *historyView) error {
	urls := make(map[string]string, len(data.Endpoints))
	for _, e := range data.Endpoints {
		urls[e.ID] = e.URL
	}
	for i := range data.Rows {
		row := &data.Rows[i]
		known, ok := urls[row.EndpointID]
		if !ok {
			e, err := v.dispatcher.Endpoint(v.r.Context(), row.EndpointID)
			if err != nil && !errors.Is(err, alotwebhook.ErrNotFound) {
				return err
			}
			known, urls[row.EndpointID] = e.URL, e.URL
		}
		row.EndpointURL = known
	}
	return nil
}

// historyAddress returns the address of this page with some parameters changed. The
// changes are name and value in turn; the value "" removes a parameter.
func (v *visit) historyAddress(changes ...string) string {
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
		return v.base + "/history?" + encoded
	}
	return v.base + "/history"
}
