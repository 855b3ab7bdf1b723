package settings_test

import (
	"context"
	"encoding/base64"
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var curlHeld = regexp.MustCompile(`id="curl"[^>]* data-exact="([^"]*)"`)

// What "Copy as curl" copies is a request that a receiver takes for one of the sender's, whatever the
// payload has in it. Neither the command nor the page has the secret.
func TestCurlVerifies(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"sh", "curl", "openssl", "sed"} {
		_, err := exec.LookPath(tool)
		if err != nil && os.Getenv("CI") == "" {
			t.Skip(tool + " is missing")
		}
		require.NoError(t, err, "CI is set")
	}
	const secret = "a secret with 'quotes' and $signs"
	verifier, err := alotwebhook.NewVerifier(secret)
	require.NoError(t, err)
	seen := make(chan *http.Request, 1)
	receiver := alotwebhook.NewReceiver(verifier, &alotwebhook.ReceiverConfig{
		Unknown: func(context.Context, alotwebhook.Event) error { return nil },
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Clone(context.Background())
		receiver.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)

	s := newSite(t)
	e := s.endpoint(server.URL + "/hook?a=[1-3]&b={x,y}'$(touch%20x)")
	d := s.event(e, "{\"name\":\"O'Neil \\\\ $HOME `id` %s \\u0000 李\",\r\n\t\"n\":1.50}")
	require.NotContains(t, s.get("/deliveries/"+d).text, `id="curl"`, "nothing was sent yet")
	s.finish(alotwebhook.StateDelivered, alotwebhook.Attempt{StatusCode: 204})
	page := s.get("/deliveries/" + d).text
	require.Contains(t, page, "X-Alot-Delivery: "+d)
	require.Contains(t, page, "X-Alot-Signature: sha256=…")
	require.NotContains(t, page, secret)
	found := curlHeld.FindStringSubmatch(page)
	require.Len(t, found, 2)
	command, err := base64.StdEncoding.DecodeString(html.UnescapeString(found[1]))
	require.NoError(t, err)

	for key, want := range map[string]string{secret: "HTTP/1.1 20", "another secret 12": "HTTP/1.1 401"} {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", string(command))
		cmd.Env = append(cmd.Environ(), "ALOT_WEBHOOK_SECRET="+key, "no_proxy=*")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Contains(t, string(out), want)
		r := <-seen
		require.Equal(t, "/hook?a=[1-3]&b={x,y}'$(touch%20x)", r.RequestURI)
		require.Equal(t, []string{d, "1", "candidate.completed", "alotwebhook/1", "application/json"}, []string{r.Header.Get("X-Alot-Delivery"),
			r.Header.Get("X-Alot-Attempt"), r.Header.Get("X-Alot-Event"), r.Header.Get("User-Agent"), r.Header.Get("Content-Type")})
	}
}

// After the URL was corrected, the page still says where each attempt went.
func TestAnAttemptShowsItsURL(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/wrong")
	d := s.event(e, `{}`)
	s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{StatusCode: 404, Reason: alotwebhook.ReasonStatus})
	require.NotContains(t, s.get("/deliveries/"+d).text, "which was the URL then")
	e.URL = "https://hooks.example.com/right"
	_, err := s.dispatcher.UpdateEndpoint(t.Context(), e)
	require.NoError(t, err)
	page := s.get("/deliveries/" + d).text
	require.Regexp(t, `To <span class="url"><b>hooks.example.com</b>/wrong</span>, which was the URL then`, page)
	require.Contains(t, page, "POST https://hooks.example.com/wrong")
}

// What a receiver answered is shown to those alone who may see payloads.
func TestResponseHeadersAreShown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := s.event(s.endpoint("https://hooks.example.com/"), `{}`)
	s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{StatusCode: 500, Reason: alotwebhook.ReasonStatus, ResponseBody: "\x01Server: nginx/1.2\n\n<h1>no</h1>"})
	page := s.get("/deliveries/" + d).text
	require.Contains(t, page, "Response headers")
	require.Contains(t, page, "Server: nginx/1.2")
	require.Contains(t, page, "&lt;h1&gt;no&lt;/h1&gt;")
	delivery, err := s.dispatcher.Delivery(t.Context(), d)
	require.NoError(t, err)
	require.Equal(t, []string{"Server: nginx/1.2\n", "<h1>no</h1>"}, []string{delivery.Attempts[0].ResponseHeaders, delivery.Attempts[0].ResponseBody})
}

func TestTestsAreMarkedAndFiltered(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/")
	genuine := s.event(e, `{}`)
	event, err := s.dispatcher.SendTest(t.Context(), e.ID, alotwebhook.EventCandidateCompleted)
	require.NoError(t, err)
	test := alotwebhook.DeliveryID(event.ID, e.ID)
	for query, want := range map[string][]bool{"": {true, true}, "?test=true": {false, true}, "?test=false": {true, false}} {
		page := s.get("/history" + query).text
		for i, id := range []string{genuine, test} {
			if want[i] {
				require.Contains(t, page, id, query)
			} else {
				require.NotContains(t, page, id, query)
			}
		}
	}
	require.Contains(t, s.get("/deliveries/"+test).text, "It is a test: the data is an example")
	require.NotContains(t, s.get("/deliveries/"+genuine).text, "It is a test")
	require.Equal(t, http.StatusBadRequest, s.get("/history?test=yes").status)
}
