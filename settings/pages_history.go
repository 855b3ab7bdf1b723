package settings

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

const (
	historyPage = 50
	// searchTime is how long a page looks for deliveries that its filter
	// selects, before it shows what it has and offers to go on.
	searchTime = 30 * time.Millisecond
	// endpointChoices bounds the list of endpoints to choose from.
	endpointChoices = 200
)

// deliveryRow is a delivery in a list.
type deliveryRow struct {
	alotwebhook.Delivery
	EndpointURL string // "" if the endpoint is deleted, or goes without saying
}

// deliveriesView is a table of them.
type deliveriesView struct {
	Base        string
	Rows        []deliveryRow
	OneEndpoint bool // all are to the same
}

type historyView struct {
	Rows      []deliveryRow
	Endpoints []alotwebhook.Endpoint // to choose from
	Types     []alotwebhook.EventType
	States    []alotwebhook.DeliveryState
	Filter    alotwebhook.Filter

	Older   string    // address of the next page
	Reached time.Time // how far back the search came, if there may be more
	Newest  string    // address of the first page, if this is not it
	Live    bool
	Toggle  string // address with live updates on or off
}

// Filtered reports whether anything is selected at all.
func (h historyView) Filtered() bool {
	f := h.Filter
	return f.EndpointID != "" || f.EventID != "" || f.EventType != "" || f.State != "" || !f.Since.IsZero() || !f.Until.IsZero()
}

// Unlisted reports whether the endpoint that is selected is none to choose from.
func (h historyView) Unlisted() bool {
	return h.Filter.EndpointID != "" && !slices.ContainsFunc(h.Endpoints, func(e alotwebhook.Endpoint) bool {
		return e.ID == h.Filter.EndpointID
	})
}

// UnlistedType reports the same of the event type.
func (h historyView) UnlistedType() bool {
	return h.Filter.EventType != "" && !slices.ContainsFunc(h.Types, func(t alotwebhook.EventType) bool {
		return t.Name == h.Filter.EventType
	})
}

// Input is a time as a field of a form takes it.
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
		q.refuse("live", "can be off")
	}
	if q.err() != nil {
		return badRequest("Its address has a part that is not understood: " + q.errs[0].Field + " " + q.errs[0].Detail + ".")
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
	return v.show(http.StatusOK, "history", view{Heading: "History", Section: "history", Data: data})
}

// historyFilter reads what is selected. An endpoint that is not the
// organization's selects nothing, as it would if it did not exist.
func (v *visit) historyFilter(q *query) alotwebhook.Filter {
	f := alotwebhook.Filter{
		OrganizationID: v.organization, State: q.state("status"), EventType: q.eventType("type"),
		EndpointID: q.id("endpoint", endpointPrefix), EventID: q.id("event", eventPrefix),
		Since: q.moment("since"), Until: q.moment("until"),
		Cursor: q.cursor(deliveryPrefix), Limit: historyPage,
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		q.refuse("until", "must be later than since")
	}
	return f
}

// search fills a page, for as long as it takes within bounds.
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

// historyAddress is this page's address with other parameters; "" takes one away.
func (v *visit) historyAddress(changes ...string) string {
	query := v.r.URL.Query()
	query.Del(flashName)
	for name, values := range query {
		if values[0] == "" { // forms send all of their fields
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
