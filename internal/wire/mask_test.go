package wire_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/wire"
)

// echo answers with a header and a body.
type echo struct{ header, body string }

func (e echo) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 500, Header: http.Header{"X-Echo": {e.header}}, Body: io.NopCloser(strings.NewReader(e.body)), ContentLength: -1}, nil
}

func TestOwnHeadersAreTakenOutOfWhatIsKept(t *testing.T) {
	t.Parallel()
	basic := base64.StdEncoding.EncodeToString([]byte("user:hunter2"))
	own := http.Header{"Authorization": {"Basic " + basic}, "X-Api": {"bearer hunter2-token"}, "X-Tenant": {"hunter2"}, "X-Region": {"eu-42"}}
	for _, c := range []struct {
		body, kept string
		keep       int
	}{
		{"said Basic " + basic + ", then " + basic, "said …, then …", 1000},
		{"bearer hunter2-token hunter2-token hunter2 hunter2", "… … … …", 1000},
		{"eu-42 basic hunter", "eu-42 basic hunter", 1000}, // one is too short, the other is none
		{"", "", 1000},
		{"Authorization: Basic " + basic, "Authorization: ", len("Authorization: Basic " + basic[:3])},
		{"token: hunter2-token", "token: ", len("token: hunter2-tok")},
		{"token: hunter2-token", "token: ", len("token: h")},
		{"hunter2hunter2", "…", len("hunter2hunt")},
		{"abc hunter2 more", "abc … ", len("abc hunter2 ")},
		{"a quiet answer", "a quiet", len("a quiet")},
	} {
		s := wire.Sender{Transport: echo{c.body, c.body}, Timeout: time.Minute, KeepHeader: 1000, KeepBody: c.keep, MaxBody: 1000}
		r, ok := s.Send(&wire.Attempts{}, &url.URL{Scheme: "https", Host: "a.example.com"}, nil, own, http.Header{}, nil, time.Now())
		require.True(t, ok)
		require.Equal(t, c.kept, r.Body, "%q", c.body)
		if c.keep == 1000 {
			require.Equal(t, "X-Echo: "+c.kept+"\n", r.Header)
		}
		require.NotContains(t, r.Header, basic)
		require.NotContains(t, r.Header, "hunter2")
	}
}
