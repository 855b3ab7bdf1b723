package settings_test

import (
	"encoding/json"
	"html"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// about emits an event about a subject, and returns its id.
func (s *site) about(organization, subject string) string {
	s.t.Helper()
	e, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, organization, json.RawMessage(`{"email":"jane@example.com"}`))
	require.NoError(s.t, err)
	e.Subject = subject
	require.NoError(s.t, s.dispatcher.Emit(s.t.Context(), e))
	return e.ID
}

// Support knows the candidate, and nothing else.
func TestOperatorsFindASubject(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	s.endpointOf("org_a", "https://a.example.com/alot")
	s.endpointOf("org_b", "https://b.example.com/alot")
	s.about("org_a", "cand 1/ü")
	s.about("org_b", "cand 1/ü")
	s.about("org_b", "cand 12")
	found := html.UnescapeString(s.see("/search?q=cand+1%2F%C3%BC").text)
	require.Contains(t, found, `href="/deliveries?subject=cand+1%2F%C3%BC"`)
	require.Contains(t, found, `href="/erase?subject=cand%201%2f%c3%bc"`)
	list := s.see("/deliveries?subject=cand+1%2F%C3%BC").text
	require.Equal(t, 2, strings.Count(list, `href="/organizations/org_a/deliveries/dlv_`)+strings.Count(list, `href="/organizations/org_b/deliveries/dlv_`))
	require.Contains(t, list, `value="cand 1/ü"`, "the filter shows what it is about")
	require.Contains(t, s.see("/search?q=cand").text, "Nothing was found", "no part of a subject is found")
	refused := s.see("/deliveries?subject=" + strings.Repeat("a", 129))
	require.Equal(t, http.StatusBadRequest, refused.status)
	require.Contains(t, refused.text, "Subject is longer than 128 bytes")
	require.Contains(t, s.see("/erase?subject=cand+1").text, `value="cand 1"`)
}

// The first submit shows what it is about and changes nothing.
func TestOperatorsEraseASubject(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	s.endpointOf("org_a", "https://a.example.com/alot")
	gone, kept := s.about("org_a", "cand_1"), s.about("org_a", "cand_2")
	before := s.allOfIt()
	shown := s.ask(http.MethodPost, "/erase", "subject", "cand_1", "organization", "org_a", "event", "", "since", "", "until", "", "note", "ticket 7")
	require.Equal(t, http.StatusOK, shown.status, shown.text)
	require.Contains(t, shown.text, "This cannot be undone")
	require.Contains(t, shown.text, `href="/deliveries?organization=org_a&amp;subject=cand_1"`)
	require.Equal(t, before, s.allOfIt())
	begun := s.ask(http.MethodPost, "/erase", hidden(t, shown.text)...)
	require.Equal(t, http.StatusSeeOther, begun.status, begun.text)
	list := s.recoveries()
	require.Len(t, list, 1)
	require.Equal(t, alotwebhook.RecoveryErasing, list[0].State)
	require.Equal(t, "ann", list[0].Actor)
	page := s.see("/recoveries/" + list[0].EndpointID).text
	for _, words := range []string{"Erase personal data", "Erasing", "0 events erased", "ticket 7", "/stop-erasing\"", "cand_1"} {
		require.Contains(t, page, words)
	}
	require.Contains(t, s.see("/").text, "Personal data is being erased")
	for _, path := range []string{"/stop", "/stop-canceling"} {
		require.Equal(t, http.StatusNotFound, s.ask(http.MethodPost, "/recoveries/"+list[0].EndpointID+path).status, "another right does not stop it")
	}

	_, _, err := s.store.Erase(t.Context(), list[0], 10)
	require.NoError(t, err)
	list[0].State, list[0].Skipped, list[0].Subject, list[0].FinishedAt = alotwebhook.RecoveryErased, 1, "", list[0].CreatedAt
	require.NoError(t, s.store.PutRecovery(t.Context(), list[0]))
	page = s.see("/recoveries/" + list[0].EndpointID).text
	require.Contains(t, page, "1 event erased")
	require.NotContains(t, page, "cand_1")
	require.NotContains(t, page, "/stop")
	_, err = s.dispatcher.Event(t.Context(), kept)
	require.NoError(t, err)
	require.Contains(t, s.see("/deliveries?event="+gone).text, "Erased")
	require.NotContains(t, s.log.String(), "ERROR")
}

func TestAnErasureIsRefusedInWords(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	for words, fields := range map[string][]string{
		"Say whose data it is":                    {},
		"This cannot be the id of an organizatio": {"organization", strings.Repeat("a", 256)},
		"Give the id of an event":                 {"event", "evt_1"},
		"Give the subject as it was emitted":      {"subject", strings.Repeat("a", 129)},
		"Give date and time":                      {"subject", "cand", "since", "yesterday"},
		"is not after":                            {"subject", "cand", "since", "2026-01-02T00:00", "until", "2026-01-01T00:00", "sure", "yes"},
		"Say why you do it.":                      {"subject", "cand", "note", ""},
		"What you wrote is longer than 256 bytes": {"subject", "cand", "note", strings.Repeat("a", 257), "sure", "yes"},
	} {
		if !strings.Contains(strings.Join(fields, " "), "note") {
			fields = append(fields, "note", "why")
		}
		got := s.ask(http.MethodPost, "/erase", fields...)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, words)
		require.Contains(t, got.text, words)
		require.NotContains(t, got.text, `id="do"`)
		require.Contains(t, got.text, "Nothing was erased</h2>")
	}
	for words, fields := range map[string][]string{
		"Give the id of the organization.": {"organization", "", "again", "", "note", "left"},
		"This is not the id above.":        {"organization", "org_a", "again", "org_b", "note", "left"},
		"Say why you do it.":               {"organization", "org_a", "again", "org_a", "note", ""},
	} {
		got := s.ask(http.MethodPost, "/remove", fields...)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, words)
		require.Contains(t, got.text, words)
		require.Contains(t, got.text, "Nothing was removed</h2>")
	}
	require.Equal(t, http.StatusBadRequest, s.ask(http.MethodPost, "/erase", "confirmed", "yes").status)
	require.Empty(t, s.recoveries())
}

func TestOperatorsRemoveAnOrganization(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	s.endpointOf("org_a", "https://a.example.com/alot")
	begun := s.ask(http.MethodPost, "/remove", "organization", "org_a", "again", "org_a", "note", "left")
	require.Equal(t, http.StatusSeeOther, begun.status, begun.text)
	list := s.recoveries()
	require.Len(t, list, 1)
	require.Equal(t, alotwebhook.RecoveryRemoving, list[0].State)
	page := s.see("/recoveries/" + list[0].EndpointID).text
	require.Contains(t, page, "Remove an organization")
	require.Contains(t, page, "0 rows removed")
	require.NotContains(t, page, "Events until")
	require.Contains(t, s.see("/operations").text, ">Recovery started: removing; left</td>")
	require.Equal(t, http.StatusSeeOther, s.ask(http.MethodPost, "/recoveries/"+list[0].EndpointID+"/stop-erasing").status)
	require.Contains(t, s.see("/recoveries").text, "Stopped")
}

func TestOperatorsEraseByTheAPI(t *testing.T) {
	t.Parallel()
	h, _ := newOperators(t)
	const at = "/v1/operator/recoveries"
	for body, field := range map[string]string{
		`{"action":"erase","note":"n"}`:                                                          "subject",
		`{"action":"erase","subject":"` + strings.Repeat("a", 129) + `","note":"n"}`:             "subject",
		`{"action":"erase","subject":"cand","reason":"timeout","note":"n"}`:                      "reason",
		`{"action":"erase","subject":"cand"}`:                                                    "note",
		`{"action":"erase","subject":"cand","dryRun":true}`:                                      "dryRun",
		`{"action":"recover","subject":"cand","note":"n"}`:                                       "subject",
		`{"action":"recover","subject":"cand","dryRun":true}`:                                    "subject",
		`{"action":"remove","note":"n"}`:                                                         "organizationId",
		`{"action":"remove","organizationId":"org_a","eventType":"a.b","note":"n"}`:              "action",
		`{"action":"remove","organizationId":"org_a","since":"2026-01-01T00:00:00Z","note":"n"}`: "action",
	} {
		got := h.do("POST", at, body)
		require.Equal(t, 422, got.status, "%s: %s", body, got.text)
		require.Contains(t, got.text, `"`+field+`"`, body)
	}
	begun := h.do("POST", at, `{"action":"erase","subject":"cand","note":"n"}`)
	require.Equal(t, 202, begun.status, begun.text)
	require.Equal(t, "erasing", begun.json["status"])
	require.Equal(t, "cand", begun.json["subject"])
	stopped := h.do("DELETE", at+"/"+begun.json["id"].(string), "")
	require.Equal(t, "stopped", stopped.json["status"])
	require.Equal(t, 400, h.do("GET", "/v1/operator/deliveries?subject="+strings.Repeat("a", 129), "").status)
	require.Empty(t, h.do("GET", "/v1/operator/deliveries?subject=cand", "").json["deliveries"])
}
