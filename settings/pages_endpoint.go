package settings

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

// recentDeliveries is how many deliveries the page of an endpoint shows.
const recentDeliveries = 10

// recoveryShown is how long the page of an endpoint shows a recovery after its end.
const recoveryShown = 24 * time.Hour

// endpointView is the page of an endpoint.
type endpointView struct {
	Endpoint alotwebhook.Endpoint
	Standing standing
	Paused   time.Time // since when the host holds back what is sent to it; zero if it does not
	Day      day
	Recent   []deliveryRow
	Changes  []alotwebhook.Operation
	Types    []alotwebhook.EventType // those that the endpoint subscribes to come first
	Wide     []wide                  // its subscriptions with a star
	Versions []string                // of payloads, from the oldest to today's
	Recovery *alotwebhook.Recovery   // running or ended recently; nil if there is none
	Failed   bool                    // there are failed deliveries, or there may be some
	Outage   outage                  // what the page offers to recover beside the form
	Spans    []span                  // the choices of the form
	Missed   bool                    // the store can send what was missed
	Parked   int                     // parked deliveries, up to maxParked
}

// Single returns the subscriptions without a star.
func (e endpointView) Single() []string {
	return slices.DeleteFunc(slices.Clone(e.Endpoint.EventTypes), isWide)
}

// maxParked is how many parked deliveries the page of an endpoint counts.
const maxParked = 100

// ManyParked reports whether there may be more parked deliveries than were counted.
func (e endpointView) ManyParked() bool { return e.Parked == maxParked }

// Version returns the version of payloads that the endpoint gets; "" if there are none.
func (e endpointView) Version() string {
	if len(e.Versions) == 0 {
		return ""
	}
	return cmp.Or(e.Endpoint.PayloadVersion, e.Versions[0])
}

// Newest reports whether the endpoint gets today's version of payloads, or there are none.
func (e endpointView) Newest() bool {
	return len(e.Versions) == 0 || e.Version() == e.Versions[len(e.Versions)-1]
}

// Rotating reports whether a rotation is still to take effect.
func (e endpointView) Rotating() bool { return e.Endpoint.NextSecretAt.After(time.Now()) }

// Busy reports whether a recovery is running.
func (e endpointView) Busy() bool {
	return e.Recovery != nil && e.Recovery.State.Active()
}

func (v *visit) showEndpoint() error {
	if readQuery(v.r, flashName).err() != nil {
		return errAddress
	}
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	return v.endpointPage(http.StatusOK, e, nil)
}

// endpointPage shows the page of an endpoint, with a flash unless that is nil.
func (v *visit) endpointPage(status int, e alotwebhook.Endpoint, said *flash) error {
	data := endpointView{Endpoint: e, Standing: standingOf(e), Types: v.dispatcher.EventTypes()}
	slices.SortStableFunc(data.Types, func(a, b alotwebhook.EventType) int {
		return boolean(e.Subscribes(b.Name)) - boolean(e.Subscribes(a.Name))
	})
	data.Wide = wides(v.dispatcher.EventTypes(), false, e.EventTypes)
	_, data.Versions = v.dispatcher.Offers()
	if err := v.fillEndpoint(&data); err != nil {
		return err
	}
	var err error
	data.Missed = v.sendsMissed()
	if data.Parked, err = v.parked(e); err != nil {
		return err
	}
	return v.show(status, "endpoint", view{Heading: site(e.URL), Section: "endpoints", Flash: said, Data: data})
}

// sendsMissed reports whether the store can send what endpoints have missed. The dispatcher refuses first
// what the store cannot do, and then an endpoint that there cannot be.
func (v *visit) sendsMissed() bool {
	_, err := v.dispatcher.SendMissed(v.r.Context(), "", time.Time{})
	return !errors.Is(err, errors.ErrUnsupported)
}

// fillEndpoint reads the part of the page that changes while a visitor looks at it.
func (v *visit) fillEndpoint(data *endpointView) error {
	id := data.Endpoint.ID
	days, err := v.days(data.Endpoint)
	if err != nil {
		return err
	}
	data.Day = days[id]
	paused, err := v.dispatcher.Pauses(v.r.Context())
	if err != nil {
		return err
	}
	data.Paused = pauses(paused).since(v.who.organization, id)
	found, _, err := v.dispatcher.DeliveryPage(v.r.Context(), alotwebhook.Filter{
		OrganizationID: v.who.organization, EndpointID: id, Limit: recentDeliveries,
	})
	if err != nil {
		return err
	}
	for _, d := range found {
		data.Recent = append(data.Recent, deliveryRow{Delivery: d, Base: v.base})
	}
	failed, err := v.lastFailure(id)
	if err != nil {
		return err
	}
	data.Failed = failed.Delivery != nil || failed.Unsure
	if data.Changes, err = v.operations(id); err != nil {
		return err
	}
	return v.fillRecovery(data)
}

// fillRecovery reads the endpoint's recovery, which the page shows if it is running or has ended
// recently, and what the page offers to recover, which is not in its live part.
func (v *visit) fillRecovery(data *endpointView) error {
	recovery, err := v.dispatcher.Recovery(v.r.Context(), data.Endpoint.ID)
	last := &recovery
	if errors.Is(err, alotwebhook.ErrNotFound) {
		last, err = nil, nil
	}
	if err == nil && !v.isLive() {
		if data.Outage, err = v.outage(data.Endpoint, last); err == nil {
			data.Spans, err = v.spansOf(data.Endpoint.ID)
		}
	}
	if last != nil && (last.FinishedAt.IsZero() || time.Since(last.FinishedAt) < recoveryShown) {
		data.Recovery = last
	}
	return err
}

// parked counts the parked deliveries of an endpoint, up to maxParked.
func (v *visit) parked(e alotwebhook.Endpoint) (int, error) {
	if !e.Disabled {
		return 0, nil
	}
	page, next, err := v.dispatcher.DeliveryPage(v.r.Context(), alotwebhook.Filter{
		OrganizationID: v.who.organization, EndpointID: e.ID, State: alotwebhook.StateParked, Limit: maxParked,
	})
	if next != "" {
		return maxParked, err // a page that was cut short may have passed over others
	}
	return len(page), err
}

// enableEndpoint enables the endpoint, and sends or discards what is parked.
func (v *visit) enableEndpoint() error {
	given, err := readForm(v.r, "parked", "since")
	if err != nil {
		return err
	}
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	var options alotwebhook.EnableOptions
	switch given.get("parked") {
	case "", "send":
	case "discard":
		options.Discard = true
	case "since":
		var ok bool
		if options.Since, ok = parseTime(given.get("since"), pageLayouts); !ok {
			return badForm("Give the date and time since which parked deliveries are to be sent.")
		}
	default:
		return badForm("Choose what becomes of the parked deliveries.")
	}
	e, err = v.dispatcher.EnableEndpoint(v.r.Context(), e.ID, options)
	switch {
	case errors.Is(err, alotwebhook.ErrRecovering):
		return v.redirect(v.r.PathValue("id"), "busy")
	case errors.Is(err, alotwebhook.ErrInvalid):
		return badForm("Give a time in the past.")
	case err != nil:
		return err
	case e.Disabled:
		return v.redirect(e.ID, "discarding")
	case options.Discard:
		return v.redirect(e.ID, "discarded")
	}
	return v.redirect(e.ID, "enabled")
}

// proveEndpoint asks the endpoint's receiver for a proof of the URL. The page of the endpoint says what
// came back instead of one.
func (v *visit) proveEndpoint() error {
	if _, err := readForm(v.r); err != nil {
		return err
	}
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	_, err = v.dispatcher.ProveEndpoint(v.r.Context(), e.ID)
	if missing := unproven(err, ""); missing != "" {
		v.path = e.ID
		return v.endpointPage(http.StatusConflict, e, &flash{Text: missing + " Try again once your service answers.", Warning: true})
	}
	if err != nil {
		return err
	}
	return v.redirect(e.ID, "proven")
}

// disableEndpoint disables the endpoint. If somebody else changes it at the same moment,
// disableEndpoint tries again on the new version.
func (v *visit) disableEndpoint() error {
	if _, err := readForm(v.r); err != nil {
		return err
	}
	for tries := 0; ; tries++ {
		e, err := v.endpoint()
		if err != nil {
			return err
		}
		e.Disabled = true
		_, err = v.dispatcher.UpdateEndpoint(v.r.Context(), e)
		if errors.Is(err, alotwebhook.ErrConflict) && tries < maxTries {
			continue
		}
		if err != nil {
			return err
		}
		return v.redirect(e.ID, "disabled")
	}
}

func (v *visit) sendTest() error {
	given, err := readForm(v.r, "type")
	if err != nil {
		return err
	}
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	event, err := v.dispatcher.SendTest(v.r.Context(), e.ID, given.get("type"))
	if errors.Is(err, alotwebhook.ErrInvalid) {
		return errNoType
	}
	if err != nil {
		return err
	}
	return v.redirect("deliveries/"+alotwebhook.DeliveryID(event.ID, e.ID), "tested")
}

// choice is an option of a form that stands for a duration.
type choice struct {
	Value, Label string
	After        time.Duration
}

// chosen returns the choice with the value, and whether there is one.
func chosen(choices []choice, value string) (choice, bool) {
	i := slices.IndexFunc(choices, func(c choice) bool { return c.Value == value })
	if i < 0 {
		return choice{}, false
	}
	return choices[i], true
}

// spans are the choices of how far back a recovery goes. The duration 0 stands for all
// of the history.
var spans = []choice{
	{"1h", "Last hour", time.Hour},
	{"24h", "Last 24 hours", 24 * time.Hour},
	{"7d", "Last 7 days", 7 * 24 * time.Hour},
	{"all", "Whole history", 0},
}

func (v *visit) recoverFailed() error {
	return v.beginSince(v.dispatcher.Recover, "recovering", "Choose which failed deliveries to send again.")
}

func (v *visit) sendMissed() error {
	return v.beginSince(v.dispatcher.SendMissed, "sending", "Choose which events to send.")
}

// beginSince starts a recovery of the endpoint, since the time in the form.
func (v *visit) beginSince(begin func(context.Context, string, time.Time) (alotwebhook.Recovery, error), done, otherwise string) error {
	given, err := readForm(v.r, "since")
	if err != nil {
		return err
	}
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	since, ok := recoverSince(given.get("since"))
	if !ok {
		return badForm(otherwise)
	}
	_, err = begin(v.r.Context(), e.ID, since)
	if errors.Is(err, alotwebhook.ErrRecovering) {
		return v.redirect(e.ID, "busy")
	}
	if err != nil {
		return err
	}
	return v.redirect(e.ID, done)
}

// recoverSince returns since when to recover: how far back is chosen, or the time that the page
// offers. ok is false for any other value, and for a time that is yet to come.
func recoverSince(given string) (since time.Time, ok bool) {
	span, ok := chosen(spans, given)
	switch {
	case !ok:
		since, err := time.Parse(time.RFC3339, given)
		return since, err == nil && since.Before(time.Now())
	case span.After > 0:
		since = time.Now().Add(-span.After)
	}
	return since, true
}

func (v *visit) stopRecovery() error {
	if _, err := readForm(v.r); err != nil {
		return err
	}
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	found, err := v.dispatcher.Recovery(v.r.Context(), e.ID)
	if err != nil {
		return err
	}
	if needs := actionOf(found).needs; !needs.met(v.who.may) {
		return v.notAllowed(needs.missing(v.who.may))
	}
	if _, err := v.dispatcher.StopRecovery(v.r.Context(), e.ID); err != nil {
		return err
	}
	return v.redirect(e.ID, "stopped")
}

func (v *visit) confirmDelete() error {
	if readQuery(v.r).err() != nil {
		return errAddress
	}
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "delete", view{Heading: "Delete " + site(e.URL) + "?", Section: "endpoints", Data: e})
}

// deleteEndpoint deletes the endpoint if the form comes from the page that asks for
// confirmation. Any other form leads to that page.
func (v *visit) deleteEndpoint() error {
	given, err := readForm(v.r, "confirmed")
	if err != nil {
		return err
	}
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	if given.get("confirmed") != "yes" {
		return v.redirect(e.ID+"/delete", "")
	}
	if err := v.dispatcher.DeleteEndpoint(v.r.Context(), e.ID); err != nil {
		return err
	}
	return v.redirect("", "deleted")
}
