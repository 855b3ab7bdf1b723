package settings

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/envelope"
	"github.com/alot/alotwebhook/internal/text"
)

// searchView is the page of a search that leads to no single place.
type searchView struct {
	Query        string
	Organization string             // the path of its pages, if the query is the id of one
	Endpoints    []operatorEndpoint // by a part of the URL
	More         string             // address of the list of all of them; "" if all are shown
	Event        *eventFound        // an event that went nowhere
	Subject      string             // address of the deliveries of events about it, if the query is one
	Gone         []goneLink         // what is left of an endpoint that is gone
}

// eventFound is an event without deliveries.
type eventFound struct {
	alotwebhook.Event
	Pages string // path of the organization's pages
}

// goneLink leads to what is left of something.
type goneLink struct{ Address, Label string }

// Nothing reports whether nothing was found.
func (s searchView) Nothing() bool {
	return s.Organization+s.Subject == "" && len(s.Endpoints)+len(s.Gone) == 0 && s.Event == nil
}

// listedFound is how many endpoints a search shows.
const listedFound = 20

// find searches. An id of something that there is leads to its page at once.
func (o *operatorPages) find(v *visit) error {
	q := readQuery(v.r, "q", flashName)
	wanted := strings.TrimSpace(q.values.Get("q"))
	if len(wanted) > maxURLPart || !text.IsPlain(wanted) {
		q.refuse("q", "must be at most 256 bytes without control characters")
	}
	if q.err() != nil {
		return pageProblem(http.StatusBadRequest, "We cannot search for that", summary(q.problems))
	}
	data := searchView{Query: wanted}
	if wanted != "" {
		target, err := v.findAny(&data)
		if err != nil {
			return err
		}
		if target != "" {
			return v.lead(target)
		}
	}
	return v.show(http.StatusOK, "operator_search", view{Heading: "Search", Section: "search", Data: data})
}

// finders find what has an id with the prefix. They return the address of its page; "" if there is
// no such thing, and then they may tell of it in the data.
var finders = map[string]func(*visit, *searchView) (string, error){
	eventPrefix: (*visit).findEvent, deliveryPrefix: (*visit).findDelivery, endpointPrefix: (*visit).findEndpoint,
	recoveryPrefix: (*visit).findRecovery, operationPrefix: (*visit).findOperation,
}

// findAny finds what has the id, or else by the text.
func (v *visit) findAny(data *searchView) (target string, err error) {
	prefix, _, _ := strings.Cut(data.Query, "_")
	find := finders[prefix+"_"]
	if find == nil || !isID(prefix+"_", data.Query) {
		return v.findText(data)
	}
	// No store holds anything of a time that it cannot hold.
	if target, err = find(v, data); errors.Is(err, alotwebhook.ErrNotFound) || errors.Is(err, alotwebhook.ErrInvalid) {
		return "", nil
	}
	return target, err
}

// findEvent leads to the delivery of an event, or to the list of several.
func (v *visit) findEvent(data *searchView) (string, error) {
	page, next, err := v.dispatcher.DeliveryPage(v.r.Context(), alotwebhook.Filter{EventID: data.Query, Limit: 2})
	switch {
	case err != nil:
		return "", err
	case len(page) == 1 && next == "":
		return v.baseOf(page[0].OrganizationID) + "/deliveries/" + page[0].ID, nil
	case len(page) > 0 || next != "":
		return v.base + "/deliveries?event=" + data.Query, nil
	}
	event, err := v.dispatcher.Event(v.r.Context(), data.Query)
	if err == nil {
		data.Event = &eventFound{event, v.baseOf(event.OrganizationID)}
	}
	return "", err
}

func (v *visit) findDelivery(data *searchView) (string, error) {
	d, err := v.dispatcher.Delivery(v.r.Context(), data.Query)
	return v.baseOf(d.OrganizationID) + "/deliveries/" + d.ID, err
}

// findEndpoint leads to the page of an endpoint. One that was deleted has left its history.
func (v *visit) findEndpoint(data *searchView) (string, error) {
	e, err := v.dispatcher.Endpoint(v.r.Context(), data.Query)
	if !errors.Is(err, alotwebhook.ErrNotFound) {
		return v.baseOf(e.OrganizationID) + "/" + e.ID, err
	}
	deliveries, next, err := v.dispatcher.DeliveryPage(v.r.Context(), alotwebhook.Filter{EndpointID: data.Query, Limit: 1})
	if len(deliveries) > 0 || next != "" {
		data.Gone = append(data.Gone, goneLink{v.base + "/deliveries?endpoint=" + data.Query, "Its deliveries"})
	}
	if err != nil {
		return "", err
	}
	operations, next, err := v.dispatcher.Operations(v.r.Context(), alotwebhook.OperationFilter{EndpointID: data.Query, Limit: 1})
	if len(operations) > 0 || next != "" {
		data.Gone = append(data.Gone, goneLink{v.base + "/operations?endpoint=" + data.Query, "What happened to it"})
	}
	return "", err
}

func (v *visit) findRecovery(data *searchView) (string, error) {
	r, err := v.dispatcher.Recovery(v.r.Context(), data.Query)
	return v.base + "/recoveries/" + r.EndpointID, err
}

// findOperation leads to the audit trail from the operation on.
func (v *visit) findOperation(data *searchView) (string, error) {
	at := idTime(data.Query)
	f := alotwebhook.OperationFilter{Since: at, Until: at.Add(time.Millisecond)}
	for {
		page, next, err := v.dispatcher.Operations(v.r.Context(), f)
		if err != nil {
			return "", err
		}
		for _, op := range page {
			if op.ID == data.Query {
				return v.base + "/operations?operation=" + op.ID + "#" + op.ID, nil
			}
		}
		if f.Cursor = next; next == "" {
			return "", nil
		}
	}
}

// findSubject returns the address of the deliveries of events about that subject; "" if there are none.
func (v *visit) findSubject(subject string) (string, error) {
	if envelope.SubjectProblem(subject) != "" {
		return "", nil
	}
	page, next, err := v.dispatcher.DeliveryPage(v.r.Context(), alotwebhook.Filter{Subject: subject, Limit: 1})
	if err != nil || len(page) == 0 && next == "" {
		return "", err
	}
	return v.base + "/deliveries?" + url.Values{"subject": {subject}}.Encode(), nil
}

// findText finds the organization whose id the text is, events by their subject, and endpoints by a
// part of their URLs.
func (v *visit) findText(data *searchView) (target string, err error) {
	known, err := v.knows(v.r.Context(), data.Query)
	if err != nil {
		return "", err
	}
	if data.Subject, err = v.findSubject(data.Query); err != nil {
		return "", err
	}
	if known {
		data.Organization = v.baseOf(data.Query)
	}
	found, next, err := v.manyEndpoints(alotwebhook.EndpointFilter{URLPart: data.Query}, listedFound)
	if data.Endpoints = found; next != "" {
		data.More = v.base + "/endpoints?" + url.Values{"url": {data.Query}}.Encode()
	}
	if known && len(found) == 0 && data.Subject == "" {
		return data.Organization + "/", err
	}
	return "", err
}

// knows reports whether there is anything of an organization: an endpoint, or a delivery to one
// that is gone.
func (v *visit) knows(ctx context.Context, organization string) (bool, error) {
	if !isOrganization(organization) {
		return false, nil
	}
	endpoints, _, err := endpointPage(ctx, v.dispatcher, alotwebhook.EndpointFilter{OrganizationID: organization}, 1)
	if err != nil || len(endpoints) > 0 {
		return len(endpoints) > 0, err
	}
	deliveries, _, err := v.dispatcher.DeliveryPage(ctx, alotwebhook.Filter{OrganizationID: organization, Limit: 1})
	return len(deliveries) > 0, err
}
