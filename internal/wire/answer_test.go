package wire_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/wire"
)

func TestAnswersComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"", "A: b\n", "A: b\nC: \n"} {
		for _, body := range []string{"", "x", "\n", "\n\nA: b\n", "\x01", "\x01A: b\n\nx", "A: b\n\nx"} {
			gotHeader, gotBody := wire.SplitAnswer(wire.JoinAnswer(header, body))
			require.Equal(t, []string{header, body}, []string{gotHeader, gotBody}, "%q %q", header, body)
		}
	}
	require.Equal(t, "x", wire.JoinAnswer("", "x"), "without headers nothing is added")
	for _, odd := range []string{"\x01", "\x01A: b", "\x01\n"} { // nobody stores these
		_, body := wire.SplitAnswer(odd)
		require.Empty(t, body)
	}
}

type answers http.Header

func (a answers) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 500, Header: http.Header(a), Body: io.NopCloser(strings.NewReader("no"))}, nil
}

func TestHeadersOfResponsesAreKept(t *testing.T) {
	t.Parallel()
	from := answers{"Server": {"nginx"}, "Set-Cookie": {"a=hunter2", "b=hunter2"}, "X-Api-Key": {"hunter2"}, "Content-Type": {"text/plain"},
		"X-Csrf": {"hunter2"}, "Odd": {"a\x01\nb\xff"}}
	to := &url.URL{Scheme: "https", Host: "a.example.com"}
	kept := func(most int) string {
		s := wire.Sender{Transport: from, Timeout: time.Minute, KeepHeader: most}
		r, ok := s.Send(&wire.Attempts{}, to, nil, nil, http.Header{}, nil, time.Now())
		require.True(t, ok)
		return r.Header
	}
	all := kept(4096)
	require.Equal(t, "Content-Type: text/plain\nOdd: a\uFFFD\uFFFDb\uFFFD\nServer: nginx\nSet-Cookie: [REDACTED]\nSet-Cookie: [REDACTED]\n"+
		"X-Api-Key: [REDACTED]\nX-Csrf: [REDACTED]\n", all)
	require.Empty(t, kept(0))
	for most := range len(all) {
		got := kept(most)
		require.LessOrEqual(t, len(got), most)
		require.True(t, strings.HasPrefix(all, got) && (got == "" || strings.HasSuffix(got, "\n")), "whole lines: %q", got)
	}
}
