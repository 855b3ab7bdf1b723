package settings_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// searched returns where a search leads to.
func (s *site) searched(q string) string {
	s.t.Helper()
	got := s.see("/search?q=" + url.QueryEscape(q))
	require.Equal(s.t, http.StatusSeeOther, got.status, "%s: %s", q, got.text)
	target, _, _ := strings.Cut(got.header.Get("Location"), "#")
	require.Less(s.t, s.see(target).status, 400)
	return got.header.Get("Location")
}

func TestAnExactIDLeadsThereAtOnce(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	e := s.endpointOf("a/b", "https://hooks.example.com/alot")
	event := s.eventOf("a/b")
	delivery := alotwebhook.DeliveryID(event, e.ID)
	r, err := s.dispatcher.CancelMany(t.Context(), alotwebhook.Recovery{OrganizationID: "a/b"})
	require.NoError(t, err)
	own, err := s.dispatcher.Recover(t.Context(), e.ID, e.CreatedAt)
	require.NoError(t, err)
	ops, _, err := s.dispatcher.Operations(t.Context(), alotwebhook.OperationFilter{})
	require.NoError(t, err)
	require.Equal(t, "/organizations/a%2Fb/deliveries/"+delivery, s.searched(delivery))
	require.Equal(t, "/organizations/a%2Fb/deliveries/"+delivery, s.searched("  "+event+" "), "an event with one delivery")
	require.Equal(t, "/organizations/a%2Fb/"+e.ID, s.searched(e.ID))
	require.Equal(t, "/recoveries/"+r.EndpointID, s.searched(r.EndpointID))
	require.Contains(t, s.see("/recoveries/"+own.EndpointID).text, "Sending again", "that of one endpoint")
	for _, op := range ops {
		require.Equal(t, "/operations?operation="+op.ID+"#"+op.ID, s.searched(op.ID))
		require.Contains(t, s.see("/operations?operation="+op.ID).text, `id="`+op.ID+`" class="found"`)
	}
	s.endpointOf("a/b", "https://second.example.com/alot")
	two := s.eventOf("a/b")
	require.Equal(t, "/deliveries?event="+two, s.searched(two), "an event with two deliveries")
	require.Contains(t, s.see("/deliveries?event="+two).text, "second.example.com")
}

// An organization without endpoints of that name in their URLs is the only thing found.
func TestSearchByText(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	s.endpointOf("a/b", "https://hooks.example.com/alot")
	e := s.endpointOf("hooks", "https://other.example.com/alot")
	require.Equal(t, "/organizations/a%2Fb/", s.searched("a/b"))
	both := s.see("/search?q=hooks").text
	require.Contains(t, both, `<a class="org" href="/organizations/hooks/">hooks</a>`)
	require.Contains(t, both, "hooks.example.com")
	require.Contains(t, s.see("/search?q=EXAMPLE.com%2Falot").text, "other.example.com", "a part of the URL, in either case")
	require.NotContains(t, s.see("/search?q=other").text, "hooks.example.com")
	for range 21 {
		s.endpointOf("org_many", "https://many.example.com/alot")
	}
	require.Contains(t, s.see("/search?q=many.example").text, `href="/endpoints?url=many.example"`)
	require.NoError(t, s.dispatcher.DeleteEndpoint(t.Context(), e.ID))
	require.Contains(t, s.see("/search?q=other").text, "Nothing was found")
	require.Contains(t, s.see("/search").text, "What can be searched for")
	require.Contains(t, s.see("/search?q=").text, "What can be searched for")
}

// What is gone, or went nowhere, is said.
func TestSearchForWhatIsGone(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	nowhere := s.eventOf("org_a")
	got := s.see("/search?q=" + nowhere)
	require.Equal(t, http.StatusOK, got.status)
	require.Contains(t, got.text, "An event that went to no endpoint")
	require.Contains(t, got.text, `href="/organizations/org_a/"`)
	e := s.endpoint("https://hooks.example.com/alot")
	s.event(e, `{}`)
	require.NoError(t, s.dispatcher.DeleteEndpoint(t.Context(), e.ID))
	gone := s.see("/search?q=" + e.ID).text
	require.Contains(t, gone, "An endpoint that was deleted")
	require.Contains(t, gone, "/deliveries?endpoint="+e.ID)
	require.Contains(t, gone, "/operations?endpoint="+e.ID)
	require.Contains(t, s.see("/operations?endpoint="+e.ID).text, "Deleted")
	require.Contains(t, s.see("/deliveries?endpoint="+e.ID).text, "Endpoint deleted")
	for _, prefix := range []string{"evt_", "dlv_", "wh_", "rec_", "op_"} {
		got := s.see("/search?q=" + prefix + "00000000000000000000000000")
		require.Equal(t, http.StatusOK, got.status, prefix)
		require.Contains(t, got.text, "Nothing was found", prefix)
	}
}

// The lists go on behind their cursors, and show each thing once.
func TestTheListsOfOperatorsGoOn(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	want := map[string]bool{}
	for range 60 {
		want[s.endpointOf("org_a", "https://hooks.example.com/alot").ID] = true
	}
	s.endpointOf("org_b", "https://hooks.example.com/alot")
	for range 2 {
		s.eventOf("org_a")
	}
	for _, tc := range []struct {
		path, more string
		count      int
	}{
		{"/endpoints?organization=org_a&url=HOOKS", "more", 60}, {"/operations?organization=org_a&type=endpoint.created", "older", 60},
		{"/deliveries?organization=org_a&status=unfinished", "older", 120},
	} {
		seen := map[string]int{}
		for path := tc.path; path != ""; {
			page := s.see(path).text
			require.NotContains(t, page, "org_b")
			for _, id := range rowsOf(page) {
				seen[id]++
			}
			path = nextOf(page, tc.more)
		}
		require.Len(t, seen, tc.count, tc.path)
		for id, n := range seen {
			require.Equal(t, 1, n, "%s of %s", id, tc.path)
		}
	}
	require.Contains(t, s.see("/endpoints?failing=yes").text, "No endpoint matches")
	require.Contains(t, s.see("/endpoints?disabled=yes&failing=yes").text, "No endpoint matches")
}
