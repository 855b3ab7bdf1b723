package settings

import (
	"net/http"

	"github.com/alot/alotwebhook"
)

// operatorEndpoint is an endpoint in a list over all organizations.
type operatorEndpoint struct {
	endpointRow
	Base string // of the organization's pages
}

// operatorEndpoints is a page of the list of endpoints.
type operatorEndpoints struct {
	Rows     []operatorEndpoint
	Filter   alotwebhook.EndpointFilter
	Next     string // address of the next page; "" on the last
	First    string // address of the first page; "" on the first
	Filtered bool
}

// maxURLPart is the longest part of a URL to search for, in bytes.
const maxURLPart = 256

func (o *operatorPages) listEndpoints(v *visit) error {
	q := readQuery(v.r, "failing", "disabled", "url", "organization", "cursor", flashName)
	q.labels = map[string]string{"url": "Part of the URL", "organization": "Organization"}
	f := alotwebhook.EndpointFilter{
		OrganizationID: q.organization("organization"), URLPart: q.values.Get("url"), Cursor: q.cursor(endpointPrefix),
		Failing: q.yes("failing"), Disabled: q.yes("disabled"),
	}
	if len(f.URLPart) > maxURLPart {
		q.refuse("url", "is too long; give at most 256 bytes")
	}
	if err := q.refused(); err != nil {
		return err
	}
	data := operatorEndpoints{Filter: f, Filtered: f.OrganizationID+f.URLPart != "" || f.Failing || f.Disabled}
	rows, next, err := v.manyEndpoints(f, historyPage)
	if err != nil {
		return err
	}
	if err := v.fillDays(rows); err != nil {
		return err
	}
	if data.Rows = rows; next != "" {
		data.Next = v.addressWith("cursor", next)
	}
	if f.Cursor != "" {
		data.First = v.addressWith("cursor", "")
	}
	return v.show(http.StatusOK, "operator_endpoints", view{Heading: "Endpoints", Section: "endpoints", Data: data})
}

// manyEndpoints returns up to limit endpoints of any organization, and the cursor of the next page.
func (v *visit) manyEndpoints(f alotwebhook.EndpointFilter, limit int) (rows []operatorEndpoint, next string, err error) {
	found, next, err := endpointPage(v.r.Context(), v.dispatcher, f, limit)
	for _, e := range found {
		rows = append(rows, operatorEndpoint{endpointRow{Endpoint: e, Standing: standingOf(e)}, v.baseOf(e.OrganizationID)})
	}
	return rows, next, err
}

// fillDays gives each row the endpoint's last 24 hours.
func (v *visit) fillDays(rows []operatorEndpoint) error {
	endpoints := make([]alotwebhook.Endpoint, len(rows))
	for i, row := range rows {
		endpoints[i] = row.Endpoint
	}
	days, err := v.days(endpoints...)
	for i := range rows {
		rows[i].Day = days[rows[i].ID]
	}
	return err
}
