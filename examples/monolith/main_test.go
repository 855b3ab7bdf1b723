package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// receiver starts a customer's receiver. It sends each verified event to the channel, and
// the error of handle decides the status of its response.
func receiver(t testing.TB, handle func(context.Context, alotwebhook.Event) error) (url string, events chan alotwebhook.Event) {
	t.Helper()
	v, err := alotwebhook.NewVerifier(webhookSecret)
	require.NoError(t, err)
	events = make(chan alotwebhook.Event, 100)
	r := alotwebhook.NewReceiver(v, &alotwebhook.ReceiverConfig{Logger: slog.New(slog.DiscardHandler)})
	alotwebhook.On(r, alotwebhook.EventCandidateCompleted, func(ctx context.Context, e alotwebhook.Event, _ alotwebhook.CandidateCompleted) error {
		events <- e
		return handle(ctx, e)
	})
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return server.URL + "/alot", events
}

func accept(context.Context, alotwebhook.Event) error { return nil }

// next returns the next event that was received.
func next(t testing.TB, events <-chan alotwebhook.Event) alotwebhook.Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(patience):
		require.Fail(t, "no event was received")
		return alotwebhook.Event{}
	}
}

func TestACompletedCandidateReachesTheCustomer(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store string) {
		url, events := receiver(t, accept)
		c := launch(t, "-dev", "-store", store).as("org_123")
		endpoint := c.register(url)

		status, done := c.complete("sess_123", 82)
		require.Equal(t, http.StatusCreated, status, done)
		event := next(t, events)
		require.Equal(t, done["eventId"], event.ID)
		require.Equal(t, "org_123", event.OrganizationID)
		require.JSONEq(t, `{"sessionId":"sess_123","assessmentId":"asm_456","candidateName":"Jane Smith",
			"candidateEmail":"jane@example.com","score":82,"status":"COMPLETED"}`, string(event.Data))

		status, row := c.do("GET", "/v1/candidates/sess_123", "")
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, event.ID, row["eventId"])
		require.EqualValues(t, 82, row["score"])

		delivery := c.finished(endpoint, alotwebhook.StateDelivered, 1)[0].(map[string]any)
		require.Equal(t, event.ID, delivery["eventId"])
		status, one := c.do("GET", "/v1/webhooks/deliveries/"+delivery["id"].(string), "")
		require.Equal(t, http.StatusOK, status)
		require.EqualValues(t, 200, one["attempts"].([]any)[0].(map[string]any)["statusCode"])
	})
}

func TestWhatIsRolledBackWasNeverEmitted(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store string) {
		url, events := receiver(t, accept)
		c := launch(t, "-dev", "-store", store).as("org_123")
		endpoint := c.register(url)

		status, refused := c.complete("sess_1", -1)
		require.Equal(t, http.StatusUnprocessableEntity, status, refused)
		status, _ = c.do("GET", "/v1/candidates/sess_1", "")
		require.Equal(t, http.StatusNotFound, status)
		require.Empty(t, c.deliveries(endpoint, ""))

		// The same session can be completed with a good score, but only once.
		status, done := c.complete("sess_1", 0)
		require.Equal(t, http.StatusCreated, status, done)
		status, _ = c.complete("sess_1", 50)
		require.Equal(t, http.StatusConflict, status)
		status, last := c.complete("sess_2", 50)
		require.Equal(t, http.StatusCreated, status)

		require.ElementsMatch(t, []any{done["eventId"], last["eventId"]}, []any{next(t, events).ID, next(t, events).ID})
		c.finished(endpoint, alotwebhook.StateDelivered, 2)
		require.Len(t, c.deliveries(endpoint, ""), 2)
		require.Empty(t, events)
		status, row := c.do("GET", "/v1/candidates/sess_1", "")
		require.Equal(t, http.StatusOK, status)
		require.EqualValues(t, 0, row["score"])
	})
}

func TestOrganizationsDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store string) {
		url, events := receiver(t, accept)
		p := launch(t, "-dev", "-store", store)
		c, foreign := p.as("org_123"), p.as("org_456")
		endpoint := c.register(url)
		_, done := c.complete("sess_123", 82)
		require.Equal(t, done["eventId"], next(t, events).ID)
		delivery := c.finished(endpoint, alotwebhook.StateDelivered, 1)[0].(map[string]any)["id"].(string)

		for _, path := range []string{
			"/v1/webhooks/" + endpoint, "/v1/webhooks/" + endpoint + "/deliveries",
			"/v1/webhooks/deliveries/" + delivery, "/v1/candidates/sess_123",
		} {
			status, _ := c.do("GET", path, "")
			require.Equal(t, http.StatusOK, status, path)
			status, _ = foreign.do("GET", path, "")
			require.Equal(t, http.StatusNotFound, status, path)
		}
		// In another organization, the same session id is another candidate.
		status, other := foreign.complete("sess_123", 10)
		require.Equal(t, http.StatusCreated, status)
		require.NotEqual(t, done["eventId"], other["eventId"])
		require.Len(t, c.deliveries(endpoint, ""), 1)
	})
}

func TestRetriesCanBeShortened(t *testing.T) {
	t.Parallel()
	url, events := receiver(t, func(context.Context, alotwebhook.Event) error { return io.ErrUnexpectedEOF })
	c := launch(t, "-dev", "-retries", "20ms, 40ms").as("org_123")
	endpoint := c.register(url)
	_, done := c.complete("sess_123", 82)
	failed := c.finished(endpoint, alotwebhook.StateFailed, 1)[0].(map[string]any)
	require.EqualValues(t, 3, failed["attemptCount"])
	require.EqualValues(t, 500, failed["lastStatusCode"])
	require.Equal(t, "status", failed["lastReason"])
	for range 3 {
		require.Equal(t, done["eventId"], next(t, events).ID)
	}
}

// sign returns a token that the program has not made.
func sign(t testing.TB, method jwt.SigningMethod, key any, c jwt.MapClaims) string {
	t.Helper()
	token, err := jwt.NewWithClaims(method, c).SignedString(key)
	require.NoError(t, err)
	return token
}

func TestOnlyGoodTokensAreAccepted(t *testing.T) {
	t.Parallel()
	p := launch(t) // the secret is ALOT_JWT_SECRET, with and without -dev
	secret, soon := []byte(jwtSecret), time.Now().Add(time.Hour).Unix()
	good := jwt.MapClaims{"organizationId": "org_123", "exp": soon}
	for name, tc := range map[string]struct {
		token string
		want  int
	}{
		"good":             {sign(t, jwt.SigningMethodHS256, secret, good), http.StatusOK},
		"none":             {"", http.StatusUnauthorized},
		"no token":         {"nonsense", http.StatusUnauthorized},
		"another secret":   {sign(t, jwt.SigningMethodHS256, []byte("another"), good), http.StatusUnauthorized},
		"another method":   {sign(t, jwt.SigningMethodHS512, secret, good), http.StatusUnauthorized},
		"unsigned":         {sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good), http.StatusUnauthorized},
		"expired":          {sign(t, jwt.SigningMethodHS256, secret, jwt.MapClaims{"organizationId": "org_123", "exp": time.Now().Add(-time.Minute).Unix()}), http.StatusUnauthorized},
		"valid for ever":   {sign(t, jwt.SigningMethodHS256, secret, jwt.MapClaims{"organizationId": "org_123"}), http.StatusUnauthorized},
		"of nobody":        {sign(t, jwt.SigningMethodHS256, secret, jwt.MapClaims{"exp": soon}), http.StatusUnauthorized},
		"of a number":      {sign(t, jwt.SigningMethodHS256, secret, jwt.MapClaims{"organizationId": 7, "exp": soon}), http.StatusUnauthorized},
		"of another claim": {sign(t, jwt.SigningMethodHS256, secret, jwt.MapClaims{"sub": "org_123", "exp": soon}), http.StatusUnauthorized},
	} {
		c := client{p, tc.token}
		status, _ := c.do("GET", "/v1/webhooks", "")
		require.Equal(t, tc.want, status, name)
		status, body := c.complete("sess_1", -1)
		if tc.want == http.StatusOK {
			require.Equal(t, http.StatusUnprocessableEntity, status, body)
			continue
		}
		require.Equal(t, tc.want, status, name)
		require.Equal(t, "Unauthorized", body["title"])
		status, _ = c.do("GET", "/v1/candidates/sess_1", "")
		require.Equal(t, tc.want, status, name)
	}
}

func TestDevelopmentIsAskedFor(t *testing.T) {
	t.Parallel()
	p := launch(t)
	res, err := ownClient.Get(p.url + "/dev/token?organization=org_123")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusNotFound, res.StatusCode)

	token, err := tokens{[]byte(jwtSecret)}.sign("org_123", "")
	require.NoError(t, err)
	c := client{p, token}
	for _, url := range []string{"http://example.com/", "https://127.0.0.1:8443/"} {
		status, body := c.do("POST", "/v1/webhooks", `{"url":"`+url+`","events":["candidate.completed"]}`)
		require.Equal(t, http.StatusUnprocessableEntity, status, body)
	}

	dev := launch(t, "-dev")
	res, err = ownClient.Get(dev.url + "/dev/token")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusBadRequest, res.StatusCode)
}

func TestBadCompletions(t *testing.T) {
	t.Parallel()
	c := launch(t, "-dev").as("org_123")
	const rest = `"candidateName":"Jane Smith","candidateEmail":"jane@example.com","score":1,"status":"COMPLETED"}`
	for body, detail := range map[string]string{
		``:                                  "not a completion",
		`[]`:                                "not a completion",
		`{"assessmentId":7,` + rest:         "assessmentId",
		`{"assessmentId":"","x":1}`:         `"x"`,
		`{` + rest:                          "assessmentId is missing",
		`{"assessmentId":"a\u0000",` + rest: "assessmentId has control characters",
		`{"assessmentId":"` + strings.Repeat("a", 257) + `",` + rest: "assessmentId has 257 bytes",
		`{"assessmentId":"a",` + rest + `{}`:                         "more text after",
		`{"assessmentId":"` + strings.Repeat("a", 70_000) + `"}`:     "too large",
	} {
		status, problem := c.do("POST", "/v1/candidates/sess_1/complete", body)
		require.Equal(t, http.StatusBadRequest, status, "%.80s", body)
		require.Contains(t, problem["detail"], detail, "%.80s", body)
	}
	for _, session := range []string{"%00", "%ff", strings.Repeat("s", 257)} {
		status, _ := c.complete(session, 1)
		require.Equal(t, http.StatusBadRequest, status, session)
		status, _ = c.do("GET", "/v1/candidates/"+session, "")
		require.Equal(t, http.StatusNotFound, status, session)
	}
}

func TestWrongArguments(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"-store", "mysql:x"}, `invalid value "mysql:x" for flag -store: want memory, sqlite:PATH or postgres:DSN`},
		{[]string{"-store", "sqlite:"}, "want memory, sqlite:PATH"},
		{[]string{"-store", "postgres:"}, "want memory, sqlite:PATH"},
		{[]string{"-retries", "soon"}, `"soon" is not a duration above 0`},
		{[]string{"-retries", "1s,-1s"}, `"-1s" is not a duration above 0`},
		{[]string{"-retries", ""}, "not a duration above 0"},
		{[]string{"-port", "80"}, "flag provided but not defined: -port"},
		{[]string{"-dev", "serve"}, `unexpected argument "serve"`},
		{nil, "ALOT_JWT_SECRET is not set"},
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 2, run(t.Context(), tc.args, unset, &stdout, &stderr), tc.args)
		require.Contains(t, stderr.String(), tc.want)
		require.Contains(t, stderr.String(), "usage: go run ./examples/monolith")
		require.Empty(t, stdout.String())
	}
}

func unset(string) string { return "" }

func TestHelpIsNoError(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	require.Equal(t, 0, run(t.Context(), []string{"-h"}, unset, &stdout, &stderr))
	for _, word := range []string{"-addr", "-store", "-dev", "-retries", secretVariable} {
		require.Contains(t, stderr.String(), word)
	}
}

func TestStartFailsWithAReason(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	down, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, down.Close()) // from now on, nothing listens on this port
	_, port, err := net.SplitHostPort(down.Addr().String())
	require.NoError(t, err)
	for _, tc := range []struct{ flag, value, want string }{
		{"-addr", taken.Addr().String(), "address already in use"},
		{"-addr", "127.0.0.1:http:", "too many colons"},
		{"-store", "postgres://bob:hunter2@127.0.0.1:" + port + "/x", "is the server running"},
		{"-store", "postgres:host=127.0.0.1 port=" + port + " user=bob password=hunter2", "is the server running"},
		{"-store", "postgres:nonsense", "cannot parse"},
		{"-store", "sqlite:" + filepath.Join(t.TempDir(), "none", "x.db"), "no such file or directory"},
		{"-store", "sqlite:" + t.TempDir(), "is a directory"},
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 1, run(t.Context(), []string{"-dev", tc.flag, tc.value}, unset, &stdout, &stderr), tc.value)
		require.Contains(t, stderr.String(), "monolith: ")
		require.Contains(t, stderr.String(), tc.want)
		require.NotContains(t, stderr.String(), "hunter2")
		require.Empty(t, stdout.String())
	}
}

func TestOnlyTheOwnerCanReadTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "monolith.db")
	launch(t, "-dev", "-store", "sqlite:"+path).stop()
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestARandomSecretIsLogged(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the program starts and ends at once
	var stdout, stderr bytes.Buffer
	require.Equal(t, 0, run(ctx, []string{"-dev", "-addr", "127.0.0.1:0"}, unset, &stdout, &stderr), stderr.String())
	require.Contains(t, stdout.String(), "listening on http://127.0.0.1:")
	require.Contains(t, stderr.String(), "ALOT_JWT_SECRET is not set: tokens are signed with a random secret")
}
