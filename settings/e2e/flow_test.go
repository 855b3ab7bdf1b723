package e2e

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// withAndWithoutScript runs a test twice: once with script, and once with script disabled.
func withAndWithoutScript(t *testing.T, f func(t *testing.T, script bool)) {
	for name, script := range map[string]bool{"with script": true, "without script": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, script)
		})
	}
}

// customer is somebody who has a service and uses the pages in a tab.
type customer struct {
	*tab
	host     *host
	service  *receiver
	endpoint string // path of the endpoint's page
}

// A customer does everything that there is to do with an endpoint, from adding it to
// deleting it.
func TestAnEndpointsLife(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, script bool) {
		h := newHost(t)
		c := &customer{tab: open(t, h.base, script), host: h, service: newReceiver(t)}
		c.registers()
		c.seesATestEventDelivered()
		c.seesAFailureAndRedelivers()
		c.recovers()
		c.rotates()
		c.disablesAndEnables()
		c.deletes()
	})
}

func (c *customer) registers() {
	c.visit("")
	c.sees("No endpoints yet")
	c.click(".empty .button")
	c.sees("Signing secret")
	c.fill("#field-url", c.service.url)
	c.fill("#field-description", "My service")
	c.click("form button.primary")
	c.sees("Endpoint added", "shown only this once")
	secret := run(c.tab, chromedp.Text(chromedp.ID("secret")))
	require.NotEmpty(c.t, secret)
	c.service.set(func(r *receiver) { r.secret = alotwebhook.Secret(secret) })
	c.do(chromedp.Reload())
	c.sees("was already added")
	require.NotContains(c.t, c.text(), secret)
	c.visit("")
	c.sees("My service", "Enabled", "candidate.completed")
	c.click(".lead a")
	c.sees("Nothing was sent")
	c.at(func(path string) bool { return strings.HasPrefix(path, "wh_") })
	c.endpoint = c.path()
}

// tests sends a test event, which leads to the page of its delivery.
func (c *customer) tests() {
	c.visit(c.endpoint)
	c.click(`form[action$="/test"] button`)
	c.sees("Test event sent")
}

// meets has an event happen, and leads to the page of its delivery.
func (c *customer) meets() {
	id, _, _ := strings.Cut(c.endpoint, "?")
	c.visit("deliveries/" + alotwebhook.DeliveryID(c.host.emit(c.t).ID, id))
}

func (c *customer) seesATestEventDelivered() {
	c.tests()
	c.comes("Delivered", "It is a test", "on the first attempt", "Answered 200 OK", `"organizationId": "org_123"`)
	require.Equal(c.t, 1, c.service.received())
	c.visit("history")
	c.sees("Delivered", "200 OK")
}

func (c *customer) seesAFailureAndRedelivers() {
	c.service.breaks()
	c.meets()
	c.comes("Failed", "Given up after 2 attempts", "Answered 500 Internal Server Error", "Look for the error in your service", "<b>the database is down</b>")
	c.visit("")
	c.sees("Needs attention", "Failing", "500 Internal Server Error")
	c.click(`td[data-label="Last failed"] a`)
	c.sees("Given up after 2 attempts")
	c.service.works()
	c.click("#redeliver")
	c.sees("is being sent again")
	c.comes("Delivered", "on attempt 3")
	require.Equal(c.t, 2, c.service.received())
}

func (c *customer) recovers() {
	c.service.breaks()
	c.meets()
	c.comes("Given up after 2 attempts")
	c.service.works()
	c.visit(c.endpoint)
	c.sees("Failing since", "Why attempts failed")
	c.click(`form[action$="/recover"] button`)
	c.sees("Recovery started")
	c.comes("Last recovery", "1 delivery sent again")
	c.comes("Delivered")
	c.visit("history?status=failed")
	c.comes("No delivery matches")
	require.Equal(c.t, 3, c.service.received())
}

func (c *customer) rotates() {
	c.visit(c.endpoint)
	c.click(`a[href$="/rotate"]`)
	c.sees("begins to sign")
	c.click(`input[value="now"]`)
	c.click("form button.primary")
	c.sees("New secret", "From now on")
	secret := alotwebhook.Secret(run(c.tab, chromedp.Text(chromedp.ID("secret"))))
	c.service.set(func(r *receiver) {
		require.NotEqual(c.t, r.secret, secret)
		r.secret = secret
	})
	c.click("a.button.primary")
	c.sees("Not shown again")
	require.NotContains(c.t, c.text(), string(secret))
	c.tests()
	c.comes("Delivered", "on the first attempt")
	require.Equal(c.t, 4, c.service.received())
}

func (c *customer) disablesAndEnables() {
	c.visit(c.endpoint)
	c.click(`form[action$="/disable"] button`)
	c.sees("Endpoint disabled", "sent when you enable the endpoint")
	c.tests()
	c.comes("Delivered", "on the first attempt")
	require.Equal(c.t, 5, c.service.received(), "a test goes out all the same")
	c.meets()
	c.sees("Parked", "Waiting, because the endpoint is disabled")
	parked := c.path()
	c.visit(c.endpoint)
	c.click(`form[action$="/enable"] button`)
	c.sees("Endpoint enabled")
	c.visit(parked)
	c.comes("Delivered", "on the first attempt")
	require.Equal(c.t, 6, c.service.received())
}

func (c *customer) deletes() {
	c.visit(c.endpoint + "/edit")
	c.fill("#field-description", "My old service")
	c.fill("#field-rate", "2.5")
	c.click(`input[name="ordered"]`)
	c.click("form button.primary")
	c.sees("Changes saved", "My old service", "2.5 requests a second", "Events one at a time, in order")
	c.click(".side .danger")
	c.sees("Delete this endpoint?", "cannot be undone")
	c.click("button.danger")
	c.sees("Endpoint deleted", "No endpoints yet")
	c.visit("history")
	c.sees("deleted", "Delivered")
}

// The filters become part of the address. With script, the address has only the filters
// that are set.
func TestHistoryIsSearched(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, script bool) {
		h := newHost(t)
		b := open(t, h.base, script)
		service := newReceiver(t)
		service.breaks()
		_, err := h.dispatcher.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
			OrganizationID: "org_123", URL: service.url, EventTypes: []string{alotwebhook.EventCandidateInvited},
		})
		require.NoError(t, err)
		h.emit(t)
		b.visit("history")
		b.comes("Failed")
		b.choose("#status", "Delivered")
		b.click(".filters .primary")
		b.sees("No delivery matches")
		if script {
			b.at(is("history?status=delivered"))
		} else {
			b.at(func(path string) bool { return strings.Contains(path, "status=delivered") })
			require.Contains(t, b.text(), "(UTC)")
		}
		if script { // the back and forward buttons of the browser still work
			b.do(chromedp.NavigateBack())
			b.sees("Failed", "candidate.invited")
			b.at(is("history"))
			b.do(chromedp.NavigateForward())
			b.sees("No delivery matches")
		}
		b.click(".filters a.button")
		b.sees("candidate.invited")
		b.at(is("history"))
		if !script {
			require.Contains(t, b.text(), " UTC")
		}
	})
}

// The history shows new deliveries without loading the page again, until it is paused.
func TestHistoryUpdatesByItself(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	b := open(t, h.base, true)
	service := newReceiver(t)
	_, err := h.dispatcher.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_123", URL: service.url, EventTypes: []string{alotwebhook.EventCandidateInvited}, Secret: "a secret of these tests",
	})
	require.NoError(t, err)
	service.set(func(r *receiver) { r.secret = "a secret of these tests" })
	b.visit("history")
	b.sees("No deliveries yet", "Updates automatically")
	run(b, chromedp.Evaluate[int](`window.before = 1`))
	h.emit(t)
	b.sees("Delivered", "candidate.invited")
	b.sees("One new delivery") // announced to screen readers
	require.Contains(t, run(b, chromedp.Evaluate[string](`document.querySelector("td.when time").title`)), "Z")
	require.NotContains(t, run(b, chromedp.Text(chromedp.CSS("td.when"))), "UTC", "the viewer's own time")
	b.click("#toggle")
	b.sees("Updates are stopped")
	b.at(is("history?live=off"))
	require.False(t, run(b, chromedp.Evaluate[bool](`document.getElementById("live").hasAttribute("hx-trigger")`)))
	b.click("#toggle")
	b.sees("Updates automatically")
	require.Equal(t, 1, run(b, chromedp.Evaluate[int](`window.before`)), "the page was loaded again")
}

// The page of an endpoint shows the progress of a recovery, and keeps it up to date.
func TestARecoveryShowsHowFarItIs(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, script bool) {
		h := newIdleHost(t) // only this test changes the recovery
		e, err := h.dispatcher.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
			OrganizationID: "org_123", URL: "https://hooks.example.test/alot", EventTypes: []string{alotwebhook.EventCandidateInvited},
		})
		require.NoError(t, err)
		h.emit(t)
		now := time.Now().UTC()
		recovery := alotwebhook.Recovery{
			EndpointID: e.ID, OrganizationID: "org_123", State: alotwebhook.RecoveryRunning, Recovered: 1234, Skipped: 2,
			Oldest: now.Add(-time.Hour), Until: now.Add(time.Hour), CreatedAt: now, UpdatedAt: now,
		}
		page, _, err := h.dispatcher.DeliveryPage(t.Context(), alotwebhook.Filter{EndpointID: e.ID})
		require.NoError(t, err)
		recovery.Cursor = page[0].ID // the delivery is of now, the middle of the period
		require.NoError(t, h.store.PutRecovery(t.Context(), recovery))

		b := open(t, h.base, script)
		b.visit(e.ID)
		b.sees("Recovering", "1\u202f234 deliveries sent again, 2 could not be")
		value := run(b, chromedp.AttributeValue(chromedp.ID("progress"), "value"))
		require.InDelta(t, 500, number(t, value.Value), 5)
		if script {
			b.requireAccessible("a recovery that runs")
		}
		b.picture("recovery-running-" + map[bool]string{true: "with", false: "without"}[script] + "-script")

		recovery.Version, recovery.State, recovery.Recovered, recovery.FinishedAt = 1, alotwebhook.RecoveryDone, 2345, now
		require.NoError(t, h.store.PutRecovery(t.Context(), recovery))
		b.comes("Last recovery", "2\u202f345 deliveries sent again")
	})
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// Times are shown in the zone of the browser, and the filters take times in that zone.
func TestTimesAreTheViewersOwn(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	b := open(t, h.base, true)
	b.zone("Asia/Kolkata") // five and a half hours ahead
	b.visit("history?since=2026-01-01T00:00:00")
	b.sees("From")
	require.NotContains(t, b.text(), "(UTC)")
	require.Equal(t, "2026-01-01T05:30", run(b, chromedp.Evaluate[string](`document.getElementById("since").value`)))
	b.click(".filters .primary")
	b.at(is("history?since=2026-01-01T00%3A00%3A00")) // the form encodes the colons
	b.sees("No delivery matches")
}

// A button copies a text. If the browser does not allow that, the button selects the text.
func TestWhatIsShownCanBeCopied(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	e, err := h.dispatcher.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_123", URL: newReceiver(t).url, EventTypes: []string{alotwebhook.EventCandidateInvited},
	})
	require.NoError(t, err)
	b := open(t, h.base, true)
	b.visit(e.ID)
	b.click(`[data-copy="endpoint-id"]`)
	said := b.becomes(`document.getElementById("announce").textContent`, func(said string) bool { return said != "" })
	if said != "Copied" {
		require.Equal(t, e.ID, run(b, chromedp.Evaluate[string](`getSelection().toString()`)))
	}
}

// The first stop of the tab key is the link that skips the navigation. After an action
// the focus is on the sentence that says what was done.
func TestTheKeyboardIsEnough(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	b := open(t, h.base, true)
	e, err := h.dispatcher.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_123", URL: newReceiver(t).url, EventTypes: []string{alotwebhook.EventCandidateInvited},
	})
	require.NoError(t, err)
	b.visit(e.ID)
	b.do(chromedp.KeyEvent("\t"))
	require.Equal(t, "skip", run(b, chromedp.Evaluate[string](`document.activeElement.className`)))
	b.do(chromedp.Focus(chromedp.CSS(`form[action$="/disable"] button`)), chromedp.KeyEvent("\r"))
	b.sees("Endpoint disabled")
	b.becomes(`document.activeElement.id`, is("flash"))
	b.at(is(e.ID), "the parameter that says what was done is removed from the address")
}

// A form that is sent before htmx takes it is sent by the browser, which loads a whole page.
// The focus goes to the same sentence there.
func TestTheFocusIsOnWhatWasDoneOnALoadedPage(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	b := open(t, h.base, true)
	e, err := h.dispatcher.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_123", URL: newReceiver(t).url, EventTypes: []string{alotwebhook.EventCandidateInvited},
	})
	require.NoError(t, err)
	b.visit(e.ID)
	run(b, chromedp.Evaluate[bool](`HTMLFormElement.prototype.submit.call(document.querySelector('form[action$="/disable"]')); true`))
	b.sees("Endpoint disabled")
	b.becomes(`document.activeElement.id`, is("flash"))
	b.at(is(e.ID), "the parameter that says what was done is removed from the address")
}

// A second click on a form that generates a secret sends nothing: otherwise the browser
// would show the second response, which has no secret. After going back to the page, the
// form can be sent again.
func TestASecondClickLosesNoSecret(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	e, err := h.dispatcher.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_123", URL: newReceiver(t).url, EventTypes: []string{alotwebhook.EventCandidateInvited},
	})
	require.NoError(t, err)
	b := open(t, h.base, true)
	for _, path := range []string{"new", e.ID + "/rotate"} {
		b.visit(path)
		run(b, chromedp.Evaluate[bool](`
			HTMLFormElement.prototype.submit = () => { document.body.dataset.sent = (document.body.dataset.sent ?? "") + "sent "; };
			window.form = document.querySelector("form.form");
			form.querySelectorAll("[required]").forEach((field) => { field.required = false; });
			form.requestSubmit();
			form.requestSubmit();
			true`))
		sent := `document.body.dataset.sent ?? ""`
		b.becomes(sent, is("sent "))
		require.True(t, run(b, chromedp.Evaluate[bool](`form.requestSubmit(); form.matches("[aria-busy]")`)))
		run(b, chromedp.Evaluate[bool](`dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })); form.requestSubmit(); true`))
		b.becomes(sent, is("sent sent "))
	}
}
