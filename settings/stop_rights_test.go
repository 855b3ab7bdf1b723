package settings_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
)

// What operators cancel at an endpoint only they stop, who may cancel: neither the customer, nor an operator
// who may do no more than send.
func TestWhoStopsACancellation(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	customers := h.handler
	s := newSiteOn(t, h.store, nil)
	o := newOperatorSiteOn(t, h.store)
	id := h.create(published)
	_, err := h.dispatcher.CancelMany(t.Context(), alotwebhook.Recovery{EndpointID: id, Note: "flood"})
	require.NoError(t, err)
	state := func() alotwebhook.RecoveryState { return s.recoveryOf(id).State }
	const stop = "/recover/stop"

	require.NotContains(t, s.get("/"+id).text, stop)
	require.Equal(t, http.StatusForbidden, s.post("/"+id+stop, nil).status)
	refused := h.do("DELETE", "/v1/webhooks/"+id+"/recover", "")
	require.Equal(t, http.StatusForbidden, refused.status)
	require.Equal(t, []any{"cancel"}, refused.json["missing"])

	sender := rightSet{settings.ActionLook, settings.ActionSend}
	o.letOperators(sender.may)
	require.NotContains(t, o.see("/organizations/org_a/"+id).text, stop)
	require.Equal(t, http.StatusForbidden, o.ask(http.MethodPost, "/organizations/org_a/"+id+stop).status)
	h.operate(sender.may)
	require.Equal(t, http.StatusForbidden, h.do("DELETE", "/v1/operator/organizations/org_a/webhooks/"+id+"/recover", "").status)
	require.Equal(t, alotwebhook.RecoveryCanceling, state())

	o.letOperators(everybody)
	require.Contains(t, o.see("/organizations/org_a/"+id).text, stop)
	require.Equal(t, http.StatusSeeOther, o.ask(http.MethodPost, "/organizations/org_a/"+id+stop).status)
	require.Equal(t, alotwebhook.RecoveryStopped, state())

	// What a customer can begin, he stops whoever has begun it.
	_, err = h.dispatcher.RecoverMany(t.Context(), alotwebhook.Recovery{EndpointID: id, Note: "ours"})
	require.NoError(t, err)
	require.Contains(t, s.get("/"+id).text, stop)
	h.handler = customers
	require.Equal(t, "stopped", h.do("DELETE", "/v1/webhooks/"+id+"/recover", "").json["status"])
}

// A customer reads that the recovery of his endpoint was begun and stopped, and not by which operator,
// however that one did it and whether or not he has said why.
func TestACustomerDoesNotReadWhichOperatorRecovers(t *testing.T) {
	t.Parallel()
	const secretly = "olga"
	for name, act := range map[string]func(*host, *site, string) error{
		"cancel without a note": func(h *host, _ *site, id string) error {
			_, err := h.dispatcher.CancelMany(alotwebhook.WithActor(h.t.Context(), secretly), alotwebhook.Recovery{EndpointID: id})
			return err
		},
		"recover without a note": func(h *host, _ *site, id string) error {
			_, err := h.dispatcher.RecoverMany(alotwebhook.WithActor(h.t.Context(), secretly), alotwebhook.Recovery{EndpointID: id})
			return err
		},
		"cancel and stop": func(h *host, _ *site, id string) error {
			_, err := h.dispatcher.CancelMany(h.t.Context(), alotwebhook.Recovery{EndpointID: id, Note: "flood, by operators; our own"})
			if err == nil {
				_, err = h.dispatcher.StopRecovery(alotwebhook.WithActor(h.t.Context(), secretly), id)
			}
			return err
		},
		"stop a customer's recovery on the operators' pages": func(h *host, s *site, id string) error {
			require.Equal(h.t, http.StatusAccepted, h.do("POST", "/v1/webhooks/"+id+"/recover", "").status)
			require.Equal(h.t, http.StatusSeeOther, s.post("/recoveries/"+id+"/stop", nil, "X-Operator", secretly).status)
			return nil
		},
		"recover and stop on the customer's pages": func(h *host, s *site, id string) error {
			require.Equal(h.t, http.StatusSeeOther, s.post("/organizations/org_a/"+id+"/recover", []string{"since", "all"}, "X-Operator", secretly).status)
			require.Equal(h.t, http.StatusSeeOther, s.post("/organizations/org_a/"+id+"/recover/stop", nil, "X-Operator", secretly).status)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			pages := newSiteOn(t, h.store, nil)
			id := h.create(published)
			require.NoError(t, act(h, namedOperators(t, h), id))
			api := h.do("GET", "/v1/webhooks/operations", "").text
			require.Contains(t, api, "recovery.begun")
			for _, text := range []string{api, pages.get("/" + id).text} {
				for _, theirs := range []string{secretly, "our own", "flood", "by operators"} {
					require.NotContains(t, text, theirs)
				}
			}
			all, _, err := h.dispatcher.Operations(t.Context(), alotwebhook.OperationFilter{EndpointID: id})
			require.NoError(t, err)
			require.Equal(t, secretly, all[0].Actor, "operators read it")
			require.True(t, strings.Contains(all[0].Note, "by operators"), all[0].Note)
		})
	}
}

// namedOperators mounts the operators' pages over a host, for operators with the names in X-Operator.
func namedOperators(t testing.TB, h *host) *site {
	t.Helper()
	s := newSiteOn(t, h.store, nil)
	var err error
	s.handler, err = settings.NewOperatorPages(h.dispatcher, &settings.OperatorOptions{
		Operator: func(r *http.Request) (string, error) { return r.Header.Get("X-Operator"), nil }, May: everybody,
	})
	require.NoError(t, err)
	return s
}
