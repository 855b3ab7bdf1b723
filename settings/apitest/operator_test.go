package apitest_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
)

// operate mounts the operators' API in the place of the organization's. X-Lacks is the action that
// a request may not do; with X-Organization "", nobody is signed in.
func (h *host) operate() {
	h.t.Helper()
	var err error
	h.handler, err = settings.NewOperatorAPI(h.dispatcher, &settings.OperatorOptions{
		Operator: func(r *http.Request) (string, error) {
			if r.Header.Get("X-Organization") == "" {
				return "", errors.New("no session")
			}
			return "olga", nil
		},
		May: func(r *http.Request, a settings.Action) bool { return r.Header.Get("X-Lacks") != string(a) },
	})
	require.NoError(h.t, err)
	text, err := settings.OperatorOpenAPI()
	require.NoError(h.t, err)
	h.doc = closed(h.t, text)
}

func TestTheOperatorsDocumentIsValid(t *testing.T) {
	t.Parallel()
	text, err := settings.OperatorOpenAPI()
	require.NoError(t, err)
	doc := load(t, text)
	require.NoError(t, doc.Validate(t.Context(), openapi3.EnableExamplesValidation()))
}

// Each route of the operators' API responds as its document says, over every store.
func TestTheOperatorsResponsesAreAsDocumented(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, h *host) {
		endpoint := strings.TrimPrefix(h.create(published), "/v1/webhooks/")
		delivery := alotwebhook.DeliveryID(h.fail(1)[0], endpoint)
		h.operate()
		const at, all = "/v1/operator/", `{"all":true,"note":"n"}`
		h.do(200, "POST", at+"pauses", `{"organizationId":"org_a","note":"n"}`)
		many := h.do(202, "POST", at+"recoveries", `{"action":"cancel","organizationId":"org_a","note":"n"}`).str("id")
		h.do(202, "POST", at+"recoveries", `{"action":"recover","endpointId":"`+endpoint+`","note":"n"}`)
		h.do(409, "POST", at+"recoveries", `{"action":"recover","endpointId":"`+endpoint+`","note":"n"}`)
		for _, c := range []call{
			{"GET", at + "overview", "", "", 200},
			{"GET", at + "endpoints", "", "", 200},
			{"GET", at + "deliveries", "", "", 200},
			{"GET", at + "deliveries/" + delivery, "", "", 200},
			{"GET", at + "operations", "", "", 200},
			{"GET", at + "pauses", "", "", 200},
			{"POST", at + "pauses", all, `{"note":"n"}`, 200},
			{"POST", at + "resume", all, `{"note":"n"}`, 204},
			{"GET", at + "recoveries", "", "", 200},
			{"POST", at + "recoveries", `{"action":"recover","organizationId":"org_a","dryRun":true}`, `{"action":"recover","note":"n"}`, 200},
			{"GET", at + "recoveries/" + many, "", "", 200},
			{"GET", at + "recoveries/" + endpoint, "", "", 200},
			{"DELETE", at + "recoveries/" + many, "", "", 200},
			{"GET", at + "openapi.json", "", "", 200},
			{"GET", at + "organizations/org_a/webhooks", "", "", 200},
			{"GET", at + "organizations/org_a/webhooks/deliveries/" + delivery, "", "", 200},
			{"GET", at + "organizations/org_a/webhooks/" + endpoint, "", "", 200},
			{"GET", at + "organizations/org_a/webhooks/operations", "", "", 200},
			{"POST", at + "organizations/org_a/webhooks/" + endpoint + "/test", `{}`, `{"type":"candidate.exploded"}`, 202},
		} {
			h.do(400, c.method, c.path+"?zzz=1", c.good)
			h.do(401, c.method, c.path, c.good, "X-Organization", "")
			h.do(403, c.method, c.path, c.good, "X-Lacks", "look")
			if c.bad != "" {
				h.do(422, c.method, c.path, c.bad)
				h.do(413, c.method, c.path, `{"a":"`+strings.Repeat("x", 64<<10)+`"}`)
				h.do(415, c.method, c.path, c.good, "Content-Type", "text/plain")
			}
			h.do(c.status, c.method, c.path, c.good)
		}
		for path, item := range h.doc.Paths.Map() {
			for method, o := range item.Operations() {
				for status := range o.Responses.Map() {
					own := !strings.Contains(path, "{organizationId}") && strings.HasPrefix(status, "2")
					require.True(t, !own || h.seen[fmt.Sprint(o.OperationID, " ", status)], "%s %s %s", method, path, status)
				}
			}
		}
	})
}
