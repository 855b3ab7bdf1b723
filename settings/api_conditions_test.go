package settings_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// current puts an ETag into a header's value, where it says CURRENT: VERSION is what is between the quotation marks.
func current(value, tag string) string {
	return strings.NewReplacer("CURRENT", tag, "VERSION", strings.Trim(tag, `"`)).Replace(value)
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	path := "/v1/webhooks/" + h.create(published)
	tag := func() string { return h.do("GET", path, "").header.Get("ETag") }
	for _, tc := range []struct {
		given  string
		status int
	}{
		{"*", 200},
		{`"999"`, 412},
		{`W/"999"`, 412},
		{"W/CURRENT", 200},       // as nginx makes of it
		{`"VERSION-gzip"`, 200},  // Apache
		{`"VERSION--gzip"`, 200}, // Jetty
		{`W/"VERSION-br"`, 200},  // two of them
		{`"VERSION-GZIP!"`, 412}, // nobody
		{`"VERSION0-gzip"`, 412}, // another version
		{`w/CURRENT`, 412},       // the letter is a capital one
		{`"`, 412},
		{"VERSION", 412},
		{"", 412},
		{`"999", CURRENT`, 200},
		{`"999",W/CURRENT , "x"`, 200},
		{"CURRENT", 200},
	} {
		given := current(tc.given, tag())
		got := h.do("PATCH", path, `{"description":"for `+strings.ReplaceAll(tc.given, `"`, `'`)+`"}`, "If-Match", given)
		require.Equal(t, tc.status, got.status, given)
	}
	before := tag()
	require.Equal(t, http.StatusOK, h.do("PATCH", path, `{"description":"without"}`).status)
	require.NotEqual(t, before, tag())
	require.Equal(t, http.StatusPreconditionFailed, h.do("DELETE", path, "", "If-Match", before).status)
	require.Equal(t, http.StatusPreconditionFailed, h.do("DELETE", path, "", "If-Match", "W/"+before).status)
	require.Equal(t, http.StatusNoContent, h.do("DELETE", path, "", "If-Match", tag()).status)
}

func TestIfNoneMatch(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	path := "/v1/webhooks/" + h.create(published)
	tag := h.do("GET", path, "").header.Get("ETag")
	for _, tc := range []struct {
		given      string
		read, sent int
	}{
		{"*", 304, 412},
		{"CURRENT", 304, 412},
		{"W/CURRENT", 304, 412}, // it compares weakly
		{`"VERSION-gzip"`, 304, 412},
		{`"999", W/CURRENT`, 304, 412},
		{`"999"`, 200, 200},
		{"VERSION", 200, 200},
	} {
		given := current(tc.given, tag)
		for _, method := range []string{"GET", "HEAD"} {
			got := h.do(method, path, "", "If-None-Match", given)
			require.Equal(t, tc.read, got.status, "%s %s", method, given)
			require.Equal(t, tag, got.header.Get("ETag"))
			if tc.read == 304 {
				require.Empty(t, got.text)
				require.Empty(t, got.header.Get("Content-Type"))
			}
		}
		require.Equal(t, tc.sent, h.do("PATCH", path, `{}`, "If-None-Match", given).status, given)
	}
	require.Equal(t, 404, h.do("GET", "/v1/webhooks/wh_00000000000000000000000000", "", "If-None-Match", "*").status)
	require.Equal(t, 412, h.do("DELETE", path, "", "If-None-Match", "*").status)
	require.Equal(t, 412, h.do("POST", path+"/enable", "", "If-None-Match", tag).status)
	require.Equal(t, 412, h.do("DELETE", path, "", "If-None-Match", `"999"`, "If-Match", `"999"`).status)
	require.Equal(t, 204, h.do("DELETE", path, "", "If-None-Match", `"999"`, "If-Match", tag).status)
}

// What changes without anybody's doing changes the ETag, so that no 304 hides it, and hinders nobody's change.
func TestTheETagIsOfAllThatIsShown(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := h.create(published)
	path := "/v1/webhooks/" + id
	before := h.do("GET", path, "").header.Get("ETag")
	_, err := h.dispatcher.Pause(t.Context(), alotwebhook.Pause{EndpointID: id})
	require.NoError(t, err)
	paused := h.do("GET", path, "", "If-None-Match", before)
	require.Equal(t, 200, paused.status)
	require.Equal(t, true, paused.json["paused"])
	tag := paused.header.Get("ETag")
	require.Regexp(t, `^"1-[0-9a-f]{8}"$`, tag)
	require.Equal(t, 304, h.do("GET", path, "", "If-None-Match", tag).status)
	require.Equal(t, 304, h.do("GET", path, "", "If-None-Match", strings.TrimSuffix(tag, `"`)+`-gzip"`).status)
	require.Equal(t, 200, h.do("PATCH", path, `{}`, "If-Match", before).status, "nobody has changed it")
	changed := h.do("PATCH", path, `{"description":"x"}`, "If-Match", "W/"+tag)
	require.Equal(t, 200, changed.status)
	require.Equal(t, changed.header.Get("ETag"), h.do("GET", path, "").header.Get("ETag"))

	body := `{"signsFrom":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}`
	require.Less(t, h.do("POST", path+"/rotate-secret", body).status, 300)
	require.NotEqual(t, strings.Split(tag, "-")[1], strings.Split(h.do("GET", path, "").header.Get("ETag"), "-")[1])
}
