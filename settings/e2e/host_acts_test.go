package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// A customer reads that the host has paused his endpoint, and sends again what failed before it
// succeeded again, with one button.
func TestWhatIsPausedAndWhatIsOffered(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, script bool) {
		h := newHost(t)
		c := &customer{tab: open(t, h.base, script), service: newReceiver(t)}
		e, err := h.dispatcher.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
			OrganizationID: "org_123", URL: c.service.url, EventTypes: []string{alotwebhook.EventCandidateInvited}, Secret: "a secret of these tests",
		})
		require.NoError(t, err)
		c.service.set(func(r *receiver) { r.secret, r.broken = "a secret of these tests", true })
		h.emit(t)
		c.visit("history?status=failed")
		c.comes("500 Internal Server Error")
		c.service.works()
		h.emit(t)
		c.visit("history?status=delivered")
		c.comes("200 OK")

		_, err = h.dispatcher.Pause(t.Context(), alotwebhook.Pause{EndpointID: e.ID, Note: "their lawyer called"})
		require.NoError(t, err)
		c.visit("")
		c.sees("paused by Acme since")
		c.click(".lead a")
		c.sees("Paused by Acme since", "Events wait and are sent afterwards", "This endpoint succeeds again. 1 delivery failed before")
		require.NotContains(t, c.text(), "lawyer")
		if script {
			c.requireFitToBeSeen("endpoint-paused")
		}
		h.emit(t)
		c.visit("history?status=pending")
		c.click(".lead a")
		c.sees("Waits", "The event is sent afterwards")
		require.NoError(t, h.dispatcher.Resume(t.Context(), alotwebhook.Pause{EndpointID: e.ID}))
		c.comes("Delivered", "on the first attempt")

		c.visit(e.ID)
		c.click("#offered")
		c.sees("Recovery started")
		c.comes("Last recovery", "1 delivery sent again")
		require.NotContains(t, c.text(), "succeeds again")
		require.Equal(t, 3, c.service.received())
	})
}
