package settings_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

func TestWhatAFormIsRefusedFor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	url, events := []string{"url", "https://hooks.example.com"}, []string{"events", alotwebhook.EventCandidateCompleted}
	join := func(lists ...[]string) (all []string) {
		for _, l := range lists {
			all = append(all, l...)
		}
		return all
	}
	for name, tc := range map[string]struct {
		fields []string
		status int
		words  string
	}{
		"nothing":             {nil, http.StatusUnprocessableEntity, "The URL "},
		"no events":           {url, http.StatusUnprocessableEntity, "Choose at least one event."},
		"a bad URL":           {join([]string{"url", "ftp://hooks.example.com"}, events), http.StatusUnprocessableEntity, `aria-invalid="true"`},
		"a private URL":       {join([]string{"url", "https://10.0.0.1"}, events), http.StatusUnprocessableEntity, "The URL "},
		"an event twice":      {join(url, events, events), http.StatusUnprocessableEntity, "stands twice"},
		"an unknown event":    {join(url, []string{"events", "candidate.hired"}), http.StatusUnprocessableEntity, "is not in the catalogue"},
		"a long description":  {join(url, events, []string{"description", strings.Repeat("x", 257)}), http.StatusUnprocessableEntity, "The description "},
		"control characters":  {join(url, events, []string{"description", "a\r\nb"}), http.StatusUnprocessableEntity, "The description "},
		"an unknown field":    {join(url, events, []string{"organizationId", "org_b"}), http.StatusBadRequest, "not known here: organizationId"},
		"a field twice":       {join(url, url, events), http.StatusBadRequest, "a field twice: url"},
		"a field not in UTF8": {join(url, events, []string{"description", "\xff"}), http.StatusBadRequest, "not UTF-8"},
		"too much":            {join(url, events, []string{"description", strings.Repeat("x", 70_000)}), http.StatusRequestEntityTooLarge, "64 KiB"},
	} {
		got := s.post("/new", tc.fields)
		require.Equal(t, tc.status, got.status, "%s: %s", name, got.text)
		require.Contains(t, got.text, tc.words, name)
	}
	for _, contentType := range []string{"", "application/json", "multipart/form-data; boundary=x", "text/plain"} {
		r := httptest.NewRequest(http.MethodPost, "/new", strings.NewReader("url=x"))
		r.Header.Set("Content-Type", contentType)
		require.Equal(t, http.StatusUnsupportedMediaType, s.do(r).status, contentType)
	}
	page, _, err := s.store.Endpoints(t.Context(), alotwebhook.EndpointFilter{})
	require.NoError(t, err)
	require.Empty(t, page)
}

func TestEachFieldSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	bad := []string{"url", "https://10.0.0.1/", "description", strings.Repeat("x", 257), "secret", "short"}
	require.Subset(t, problemsIn(s.post("/new", bad).text), []string{"url", "description", "secret", "events"})
	require.Subset(t, problemsIn(s.post("/new", append(bad, "rate", "many", "headers", "no colon")).text), []string{"rate", "headers"})
}

// problemsIn returns the fields beside which a page says what is wrong with them.
func problemsIn(page string) (fields []string) {
	for _, found := range regexp.MustCompile(` id="problem-(\w+)"`).FindAllStringSubmatch(page, -1) {
		fields = append(fields, found[1])
	}
	return fields
}

func TestWhatWasFilledInComesBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	got := s.post("/new", []string{"url", "https://hooks.example.com/typo here", "description", "CRM & more", "events", alotwebhook.EventAssessmentPublished})
	require.Equal(t, http.StatusUnprocessableEntity, got.status)
	require.Contains(t, got.text, `value="https://hooks.example.com/typo here"`)
	require.Contains(t, got.text, `value="CRM &amp; more"`)
	require.Contains(t, got.text, `value="assessment.published" checked`)
	require.NotContains(t, got.text, `value="candidate.invited" checked`)
	require.Contains(t, got.text, `<a href="#field-url">`)

	ticked := regexp.MustCompile(`name="events"[^>]* checked`)
	require.Len(t, ticked.FindAllString(s.get("/new").text, -1), 4, "a new form offers all events")
	none := s.post("/new", []string{"url", "https://hooks.example.com"})
	require.Contains(t, none.text, `<a href="#field-events">Choose at least one event.</a>`)
	require.NotRegexp(t, ticked, none.text, "none was ticked")
}

// together is a store that holds two lists of endpoints back until both were asked for.
type together struct {
	alotwebhook.Store
	asked sync.WaitGroup
	left  atomic.Int32
}

func (s *together) Endpoints(ctx context.Context, f alotwebhook.EndpointFilter) ([]alotwebhook.Endpoint, string, error) {
	found, next, err := s.Store.Endpoints(ctx, f)
	if s.left.Add(-1) >= 0 {
		s.asked.Done()
		s.asked.Wait()
	}
	return found, next, err
}

func TestAButtonClickedTwiceRegistersOneEndpoint(t *testing.T) {
	t.Parallel()
	store := &together{Store: memory.New()}
	s := newSiteOn(t, store, nil)
	fields := append(hidden(t, s.get("/new").text), "url", "https://a.example.com/", "events", alotwebhook.EventCandidateCompleted)
	store.asked.Add(2)
	store.left.Store(2)
	statuses := make(chan int, 2)
	for range 2 {
		go func() { statuses <- s.post("/new", fields).status }()
	}
	require.ElementsMatch(t, []int{http.StatusOK, http.StatusSeeOther}, []int{<-statuses, <-statuses}, "one shows the secret, one leads to the endpoint")
	found, _, err := store.Endpoints(t.Context(), alotwebhook.EndpointFilter{OrganizationID: "org_a"})
	require.NoError(t, err)
	require.Len(t, found, 1)
}

func TestAFormOfAnOlderVersionChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	form := hidden(t, s.get("/"+e.ID+"/edit").text)
	require.Equal(t, []string{"version", "1"}, form)
	fields := append(form, "events", alotwebhook.EventCandidateInvited, "url", "https://mine.example.com")
	require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/disable", nil).status) // changes the endpoint

	got := s.post("/"+e.ID+"/edit", fields)
	require.Equal(t, http.StatusConflict, got.status)
	require.Contains(t, got.text, "changed after you opened this form")
	require.Contains(t, got.text, `value="https://mine.example.com"`)
	require.Equal(t, e.URL, s.stored(e.ID).URL)

	fields = append(hidden(t, got.text), fields[2:]...) // saves the form once more
	require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/edit", fields).status)
	stored := s.stored(e.ID)
	require.Equal(t, "https://mine.example.com", stored.URL)
	require.True(t, stored.Disabled, "an edit does not enable")
}

// What is wrong with a limit stands beside its field, with what was typed, and says what to give.
func TestARateThatCannotBeMeantIsRefusedBesideItsField(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, given := range []string{"many", "0", "-1", "0.001", "1e9", "NaN", "Inf", "0,5", "10,000", strings.Repeat("9", 400)} {
		got := s.post("/new", []string{"url", "https://hooks.example.com/", "events", alotwebhook.EventCandidateInvited, "rate", given})
		require.Equal(t, http.StatusUnprocessableEntity, got.status, given)
		require.Contains(t, got.text, `name="rate" inputmode="decimal" maxlength="32" autocomplete="off" value="`+given+`" aria-describedby="problem-rate help-rate" aria-invalid="true">`)
		require.Contains(t, got.text, `<p class="problem" id="problem-rate">The limit must be a number from 0.01 to 10000, such as 5 or 0.5; leave it empty for no limit.</p>`, given)
	}
}

func TestTheRateIsEditedAndShown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	require.NotContains(t, s.get("/"+e.ID).text, "a second</dd>")
	for given, shown := range map[string]string{"2.50": "2.5 requests a second", " 1 ": "1 request a second"} {
		fields := append(hidden(t, s.get("/"+e.ID+"/edit").text), "url", e.URL, "events", e.EventTypes[0], "rate", given)
		require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/edit", fields).status)
		require.Contains(t, s.get("/"+e.ID).text, "<dd>"+shown+"</dd>")
	}
	require.Regexp(t, "may have to wait, because this endpoint gets at most (1 request|2.5 requests) a second", s.get("/deliveries/"+s.event(e, `{}`)).text)
	form := s.get("/" + e.ID + "/edit").text
	require.Regexp(t, `name="rate"[^>]* value="(1|2\.5)"`, form)
	fields := append(hidden(t, form), "url", e.URL, "events", e.EventTypes[0], "rate", "")
	require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/edit", fields).status)
	require.Zero(t, s.stored(e.ID).Rate)
}

func TestAnEventTypeThatIsNoMoreStaysChosen(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.stored(s.endpoint("https://hooks.example.com/alot").ID)
	e.EventTypes = append(e.EventTypes, "candidate.withdrew")
	require.NoError(t, s.store.PutEndpoint(t.Context(), e))
	form := s.get("/" + e.ID + "/edit").text
	require.Contains(t, form, `value="candidate.withdrew" checked`)
	fields := append(hidden(t, form), "url", e.URL, "description", "new", "events", e.EventTypes[0], "events", "candidate.withdrew")
	require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/edit", fields).status)
	require.Equal(t, e.EventTypes, s.stored(e.ID).EventTypes)
	require.Contains(t, s.get("/history?type=candidate.withdrew").text, "<option selected>candidate.withdrew</option>")
}
