package e2e

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
)

// offered are the forms of a page that change something, and the links to such forms.
const offered = `[...document.querySelectorAll("form[method=post], a")].filter((e) =>
	e.matches("form") || /\/(new|edit|rotate|delete)$/.test(e.getAttribute("href"))).map((e) => e.outerHTML).join()`

// Somebody who may only look sees every page, and is offered nothing else. What is not
// offered is refused in words, also when it is typed by hand.
func TestSomebodyWhoMayOnlyLook(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, script bool) {
		h := newIdleHost(t) // only this test makes attempts
		h.role.Store([]settings.Action{settings.ActionLook})
		e, err := h.dispatcher.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
			OrganizationID: "org_123", URL: "https://hooks.example.test/alot", EventTypes: []string{alotwebhook.EventCandidateInvited},
		})
		require.NoError(t, err)
		h.emit(t)
		h.failFirst(t)

		b := open(t, h.base, script)
		b.expected = []string{"status of 403"}
		b.visit("")
		b.looks("endpoints", "hooks.example.test", "Failing")
		b.click(".lead a")
		b.looks("endpoint", "Failing since", "Latest deliveries", "About")
		b.click(".deliveries .lead a")
		b.looks("delivery", "Not delivered yet after 1 attempt", "503 Service Unavailable", "You may not see payloads")
		require.NotContains(t, b.text(), "sess_1")
		for _, typed := range []string{"new", e.ID + "/edit", e.ID + "/rotate", e.ID + "/delete"} {
			b.visit(typed)
			b.sees("You may not do this", "This takes the right to ")
		}
		b.looks("refused", "You may not do this")
		b.click(".alone .button")
		b.sees("hooks.example.test")
		b.visit("history")
		b.looks("history", "candidate.invited", "Pending")
		if script {
			b.losesTheRightToLook(h)
		}
	})
}

// looks waits until the page shows the words, and requires that it offers nothing to do.
func (b *tab) looks(page string, words ...string) {
	b.t.Helper()
	b.sees(words...)
	require.Empty(b.t, run(b, chromedp.Evaluate[string](offered)), page)
	if b.script {
		b.requireFitToBeSeen("viewer-" + page)
		b.size(1280)
	}
}

// losesTheRightToLook takes a role away while its page is open: the page updates itself as
// before, and then says that it may not be seen any more.
func (b *tab) losesTheRightToLook(h *host) {
	h.emit(b.t)
	b.sees("One new delivery")
	require.Empty(b.t, run(b, chromedp.Evaluate[string](offered)))
	h.role.Store([]settings.Action{})
	b.sees("You may not do this", "look at endpoints and deliveries")
	require.NotContains(b.t, b.text(), "candidate.invited")
}
