package e2e

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// endpointOfCustomer registers an endpoint, whose receiver answers 401 to everything.
func (h *host) endpointOfCustomer(t *testing.T) alotwebhook.Endpoint {
	t.Helper()
	e, err := h.dispatcher.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_123", URL: newReceiver(t).url, EventTypes: []string{alotwebhook.EventCandidateInvited},
	})
	require.NoError(t, err)
	return e
}

func (h *host) endpoint(t *testing.T, id string) alotwebhook.Endpoint {
	t.Helper()
	e, err := h.dispatcher.Endpoint(t.Context(), id)
	require.NoError(t, err)
	return e
}

// replaced waits until the live part has been replaced.
func (b *tab) replaced() {
	b.t.Helper()
	run(b, chromedp.Evaluate[bool](`document.getElementById("live").dataset.marked = "yes"; true`))
	b.becomes(`document.getElementById("live").dataset.marked ?? "replaced"`, is("replaced"))
}

// What somebody has opened stays open while the page updates, and what he has closed stays closed.
func TestUpdatesCloseNothing(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	b := open(t, h.base, true)
	e := h.endpointOfCustomer(t)
	h.emit(t)
	b.visit(e.ID)
	b.sees("Hour by hour")
	b.click("#hours summary")
	opened := `String(document.getElementById("hours").open)`
	b.becomes(opened, is("true"))
	b.replaced()
	require.Equal(t, "true", b.value(opened))
	b.click("#hours summary")
	b.becomes(opened, is("false"))
	b.replaced()
	require.Equal(t, "false", b.value(opened))
}

// A part in which somebody is selecting is not replaced, and its updates go on afterwards.
func TestUpdatesLoseNoSelection(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	b := open(t, h.base, true)
	h.endpointOfCustomer(t)
	h.emit(t)
	b.visit("history")
	b.sees("candidate.invited")
	run(b, chromedp.Evaluate[bool](`
		document.addEventListener("htmx:config:request", (event) => setTimeout(() => { window.kept = event.defaultPrevented; }));
		getSelection().selectAllChildren(document.querySelector("tbody .lead"));
		true`))
	b.becomes(`String(window.kept)`, is("true"))
	require.Equal(t, "candidate.invited", b.value(`getSelection().toString().trim()`))
	run(b, chromedp.Evaluate[bool](`getSelection().removeAllRanges(); true`))
	b.replaced()
}

// A session that ends, or a network that is gone, takes nothing that was typed.
func TestWhatWasTypedStays(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	b := open(t, h.base, true)
	b.expected = []string{"status of 401", "Failed to fetch"}
	e := h.endpointOfCustomer(t)
	typed := `document.getElementById("field-description").value`
	for _, form := range []struct{ path, says string }{
		{e.ID + "/edit", "Changes saved"}, // which htmx sends
		{"new", "Endpoint added"},         // which the browser sends
	} {
		b.visit(form.path)
		b.fill("#field-description", "Typed with care")
		if form.path == "new" {
			b.fill("#field-url", "https://hooks.example.com/alot")
		}
		h.signedOut.Store(true)
		b.click("form.form .primary")
		b.sees("You are not signed in any more, so nothing was done", "Sign in in another tab")
		require.Equal(t, "Typed with care", b.value(typed))
		h.signedOut.Store(false)

		run(b, chromedp.Evaluate[bool](`window.network = window.fetch; window.fetch = () => Promise.reject(new TypeError("Failed to fetch")); true`))
		b.click("form.form .primary")
		b.sees("The server could not be reached")
		require.Equal(t, "Typed with care", b.value(typed))
		run(b, chromedp.Evaluate[bool](`window.fetch = window.network; true`))
		b.click("form.form .primary")
		b.sees(form.says)
		require.NotContains(t, b.text(), "could not be reached")
	}
	require.Equal(t, "Typed with care", h.endpoint(t, e.ID).Description)
}

// A page that updates itself shows nothing any more once its visitor is signed out. A filter that
// was typed stays.
func TestAPageOfSomebodySignedOut(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	b := open(t, h.base, true)
	b.expected = []string{"status of 401"}
	h.endpointOfCustomer(t)
	h.emit(t)
	b.visit("history")
	b.sees("candidate.invited")
	b.fill("#event", "evt_typed")
	h.signedOut.Store(true)
	b.sees("You are not signed in any more")
	require.Empty(t, b.value(`document.getElementById("live").textContent`))
	require.Equal(t, "evt_typed", b.value(`document.getElementById("event").value`))
	h.signedOut.Store(false)
	b.becomes(`String(document.querySelectorAll("[data-row]").length)`, is("1"))
	require.NotContains(t, b.text(), "You are not signed in any more")

	b.visit("history")
	h.signedOut.Store(true)
	b.sees("Sign in, then come back to this page.")
}

// A click shows that it is under way, and being offline is said at once.
func TestAClickShows(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	b := open(t, h.base, true)
	e := h.endpointOfCustomer(t)
	b.visit(e.ID)
	run(b, chromedp.Evaluate[bool](`
		const network = window.fetch;
		window.fetch = (...all) => new Promise((done) => { (window.waiting ??= []).push(() => done(network(...all))); });
		window.goOn = () => { window.fetch = network; waiting.forEach((one) => one()); };
		true`))
	b.click(`form[action$="/test"] button`)
	b.becomes(`document.querySelector('form[action$="/test"]').getAttribute("aria-busy") ?? ""`, is("true"))
	require.Equal(t, "none", b.value(`getComputedStyle(document.querySelector('form[action$="/test"] button')).pointerEvents`))
	run(b, chromedp.Evaluate[bool](`goOn(); true`))
	b.sees("Test event sent")

	run(b, chromedp.Evaluate[bool](`dispatchEvent(new Event("offline")); true`))
	b.sees("You are offline.")
	run(b, chromedp.Evaluate[bool](`dispatchEvent(new Event("online")); true`))
	b.becomes(`String(document.querySelectorAll("[data-lost]:not([hidden])").length)`, is("0"))
}

// What is copied is what the endpoint got, byte for byte.
func TestAPayloadIsCopiedAsItWasSent(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	b := open(t, h.base, true)
	h.endpointOfCustomer(t)
	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateInvited, "org_123", []byte("{\"name\":\r\n\"Zoë 李 <&>\"}"))
	require.NoError(t, err)
	require.NoError(t, h.dispatcher.Emit(t.Context(), event))
	b.visit("history")
	b.click(".lead a")
	b.sees("copied as it was sent", `"name": "Zoë`)
	run(b, chromedp.Evaluate[bool](`navigator.clipboard.writeText = async (text) => { window.copied = text; }; true`))
	b.click(`[data-copy="payload"]`)
	copied := b.becomes(`window.copied ?? ""`, func(text string) bool { return text != "" })
	require.Equal(t, string(event.Payload()), copied)
}
