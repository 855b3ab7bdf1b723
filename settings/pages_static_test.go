package settings_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

func TestFilesAreKeptForEver(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, m := range reference.FindAllStringSubmatch(s.get("/").text, -1) {
		if !strings.HasPrefix(m[1], "/static/") {
			continue
		}
		plain, packed := s.get(m[1], "X-Organization", ""), s.get(m[1], "Accept-Encoding", "br, gzip;q=0.5")
		require.Equal(t, http.StatusOK, plain.status, "nobody is asked who they are")
		require.Equal(t, plain.text, packed.text)
		require.Equal(t, "gzip", packed.header.Get("Content-Encoding"))
		require.Equal(t, "public, max-age=31536000, immutable", plain.header.Get("Cache-Control"))
		require.Equal(t, "Accept-Encoding", plain.header.Get("Vary"))
		require.Regexp(t, `^text/(css|javascript); charset=utf-8$`, plain.header.Get("Content-Type"))
		require.Regexp(t, `\.[0-9a-f]{12}\.(css|js)$`, m[1])
		require.Empty(t, s.get(m[1], "Accept-Encoding", "gzip;q=0, br").header.Get("Content-Encoding"))
		require.Equal(t, http.StatusNotFound, s.post(m[1], nil).status)
	}
}

// The largest pages and all files that they load have at most 60 kB in gzip.
func TestPagesAreLight(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot/webhook")
	for range 60 {
		s.event(e, `{}`)
		s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{StatusCode: 500, Reason: alotwebhook.ReasonStatus})
	}
	for _, page := range []string{"/history", "/new", "/event-types", "/" + e.ID, "/" + e.ID + "/edit"} {
		sum := s.weight(page)
		t.Logf("%s: %d bytes", page, sum)
		require.LessOrEqual(t, sum, 60_000, page)
		require.Greater(t, sum, 10_000, page)
	}
}

// weight returns how many bytes of gzip a page and all files that it loads have.
func (s *site) weight(page string) (sum int) {
	s.t.Helper()
	for _, path := range append(links(s.get(page).text), page) {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("X-Organization", "org_a")
		r.Header.Set("Accept-Encoding", "gzip")
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		require.Equal(s.t, "gzip", w.Header().Get("Content-Encoding"), path)
		sum += w.Body.Len()
	}
	return sum
}

// links returns the paths of the files that the page loads.
func links(page string) (files []string) {
	for _, m := range reference.FindAllStringSubmatch(page, -1) {
		if strings.HasPrefix(m[1], "/static/") {
			files = append(files, m[1])
		}
	}
	return files
}

func TestPagesArePackedOnlyForWhomTheyCanBe(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.Empty(t, s.get("/").header.Get("Content-Encoding"))
	got := s.get("/", "Accept-Encoding", "deflate, gzip")
	require.Equal(t, "gzip", got.header.Get("Content-Encoding"))
	require.Contains(t, got.header.Get("Vary"), "Accept-Encoding")
	require.Contains(t, got.text, "</html>")
}
