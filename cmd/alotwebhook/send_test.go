package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

func TestSendEveryType(t *testing.T) {
	t.Parallel()
	s := webhooktest.NewServer(t, secret)
	for i, et := range alotwebhook.DefaultEventTypes() {
		code, out, _ := run(t, "", "send", "--type", et.Name, s.URL+"/alot?a=b")
		require.Equal(t, exitOK, code)
		require.Contains(t, out, "POST "+s.URL+"/alot?a=b\n")
		require.Regexp(t, `(?m)^200 OK in \S+$`, out)

		got := s.Received()[i]
		require.NoError(t, got.Err)
		require.Equal(t, et.Name, got.Event.Type)
		require.JSONEq(t, string(et.Example), string(got.Event.Data))
		require.Equal(t, et.Name, got.Header.Get(alotwebhook.EventHeader))
		require.Contains(t, out, "X-Alot-Signature: "+got.Header.Get(alotwebhook.SignatureHeader)+"\n")
		require.Contains(t, out, `  "id": "`+got.Event.ID+`",`)
		require.Equal(t, "/alot?a=b", got.URI)
		require.WithinDuration(t, time.Now(), got.Event.Timestamp, time.Hour)
	}
}

func TestSendOwnData(t *testing.T) {
	t.Parallel()
	s := webhooktest.NewServer(t, secret)
	const data = "{\n  \"big\": 9007199254740993,\n  \"html\": \"<b>\"\n}" // indented, and left so
	for _, given := range []string{data, "@" + file(t, data)} {
		code, _, _ := run(t, "", "send", "--type", "candidate.withdrew", "--organization", "org_9", "--id", "evt_01jcc7wjz3e4qv8x5k2m9n6p0r", "--data", given, s.URL)
		require.Equal(t, exitOK, code)
	}
	code, _, _ := run(t, "", "send", "--type", "candidate.withdrew", s.URL)
	require.Equal(t, exitOK, code)
	got := s.Received()
	for _, r := range got[:2] {
		require.NoError(t, r.Err)
		require.Equal(t, data, string(r.Event.Data))
		require.Equal(t, "org_9", r.Event.OrganizationID)
		require.Equal(t, "evt_01jcc7wjz3e4qv8x5k2m9n6p0r", r.Event.ID)
	}
	require.Equal(t, "{}", string(got[2].Event.Data))
}

// A recorded body is sent unchanged, even if it is no event.
func TestSendExactBody(t *testing.T) {
	t.Parallel()
	s := webhooktest.NewServer(t, secret)
	code, out, _ := run(t, "", "send", "--body", file(t, payload+"\r\n"), s.URL)
	require.Equal(t, exitOK, code)
	require.Contains(t, out, fmt.Sprintf("\n(shown with indentation; sent and signed as %d bytes)\n", len(payload)+2))
	code, out, _ = run(t, "Hello\n", "send", "--body", "-", s.URL)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "\n400 Bad Request in ")
	require.Equal(t, payload+"\r\n", string(s.Received()[0].Body))
	require.NoError(t, s.Received()[0].Err)
	require.NotContains(t, out, "indentation")
	require.Equal(t, "Hello\n", string(s.Received()[1].Body))
	require.Empty(t, s.Received()[1].Header.Get(alotwebhook.EventHeader))
}

func TestSendStandardWebhooks(t *testing.T) {
	t.Parallel()
	s := webhooktest.NewServer(t, secret)
	code, _, _ := run(t, "", "send", "--standard", s.URL)
	require.Equal(t, exitOK, code)
	v, err := alotwebhook.NewVerifier(secret)
	require.NoError(t, err)
	got := s.Received()[0]
	_, err = v.AcceptStandard(&alotwebhook.StandardConfig{Only: true}).VerifyHeader(got.Body, got.Header)
	require.NoError(t, err)
	require.Equal(t, got.Event.ID, got.Header.Get(alotwebhook.StandardIDHeader))
	require.NoError(t, got.Err)
}

func TestSendUnsigned(t *testing.T) {
	t.Parallel()
	s := webhooktest.NewServer(t, secret)
	plain := newSession(strings.NewReader(""), nil) // no secret is needed
	require.Equal(t, exitFailed, plain.app.run(t.Context(), []string{"send", "--unsigned", s.URL}))
	require.Contains(t, plain.out.String(), "\n401 Unauthorized in ")
	require.ErrorIs(t, s.Received()[0].Err, alotwebhook.ErrNotSigned)
}

func TestSendShowsResponses(t *testing.T) {
	t.Parallel()
	elsewhere := webhooktest.NewServer(t, secret)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, c := range map[string]struct {
		answer webhooktest.Answer
		args   []string
		says   string
	}{
		"an error with its text":   {webhooktest.Answer{Status: 500, Body: `{"error":"no such table"}`}, nil, "\n500 Internal Server Error in "},
		"terminal codes":           {webhooktest.Answer{Status: 500, Body: "\x1b[2Jgone"}, nil, "\n\\u001b[2Jgone\n"},
		"a redirect, not followed": {webhooktest.Answer{Status: 307, Header: http.Header{"Location": {elsewhere.URL}}}, nil, "The sender follows no redirect"},
		"a cut connection":         {webhooktest.Answer{Reset: true}, nil, "\nno response: "},
		"too long a wait":          {webhooktest.Answer{Delay: time.Hour}, []string{"--timeout", "50ms"}, "\nno response: it timed out after "},
		"too slow a body":          {webhooktest.Answer{Body: strings.Repeat("x", 100), Drip: time.Hour}, []string{"--timeout", "5s"}, "\n200 OK, but the response's body was cut off or did not end in time after "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := webhooktest.NewServer(t, secret)
			s.Always(c.answer)
			code, out, _ := run(t, "", append([]string{"send", s.URL}, c.args...)...)
			require.Equal(t, exitFailed, code)
			require.Contains(t, out, c.says)
			require.NotContains(t, out, "\x1b")
		})
	}
	code, out, _ := run(t, "", "send", gone.URL)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "\nno response: dial tcp ")
	require.Empty(t, elsewhere.Received())
}

func TestSendOverTLS(t *testing.T) {
	t.Parallel()
	s := webhooktest.NewTLSServer(t, secret)
	code, out, _ := run(t, "", "send", s.URL)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "no response: tls: failed to verify certificate")
	code, _, _ = run(t, "", "send", "--insecure", s.URL)
	require.Equal(t, exitOK, code)
}

func TestSendTest(t *testing.T) {
	t.Parallel()
	s := webhooktest.NewServer(t, secret)
	for i, args := range [][]string{{"send", s.URL}, {"send", "--test", s.URL}} {
		code, out, _ := run(t, "", args...)
		require.Equal(t, exitOK, code)
		require.Equal(t, i == 1, s.Received()[i].Header.Get(alotwebhook.TestHeader) == "true")
		require.Equal(t, i == 1, strings.Contains(out, "X-Alot-Test: true\n"))
	}
}
