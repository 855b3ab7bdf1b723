package settings

import (
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

const (
	// outageDays is how far back an endpoint's page looks for what failed before the endpoint
	// succeeded again.
	outageDays = 7 * 24 * time.Hour
	// outagePage is how many deliveries it reads at once, until searchTime is over.
	outagePage = 100
)

// outage is what failed for good before an endpoint succeeded again, and what nobody has begun to
// recover since.
type outage struct {
	Failed   int       // how many deliveries; 0 if there is nothing to offer
	More     bool      // there may be others
	From, To time.Time // of the events; what is offered is a recovery since From
	ended    time.Time // when the last of them failed
}

// chosenOrGone are the reasons of deliveries that are not offered: somebody chose that they are not
// sent, or they cannot be sent again.
var chosenOrGone = []alotwebhook.FailureReason{
	alotwebhook.ReasonDiscarded, alotwebhook.ReasonCanceled, alotwebhook.ReasonErased, alotwebhook.ReasonEndpointDeleted,
	alotwebhook.ReasonUnsendable,
}

// outage returns what the page of an endpoint offers to recover. That is nothing while the endpoint
// is disabled or failing, or a recovery runs.
func (v *visit) outage(e alotwebhook.Endpoint, last *alotwebhook.Recovery) (outage, error) {
	if e.Disabled || !e.FailingSince.IsZero() || last != nil && last.State.Active() {
		return outage{}, nil
	}
	o, err := v.failures(e.ID, last)
	if err != nil || o.Failed == 0 {
		return outage{}, err
	}
	delivered, _, err := v.dispatcher.DeliveryPage(v.r.Context(), alotwebhook.Filter{
		OrganizationID: v.who.organization, EndpointID: e.ID, State: alotwebhook.StateDelivered, Since: o.From, Limit: outagePage,
	})
	later := func(d alotwebhook.Delivery) bool { return !d.FinishedAt.Before(o.ended) } // ids go by the events
	if err != nil || !slices.ContainsFunc(delivered, later) {
		return outage{}, err // it does not fail any more, but nothing says yet that it succeeds
	}
	return o, nil
}

// failures returns what has failed for good since the last recovery began.
func (v *visit) failures(endpointID string, last *alotwebhook.Recovery) (o outage, err error) {
	began := time.Now()
	f := alotwebhook.Filter{
		OrganizationID: v.who.organization, EndpointID: endpointID, State: alotwebhook.StateFailed,
		Since: began.Add(-outageDays), Limit: outagePage,
	}
	for {
		page, next, err := v.dispatcher.DeliveryPage(v.r.Context(), f)
		if err != nil {
			return outage{}, err
		}
		for _, d := range page {
			if last == nil || d.FinishedAt.After(last.CreatedAt) {
				o.add(d)
			}
		}
		if f.Cursor = next; next == "" {
			return o, nil
		}
		if time.Since(began) > searchTime {
			o.More, o.From = true, f.Since
			return o, nil
		}
	}
}

// add counts a delivery. They come in descending order of their events.
func (o *outage) add(d alotwebhook.Delivery) {
	if slices.Contains(chosenOrGone, d.LastReason) {
		return
	}
	if o.Failed++; o.Failed == 1 {
		o.To = idTime(d.ID)
	}
	o.From = idTime(d.ID)
	if d.FinishedAt.After(o.ended) {
		o.ended = d.FinishedAt
	}
}

// span is a choice of how far back a recovery goes, with how much that sends again.
type span struct {
	choice
	Failed int
	More   bool // there may be others
}

// spansOf counts the failed deliveries of each choice, until searchTime is over.
func (v *visit) spansOf(endpointID string) ([]span, error) {
	began := time.Now()
	counted := make([]span, len(spans))
	for i := range spans {
		counted[i].choice = spans[i]
	}
	f := alotwebhook.Filter{OrganizationID: v.who.organization, EndpointID: endpointID, State: alotwebhook.StateFailed, Limit: outagePage}
	for {
		page, next, err := v.dispatcher.DeliveryPage(v.r.Context(), f)
		if err != nil {
			return nil, err
		}
		for _, d := range page {
			for i := range counted {
				counted[i].add(d, began)
			}
		}
		if f.Cursor = next; next == "" {
			return counted, nil
		}
		if time.Since(began) > searchTime {
			for i := range counted {
				counted[i].More = counted[i].covers(idTime(next), began)
			}
			return counted, nil
		}
	}
}

// covers reports whether the choice is about an event of that time.
func (s *span) covers(at, now time.Time) bool { return s.After == 0 || !at.Before(now.Add(-s.After)) }

// add counts a delivery that a recovery sends again.
func (s *span) add(d alotwebhook.Delivery, now time.Time) {
	if d.LastReason != alotwebhook.ReasonCanceled && d.LastReason != alotwebhook.ReasonErased && s.covers(idTime(d.ID), now) {
		s.Failed++
	}
}
