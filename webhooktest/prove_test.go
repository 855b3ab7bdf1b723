package webhooktest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

// challengeOf returns what the battery says of a receiver's answers to challenges, if it tries those.
func challengeOf(t *testing.T, proves bool, h http.HandlerFunc) string {
	t.Helper()
	names := webhooktest.Battery{}.Checks()
	var skip []string
	for _, name := range names {
		if name != "challenge" && name != "signed" {
			skip = append(skip, name)
		}
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	battery := webhooktest.Battery{Secret: secret, URL: server.URL, Skip: skip, Proves: proves}
	for _, f := range battery.Check(t.Context(), server.Client().Do) {
		if f.Check == "challenge" {
			return f.Problem + f.Skipped
		}
	}
	t.Fatal("the check was not made")
	return ""
}

func TestTheBatteryTriesChallenges(t *testing.T) {
	t.Parallel()
	answer := func(verifies bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if verifies && alotwebhook.Verify(body, r.Header.Get(alotwebhook.SignatureHeader), secret) != nil {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			if e, err := alotwebhook.ParseEvent(body); err == nil {
				_, _ = w.Write(alotwebhook.Prove(e, secret))
			}
		}
	}
	require.Empty(t, challengeOf(t, true, answer(true)))
	require.Contains(t, challengeOf(t, true, answer(false)), "without a signature")
	require.Contains(t, challengeOf(t, true, func(http.ResponseWriter, *http.Request) {}), "no body")
	require.Contains(t, challengeOf(t, true, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }), "repeats the challenge")
	require.Contains(t, challengeOf(t, true, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get(alotwebhook.EventHeader), "endpoint.") {
			w.WriteHeader(http.StatusBadRequest)
		}
	}), "the status must be 2xx")
	require.Equal(t, "Proves is not set", challengeOf(t, false, func(http.ResponseWriter, *http.Request) {}))
}

func TestServersAnswerChallenges(t *testing.T) {
	t.Parallel()
	server := webhooktest.NewServer(t, "another secret of it", secret)
	f := webhooktest.Battery{Secret: secret, URL: server.URL, Proves: true}.Check(t.Context(), server.Client().Do)
	for _, finding := range f {
		if finding.Check == "challenge" {
			require.Empty(t, finding.Problem+finding.Skipped)
		}
	}
}
