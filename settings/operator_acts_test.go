package settings_test

import (
	"html"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

func (s *site) pauses() []alotwebhook.Pause {
	s.t.Helper()
	list, err := s.dispatcher.Pauses(s.t.Context())
	require.NoError(s.t, err)
	return list
}

func TestOperatorsPauseAndResume(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	for _, tc := range []struct {
		fields []string
		of     alotwebhook.Pause
		resume string
	}{
		{[]string{"scope", "all", "organization", "", "endpoint", ""}, alotwebhook.Pause{}, "/resume"},
		{[]string{"scope", "organization", "organization", "a/b ü", "endpoint", ""}, alotwebhook.Pause{OrganizationID: "a/b ü"}, "/resume?organization=a%2Fb+%C3%BC"},
		{[]string{"scope", "endpoint", "organization", "", "endpoint", " " + e.ID + " "}, alotwebhook.Pause{OrganizationID: "org_a", EndpointID: e.ID}, "/resume?endpoint=" + e.ID + "&organization=org_a"},
		{[]string{"scope", "endpoint", "organization", "org_a", "endpoint", e.ID}, alotwebhook.Pause{OrganizationID: "org_a", EndpointID: e.ID}, "/resume?endpoint=" + e.ID + "&organization=org_a"},
	} {
		got := s.ask(http.MethodPost, "/pause", append(tc.fields, "note", "the reason")...)
		require.Equal(t, http.StatusSeeOther, got.status, got.text)
		require.Equal(t, "/?done=paused", got.header.Get("Location"))
		list := s.pauses()
		require.Len(t, list, 1)
		tc.of.Actor, tc.of.Note, tc.of.At = "ann", "the reason", list[0].At
		require.Equal(t, tc.of, list[0])
		page := html.UnescapeString(s.see("/").text)
		require.Contains(t, page, `href="`+tc.resume+`">Resume…`)
		require.Contains(t, page, "by ann: the reason")

		form := s.see(tc.resume)
		require.Equal(t, http.StatusOK, form.status)
		fields := hidden(t, form.text)
		refused := s.ask(http.MethodPost, "/resume", append(fields, "note", "")...)
		require.Equal(t, http.StatusUnprocessableEntity, refused.status)
		require.Contains(t, refused.text, "Say why you do it.")
		long := s.ask(http.MethodPost, "/resume", append(fields, "note", strings.Repeat("a", 257))...)
		require.Equal(t, http.StatusUnprocessableEntity, long.status)
		require.Contains(t, long.text, "What you wrote is longer than 256 bytes")
		require.Len(t, s.pauses(), 1)
		require.Equal(t, http.StatusSeeOther, s.ask(http.MethodPost, "/resume", append(fields, "note", "done")...).status)
		require.Empty(t, s.pauses())
		again := s.ask(http.MethodPost, "/resume", append(fields, "note", "done")...)
		require.Equal(t, http.StatusNotFound, again.status)
		require.Contains(t, again.text, "This is not paused")
		require.Equal(t, http.StatusNotFound, s.see(tc.resume).status)
	}
	require.NotContains(t, s.log.String(), "ERROR")
}

// A field left empty by mistake pauses nothing more than was meant.
func TestAPauseIsRefusedUnlessItIsClear(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	for words, fields := range map[string][]string{
		"Choose what is to be paused.":                        {"scope", ""},
		"To pause everything, leave organization":             {"scope", "all", "organization", "org_a"},
		"leave organization and endpoint empty":               {"scope", "all", "endpoint", e.ID},
		"To pause an organization, leave the endpoint":        {"scope", "organization", "organization", "org_a", "endpoint", e.ID},
		"Give the id of the organization.":                    {"scope", "organization", "organization", ""},
		"Give the id of the endpoint":                         {"scope", "endpoint", "organization", "org_a"},
		"There is no such endpoint":                           {"scope", "endpoint", "endpoint", "wh_00000000000000000000000000"},
		"The organization &#34;org_b&#34; is not that of the": {"scope", "endpoint", "organization", "org_b", "endpoint", e.ID},
		"What you wrote is longer than 256 bytes":             {"scope", "all", "note", strings.Repeat("a", 257)},
		"or has control characters":                           {"scope", "all", "note", "a\x07"},
		"Say why you do it.":                                  {"scope", "all", "note", ""},
	} {
		if !strings.Contains(strings.Join(fields, " "), "note") {
			fields = append(fields, "note", "why")
		}
		got := s.ask(http.MethodPost, "/pause", fields...)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, words)
		require.Contains(t, got.text, words)
		require.Contains(t, got.text, "Nothing was paused")
		require.Empty(t, s.pauses())
	}
	for _, fields := range [][]string{{"scope", "all", "note", "x", "more", "y"}, {"scope", "all", "scope", "all", "note", "x"}, {"scope", "all", "note", "\xff"}} {
		require.Equal(t, http.StatusBadRequest, s.ask(http.MethodPost, "/pause", fields...).status)
	}
	filled := s.see("/pause?organization=org_a&endpoint=" + e.ID).text
	require.Contains(t, filled, `value="endpoint" checked`)
	require.Contains(t, s.see("/pause?organization=org_a").text, `value="organization" checked`)
	require.NotContains(t, s.see("/pause").text, " checked")
}

// failedOf has n deliveries of an organization fail.
func (s *site) failedOf(organization string, n int, reason alotwebhook.FailureReason) {
	s.t.Helper()
	for range n {
		s.eventOf(organization)
	}
	s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{Reason: reason, StartedAt: time.Now()})
}

// The first submit counts and changes nothing. The second does what was counted, and no more, even
// if more has failed meanwhile.
func TestOperatorsRecoverWhatWasCounted(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	s.endpointOf("org_a", "https://a.example.com/alot")
	s.endpointOf("org_b", "https://b.example.com/alot")
	s.failedOf("org_a", 3, alotwebhook.ReasonDNS)
	s.failedOf("org_b", 2, alotwebhook.ReasonDNS)
	s.failedOf("org_b", 1, alotwebhook.ReasonTLS)
	since := time.Now().Add(-time.Hour).UTC().Format("2006-01-02T15:04:05")
	before := s.allOfIt()
	counted := s.ask(http.MethodPost, "/recover", "organization", "", "endpoint", "", "event", "", "type", "", "reason", "dns", "since", since, "until", "", "note", "our resolver")
	require.Equal(t, http.StatusOK, counted.status)
	require.Contains(t, counted.text, "5 deliveries to 2 endpoints of 2 organizations")
	require.Contains(t, counted.text, "Send 5 deliveries again")
	require.Contains(t, counted.text, `value="`+since+`"`, "the form keeps what was filled in")
	require.Equal(t, before, s.allOfIt())

	time.Sleep(2 * time.Millisecond) // ids and times have whole milliseconds
	s.failedOf("org_a", 4, alotwebhook.ReasonDNS)
	fields := hidden(t, counted.text)
	begun := s.ask(http.MethodPost, "/recover", fields...)
	require.Equal(t, http.StatusSeeOther, begun.status, begun.text)
	list := s.recoveries()
	require.Len(t, list, 1)
	require.Equal(t, "/recoveries/"+list[0].EndpointID+"?done=begun", begun.header.Get("Location"))
	require.Equal(t, "ann", list[0].Actor)
	require.Equal(t, "our resolver", list[0].Note)
	surveyor, err := s.dispatcher.Surveyor()
	require.NoError(t, err)
	n, err := surveyor.Count(t.Context(), list[0])
	require.NoError(t, err)
	require.EqualValues(t, 5, n.Deliveries, "what failed after the count is not among it")

	again := s.ask(http.MethodPost, "/recover", fields...)
	require.Equal(t, begun.header.Get("Location"), again.header.Get("Location"), "a second click begins no second one")
	require.Len(t, s.recoveries(), 1)
	page := s.see("/recoveries/" + list[0].EndpointID).text
	for _, words := range []string{"our resolver", "Host not found", "0 deliveries sent again", "<progress", "Failed from", "/stop\""} {
		require.Contains(t, page, words)
	}
	require.Contains(t, s.see("/recoveries").text, "our resolver")
	require.Contains(t, s.see("/").text, "Failed deliveries are being sent again")
	stopped := s.ask(http.MethodPost, "/recoveries/"+list[0].EndpointID+"/stop")
	require.Equal(t, http.StatusSeeOther, stopped.status)
	require.Equal(t, alotwebhook.RecoveryStopped, s.recoveries()[0].State)
	require.Contains(t, s.see("/recoveries").text, "Stopped")
	require.NotContains(t, s.log.String(), "ERROR")
}

func TestOperatorsCancelWhatWasCounted(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	s.endpointOf("org_a", "https://a.example.com/alot")
	event := s.eventOf("org_a")
	s.eventOf("org_a")
	counted := s.ask(http.MethodPost, "/cancel", "organization", "", "event", event, "note", "emitted by mistake")
	require.Contains(t, counted.text, "1 delivery to 1 endpoint of 1 organization")
	require.Contains(t, counted.text, "Cancel 1 delivery")
	begun := s.ask(http.MethodPost, "/cancel", hidden(t, counted.text)...)
	require.Equal(t, http.StatusSeeOther, begun.status, begun.text)
	list := s.recoveries()
	require.Len(t, list, 1)
	require.Equal(t, alotwebhook.RecoveryCanceling, list[0].State)
	require.Equal(t, event, list[0].EventID)
	page := s.see("/recoveries/" + list[0].EndpointID).text
	require.Contains(t, page, "Cancel deliveries")
	require.Contains(t, page, "/stop-canceling\"")
	require.Equal(t, http.StatusNotFound, s.ask(http.MethodPost, "/recoveries/"+list[0].EndpointID+"/stop").status, "the right to send does not stop it")
	require.True(t, s.recoveries()[0].State.Active())
	require.Equal(t, http.StatusSeeOther, s.ask(http.MethodPost, "/recoveries/"+list[0].EndpointID+"/stop-canceling").status)
	require.False(t, s.recoveries()[0].State.Active())
	nothing := s.ask(http.MethodPost, "/cancel", "organization", "nobody", "note", "x")
	require.Contains(t, nothing.text, "Nothing is selected")
	require.NotContains(t, nothing.text, `id="do"`)
	require.NotContains(t, s.log.String(), "ERROR")
}

func TestASelectionIsRefusedInWords(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	future := time.Now().Add(24 * time.Hour).UTC().Format("2006-01-02T15:04:05")
	for path, cases := range map[string]map[string][]string{
		"/recover": {
			"The beginning is missing, and nothing else selects deliveries": {},
			"The beginning is in the future":                                {"since", future},
			"The end is not after":                                          {"since", "2026-01-02T00:00", "until", "2026-01-01T00:00"},
			"Give date and time":                                            {"since", "yesterday"},
			"Choose a reason from the list":                                 {"reason", "bad luck", "organization", "org_a"},
		},
		"/cancel": {
			"The organization is empty, as are": {},
			"is not after since":                {"organization", "org_a", "since", "2026-01-02T00:00", "until", "2026-01-01T00:00"},
		},
	} {
		cases["This cannot be the id of an organization"] = []string{"organization", strings.Repeat("a", 256)}
		cases["Give the id of an endpoint"] = []string{"endpoint", "x"}
		cases["Give the id of an event"] = []string{"event", "x"}
		cases["Choose an event type"] = []string{"type", "NO"}
		cases["There is no such endpoint"] = []string{"endpoint", "wh_00000000000000000000000000"}
		cases["&#34;org_b&#34; is not that of the endpoint"] = []string{"endpoint", e.ID, "organization", "org_b"}
		cases["Say why you do it."] = []string{"organization", "org_a", "note", ""}
		cases["What you wrote is longer than 256 bytes"] = []string{"organization", "org_a", "note", strings.Repeat("a", 257)}
		for words, fields := range cases {
			if !strings.Contains(strings.Join(fields, " "), "note") {
				fields = append(fields, "note", "why")
			}
			for _, counted := range []string{"", "2026-05-25T14:23:00Z"} {
				got := s.ask(http.MethodPost, path, append(fields[:len(fields):len(fields)], "counted", counted)...)
				require.Equal(t, http.StatusUnprocessableEntity, got.status, "%s %s", path, words)
				require.Contains(t, got.text, words, path)
				require.NotContains(t, got.text, `id="do"`)
			}
		}
		got := s.ask(http.MethodPost, path, "organization", "org_a", "note", "x", "counted", "then")
		require.Equal(t, http.StatusBadRequest, got.status)
		require.Equal(t, http.StatusBadRequest, s.ask(http.MethodPost, path, "confirmed", "yes").status)
		require.Equal(t, http.StatusRequestEntityTooLarge, s.ask(http.MethodPost, path, "note", strings.Repeat("a", 65<<10)).status)
	}
	require.Empty(t, s.recoveries())
	require.NotContains(t, s.log.String(), "ERROR")
}

// Over one endpoint there is one recovery at a time, with a page as the others have.
func TestOperatorsRecoverOneEndpoint(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	s.failedOf("org_a", 2, alotwebhook.ReasonDNS)
	counted := s.ask(http.MethodPost, "/recover", "endpoint", e.ID, "note", "ours")
	require.Contains(t, counted.text, "2 deliveries to 1 endpoint of 1 organization")
	fields := hidden(t, counted.text)
	begun := s.ask(http.MethodPost, "/recover", fields...)
	require.Equal(t, "/recoveries/"+e.ID+"?done=begun", begun.header.Get("Location"))
	require.Contains(t, s.see("/recoveries/"+e.ID).text, `href="/organizations/org_a/`+e.ID+`"`)
	require.Contains(t, s.see("/recoveries").text, "No recoveries in the last 30 days", "the list is about many endpoints")
	again := s.ask(http.MethodPost, "/recover", fields...)
	require.Equal(t, "/recoveries/"+e.ID+"?done=counted", again.header.Get("Location"))
	require.Contains(t, s.see(again.header.Get("Location")).text, "no second one was begun")
	other := s.ask(http.MethodPost, "/recover", hidden(t, s.ask(http.MethodPost, "/recover", "endpoint", e.ID, "note", "ours").text)...)
	require.Equal(t, http.StatusUnprocessableEntity, other.status)
	require.Contains(t, other.text, "A recovery of this endpoint is under way")
	require.Equal(t, http.StatusSeeOther, s.ask(http.MethodPost, "/recoveries/"+e.ID+"/stop").status)
	require.Equal(t, "/recoveries/"+e.ID+"?done=counted", s.ask(http.MethodPost, "/recover", fields...).header.Get("Location"), "it was done before")
	require.Equal(t, alotwebhook.RecoveryStopped, s.recoveryOf(e.ID).State)
	fields = hidden(t, s.ask(http.MethodPost, "/recover", "endpoint", e.ID, "note", "ours").text)
	require.Equal(t, begun.header.Get("Location"), s.ask(http.MethodPost, "/recover", fields...).header.Get("Location"), "another count begins another one")
	require.Equal(t, alotwebhook.RecoveryRunning, s.recoveryOf(e.ID).State)
}

// A customer reads on the endpoint's page, and on the delivery's, that operators canceled.
func TestACustomerReadsWhatWasCanceled(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	d := s.event(e, `{}`)
	r, err := s.dispatcher.CancelMany(t.Context(), alotwebhook.Recovery{EndpointID: e.ID, Note: "twice"})
	require.NoError(t, err)
	require.Contains(t, s.get("/"+e.ID).text, "Canceling deliveries")
	_, err = s.store.Cancel(t.Context(), []string{d})
	require.NoError(t, err)
	r.State, r.Skipped, r.FinishedAt = alotwebhook.RecoveryCanceled, 1, time.Now()
	require.NoError(t, s.store.PutRecovery(t.Context(), r))
	page := s.get("/" + e.ID).text
	require.Contains(t, page, "Deliveries canceled")
	require.Contains(t, page, "1 delivery canceled by the people who run this service")
	require.Contains(t, s.get("/deliveries/"+d).text, "Canceled by the people who run this service. Redeliver if you want it after all.")
	require.Contains(t, s.get("/history").text, ">Canceled<")
}
