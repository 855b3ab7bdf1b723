package settings

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
)

// endpointsPage is how many endpoints a page lists. Most organizations have fewer, so
// that all endpoints that need attention stand at the beginning of the list.
const endpointsPage = 100

// standing is the state of an endpoint as the pages show it: a word and the name of a
// shape.
type standing struct {
	Word, Icon string
	Attention  bool // the endpoint needs attention
}

func standingOf(e alotwebhook.Endpoint) standing {
	switch {
	case e.DisabledReason == alotwebhook.DisabledFailing:
		return standing{"Disabled after failures", "failed", true}
	case e.DisabledReason == alotwebhook.DisabledGone:
		return standing{"Disabled after 410 Gone", "failed", true}
	case e.DisabledReason == alotwebhook.DisabledUnproven:
		return standing{"URL not proven", "parked", true}
	case e.Disabled:
		return standing{"Disabled", "parked", false}
	case !e.FailingSince.IsZero():
		return standing{"Failing", "failing", true}
	}
	return standing{"Enabled", "delivered", false}
}

// endpointRow is a row of the list of endpoints.
type endpointRow struct {
	alotwebhook.Endpoint
	Standing    standing
	Paused      time.Time // since when the host holds back what is sent to it; zero if it does not
	Day         day
	LastFailure newestFailure
}

// endpointsView is a page of the list of endpoints.
type endpointsView struct {
	Attention, Rest []endpointRow
	Next            string // cursor of the next page; "" on the last page
	First           bool   // this is the first page
	URLPart         string // only endpoints with this in their URL are listed
	Problem         string // why URLPart is refused
}

// Empty reports whether the organization has no endpoints.
func (l endpointsView) Empty() bool { return l.First && l.URLPart == "" && l.rows() == 0 }

// Long reports whether there are so many endpoints that one may want to search them.
func (l endpointsView) Long() bool {
	return l.URLPart != "" || !l.First || l.Next != "" || l.rows() >= longList
}

// longList is how many endpoints no longer stand on one screen.
const longList = 8

func (l endpointsView) rows() int { return len(l.Attention) + len(l.Rest) }

func (v *visit) listEndpoints() error {
	q := readQuery(v.r, "cursor", "url", flashName)
	cursor := q.cursor(endpointPrefix)
	if q.err() != nil {
		return errAddress
	}
	list := endpointsView{First: cursor == "", URLPart: strings.TrimSpace(q.values.Get("url"))}
	if len(list.URLPart) > maxURLPart {
		list.Problem = "It is longer than 256 bytes; give a part of it."
		return v.show(http.StatusBadRequest, "endpoints", view{Heading: "Endpoints", Section: "endpoints", Data: list})
	}
	found, next, err := v.endpoints(alotwebhook.EndpointFilter{Cursor: cursor, URLPart: list.URLPart}, endpointsPage)
	if err != nil {
		return err
	}
	if list, err = v.rows(list, found); err != nil {
		return err
	}
	list.Next = next
	return v.show(http.StatusOK, "endpoints", view{Heading: "Endpoints", Section: "endpoints", Data: list})
}

// rows adds the endpoints to the list, with what a row says of each.
func (v *visit) rows(list endpointsView, found []alotwebhook.Endpoint) (endpointsView, error) {
	days, err := v.days(found...)
	if err != nil {
		return list, err
	}
	paused, err := v.dispatcher.Pauses(v.r.Context())
	if err != nil {
		return list, err
	}
	for _, e := range found {
		row := endpointRow{Endpoint: e, Standing: standingOf(e), Paused: pauses(paused).since(e.OrganizationID, e.ID), Day: days[e.ID]}
		if row.LastFailure, err = v.lastFailure(e.ID); err != nil {
			return list, err
		}
		if row.Standing.Attention {
			list.Attention = append(list.Attention, row)
		} else {
			list.Rest = append(list.Rest, row)
		}
	}
	list.sort()
	return list, nil
}

// sort puts the disabled endpoints first among those that need attention, because they
// get no events, and last among the others.
func (l endpointsView) sort() {
	slices.SortStableFunc(l.Attention, func(a, b endpointRow) int {
		return boolean(b.Disabled) - boolean(a.Disabled)
	})
	slices.SortStableFunc(l.Rest, func(a, b endpointRow) int {
		return boolean(a.Disabled) - boolean(b.Disabled)
	})
}

// boolean returns 1 for true and 0 for false.
func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// endpoints returns up to limit endpoints of the organization that f selects, and the cursor of
// the next page.
func (v *visit) endpoints(f alotwebhook.EndpointFilter, limit int) (found []alotwebhook.Endpoint, next string, err error) {
	return v.who.endpoints(v.r.Context(), v.dispatcher, f, limit)
}

// days returns the last 24 hours of each endpoint, by its id. It returns nil if the
// store counts no attempts; a day that is not in the map is not Known.
func (v *visit) days(endpoints ...alotwebhook.Endpoint) (map[string]day, error) {
	now := time.Now()
	ids := make([]string, len(endpoints))
	for i, e := range endpoints {
		ids[i] = e.ID
	}
	tallies, err := v.dispatcher.Tallies(v.r.Context(), now.Add(-(chartHours-1)*time.Hour), ids...)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	byEndpoint := map[string][]alotwebhook.Tally{}
	for _, t := range tallies {
		byEndpoint[t.EndpointID] = append(byEndpoint[t.EndpointID], t)
	}
	days := make(map[string]day, len(ids))
	for _, id := range ids {
		days[id] = newDay(byEndpoint[id], now)
	}
	return days, nil
}

// newestFailure is the newest failed delivery to an endpoint, if there is one.
type newestFailure struct {
	Delivery *alotwebhook.Delivery // nil if none was found
	Unsure   bool                  // the search ended early: there may be one further back
}

func (v *visit) lastFailure(endpointID string) (newestFailure, error) {
	found, next, err := v.dispatcher.DeliveryPage(v.r.Context(), alotwebhook.Filter{
		OrganizationID: v.who.organization, EndpointID: endpointID, State: alotwebhook.StateFailed, Limit: 1,
	})
	if err != nil || len(found) == 0 {
		return newestFailure{Unsure: next != ""}, err
	}
	return newestFailure{Delivery: &found[0]}, nil
}
