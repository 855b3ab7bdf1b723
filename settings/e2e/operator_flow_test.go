package e2e

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// operator is somebody who runs the host, and uses the pages in a tab.
type operator struct {
	*tab
	host    *host
	service *receiver
	pages   string // path of the pages of the organization that the test is about
}

// An operator finds out what is wrong, holds an organization back, and heals it.
func TestAnOperatorsDay(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, script bool) {
		h, _ := newOperators(t)
		h.runs(t)
		o := &operator{tab: open(t, h.base, script), host: h, service: newReceiver(t)}
		o.expected = []string{"status of 422"}
		o.pages = "organizations/" + url.PathEscape(odd) + "/"
		o.seesWhatFails()
		o.pausesAndResumes()
		o.searches()
		o.sendsAgain()
		o.cancels()
		o.readsTheTrail()
	})
}

func (o *operator) seesWhatFails() {
	o.visit("")
	o.sees("Nothing needs attention")
	o.service.breaks()
	o.host.endpointOf(o.t, odd, o.service.url)
	o.host.emitTo(o.t, odd, 3)
	o.comes("Needs attention", "1 endpoint fails", strings.TrimPrefix(o.service.url, "http://"))
	o.click(`[aria-labelledby="failing"] .lead a`)
	o.sees("These are the pages of "+odd, "Failing since", "500 Internal Server Error")
	o.at(func(path string) bool { return strings.HasPrefix(path, o.pages+"wh_") })
}

func (o *operator) pausesAndResumes() {
	o.click(`.banner a[href*="/pause"]`)
	o.sees("What is paused is not sent")
	o.click("form.form button.primary")
	o.sees("Nothing was paused", "Say why you do it")
	require.Equal(o.t, odd, run(o.tab, chromedp.Evaluate[string](`document.getElementById("field-organization").value`)))
	o.fill("#field-note", "Their database moves")
	o.click("form.form button.primary")
	o.sees("Paused. Processes claim no more", "is paused since", "by ann@example.com: Their database moves")
	if o.script {
		o.becomes(`document.activeElement.id`, is("flash"))
	}
	o.visit(o.pages)
	o.sees(odd+" is paused", "Their database moves")
	o.click(".banner .held a[href*=resume]")
	o.sees("Leave it paused")
	o.fill("#field-note", "It has moved")
	o.click("form.form button.primary")
	o.sees("Resumed. What another pause covers stays paused")
}

// searches finds the delivery of an event by the event's id, as a support person would.
func (o *operator) searches() {
	page, _, err := o.host.dispatcher.DeliveryPage(o.t.Context(), alotwebhook.Filter{OrganizationID: odd, Limit: 1})
	require.NoError(o.t, err)
	o.visit("")
	o.fill("#seek", page[0].EventID)
	o.click(".seek button")
	o.sees("Given up after 1 attempt", page[0].ID)
	o.at(is(o.pages + "deliveries/" + page[0].ID))
	o.fill("#seek", odd)
	o.click(".seek button")
	o.sees("Endpoints", "These are the pages of "+odd)
	o.at(is(o.pages))
	o.fill("#seek", "no such thing")
	o.click(".seek button")
	o.sees("Nothing was found", "by a part of an endpoint's URL")
}

func (o *operator) sendsAgain() {
	o.service.works()
	o.service.set(func(r *receiver) { r.any = true })
	o.visit("recover")
	o.fill("#field-organization", odd)
	o.choose("#field-reason", "Answered with")
	o.fill("#field-note", "Our certificate had expired")
	o.click("form.form button")
	o.sees("3 deliveries to 1 endpoint of 1 organization")
	if o.script {
		o.becomes(`document.activeElement.id`, is("flash"))
	}
	require.Zero(o.t, o.service.received(), "counting sends nothing")
	o.click("#do")
	o.sees("It has begun", "Our certificate had expired")
	o.comes("Done", "3 deliveries sent again")
	o.visit("deliveries?status=failed")
	o.comes("No delivery matches")
	require.Equal(o.t, 3, o.service.received())
}

func (o *operator) cancels() {
	_, err := o.host.dispatcher.Pause(o.t.Context(), alotwebhook.Pause{})
	require.NoError(o.t, err)
	o.host.emitTo(o.t, odd, 2)
	o.visit("deliveries?status=unfinished")
	o.sees("Pending", odd)
	o.visit("cancel")
	o.fill("#field-organization", odd)
	o.fill("#field-note", "Emitted twice")
	o.click("form.form button")
	o.sees("2 deliveries to 1 endpoint of 1 organization")
	o.click("#do")
	o.sees("It has begun", "Emitted twice")
	o.comes("Canceled", "2 deliveries canceled")
	o.visit("deliveries?status=failed")
	o.comes("Failed", "Canceled")
	o.click(".deliveries .lead a")
	o.sees("Canceled by the people who run this service", "Redeliver if you want it after all")
}

func (o *operator) readsTheTrail() {
	o.visit("operations?organization=" + url.QueryEscape(odd))
	o.sees("Paused: Their database moves", "Resumed: It has moved", "Recovery ended: done: 3 sent again, 0 skipped", "ann@example.com")
	o.visit("recoveries")
	o.sees("Our certificate had expired", "Emitted twice", "Done", "Canceled")
}

// The overview updates itself, and says to screen readers when something begins to need attention.
func TestTheOverviewUpdatesByItself(t *testing.T) {
	t.Parallel()
	h, _ := newOperators(t)
	b := open(t, h.base, true)
	b.visit("")
	b.sees("Nothing needs attention")
	run(b, chromedp.Evaluate[int](`window.before = 1`))
	_, err := h.dispatcher.Pause(t.Context(), alotwebhook.Pause{Note: "A fire"})
	require.NoError(t, err)
	b.sees("Everything is paused", "A fire")
	b.becomes(`document.getElementById("announce").textContent`, is("Something needs attention"))
	require.Equal(t, 1, run(b, chromedp.Evaluate[int](`window.before`)), "the page was loaded again")
}

// The times of a form that changes something are in the zone of the viewer, too.
func TestTheTimesOfAFormAreTheViewersOwn(t *testing.T) {
	t.Parallel()
	h, _ := newOperators(t)
	h.endpointOf(t, "org_123", "https://hooks.example.test/alot")
	b := open(t, h.base, true)
	b.zone("Asia/Kolkata") // five and a half hours ahead
	b.visit("recover")
	b.sees("Time of the failure")
	require.NotContains(t, b.text(), "(UTC)")
	b.fill("#field-organization", "org_123")
	b.fill("#field-note", "x")
	run(b, chromedp.Evaluate[string](`document.getElementById("field-since").value = "2026-01-01T05:30"`))
	b.click("form.form button.primary")
	b.sees("0 deliveries to 0 endpoints")
	b.becomes(`document.getElementById("field-since").value`, is("2026-01-01T05:30")) // which is still what was filled in
}

// Parked deliveries since a time that the viewer names are sent when the endpoint is enabled: the
// time is in the zone of the viewer.
func TestTheTimeOfEnablingIsTheViewersOwn(t *testing.T) {
	t.Parallel()
	h := newIdleHost(t)
	e := h.endpointOf(t, "org_123", "https://hooks.example.test/alot")
	e.Disabled = true
	_, err := h.dispatcher.UpdateEndpoint(t.Context(), e)
	require.NoError(t, err)
	h.emit(t)
	b := open(t, h.base, true)
	b.zone("Asia/Kolkata")
	b.visit(e.ID)
	b.sees("1 delivery parked")
	b.click(`input[value="since"]`)
	since := time.Now().Add(-time.Hour).UTC().Add(5*time.Hour + 30*time.Minute).Format("2006-01-02T15:04:05") // an hour ago, as the viewer writes it
	run(b, chromedp.Evaluate[string](`document.getElementById("parked-since").value = "`+since+`"`))
	b.click(`.side form[action$="/enable"] button`)
	b.sees("Endpoint enabled. Its parked deliveries are being sent")
}
