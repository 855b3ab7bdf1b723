package settings_test

import (
	"fmt"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// register adds endpoints that are a second apart, as forms and keys do: their ids are in no order
// within a minute.
func register(t *testing.T, d *alotwebhook.Dispatcher, n int) (urls []string) {
	t.Helper()
	for i := range n {
		url := fmt.Sprintf("https://hooks.example.com/%02d", i)
		_, _, err := d.CreateEndpointOnce(t.Context(), fmt.Sprint("key ", i), alotwebhook.Endpoint{
			OrganizationID: "org_a", URL: url, EventTypes: []string{alotwebhook.EventCandidateCompleted},
		})
		require.NoError(t, err)
		urls = append(urls, url)
		time.Sleep(time.Second)
	}
	return urls
}

func (r reply) urls() (list []string) {
	for _, e := range r.json["endpoints"].([]any) {
		list = append(list, e.(map[string]any)["url"].(string))
	}
	return list
}

func TestTheAPIListsTheOldestEndpointFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		want := register(t, h.dispatcher, 30)
		require.Equal(t, want, h.do("GET", "/v1/webhooks", "").urls())
		time.Sleep(time.Minute)
		want = append(want, register(t, h.dispatcher, 40)[30:]...)

		path, seen := "/v1/webhooks?limit=7", []string{}
		for path != "" {
			page := h.do("GET", path, "")
			require.IsIncreasing(t, page.urls())
			seen = append(seen, page.urls()...)
			path = ""
			if cursor, more := page.json["nextCursor"].(string); more {
				path = "/v1/webhooks?limit=7&cursor=" + cursor
			}
		}
		require.ElementsMatch(t, want, seen, "no endpoint is lost or twice, however pages are sorted")
		require.ElementsMatch(t, want[30:], seen[30:], "those of a later minute come after")
	})
}

func TestThePageListsTheOldestEndpointFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		want := register(t, s.dispatcher, 12)
		var got []string
		for _, m := range regexp.MustCompile(`<b>hooks.example.com</b>(/\d\d)`).FindAllStringSubmatch(s.get("/").text, -1) {
			got = append(got, "https://hooks.example.com"+m[1])
		}
		require.Equal(t, want, got)
	})
}
