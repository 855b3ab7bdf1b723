package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

// word returns a long word.
func word(n int) string { return strings.Repeat("W", n) }

// wordy is a host whose every text is one long word, as long as it may be.
type wordy struct {
	base, organization string
	endpoint, disabled alotwebhook.Endpoint
	delivery, recovery string
}

// wordyType is a long event type.
var wordyType = "a." + strings.Repeat("w", 120)

// newWordy returns a host with the customers' pages at /c and the operators' at /o.
func newWordy(t testing.TB) *wordy {
	t.Helper()
	store := memory.New()
	d, err := alotwebhook.NewDispatcher(store, &alotwebhook.Config{
		AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, KeepResponseBody: 1024, ChangesPerMinute: -1,
		EventTypes: []alotwebhook.EventType{{Name: wordyType, Description: word(200), Example: []byte(`{"` + word(200) + `":1}`)}},
	})
	require.NoError(t, err)
	h := &wordy{organization: word(255)}
	h.mount(t, d)
	h.fill(t, d, store)
	return h
}

// mount serves both kinds of pages.
func (h *wordy) mount(t testing.TB, d *alotwebhook.Dispatcher) {
	t.Helper()
	pages, err := settings.NewPages(d, &settings.Options{
		Organization: func(*http.Request) (string, error) { return h.organization, nil }, Prefix: "/c",
	})
	require.NoError(t, err)
	operators, err := settings.NewOperatorPages(d, &settings.OperatorOptions{
		Operator: func(*http.Request) (string, error) { return word(128), nil }, May: func(*http.Request, settings.Action) bool { return true }, Prefix: "/o",
	})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/c/", pages)
	mux.Handle("/o/", operators)
	mux.HandleFunc("/favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	// The answer to a form, at an address that a test can open.
	mux.HandleFunc("/post", func(w http.ResponseWriter, r *http.Request) {
		form := r.URL.Query()
		to := form.Get("to")
		form.Del("to")
		sent := httptest.NewRequest(http.MethodPost, to, strings.NewReader(form.Encode()))
		sent.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		mux.ServeHTTP(w, sent)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	h.base = server.URL + "/"
}

// fill has the host keep something of everything that has a text.
func (h *wordy) fill(t testing.TB, d *alotwebhook.Dispatcher, store *memory.Store) {
	t.Helper()
	ctx := alotwebhook.WithActor(t.Context(), word(128))
	add := func(e alotwebhook.Endpoint) alotwebhook.Endpoint {
		e.OrganizationID, e.Description, e.EventTypes = h.organization, word(256), []string{wordyType}
		e, err := d.CreateEndpoint(ctx, e)
		require.NoError(t, err)
		return e
	}
	h.endpoint = add(alotwebhook.Endpoint{
		URL:     "https://" + strings.Repeat("w", 60) + "." + strings.Repeat("w", 60) + ".com/" + word(1000),
		Headers: []alotwebhook.Header{{Name: "X-" + word(60), Value: "1"}},
	})
	h.disabled = add(alotwebhook.Endpoint{URL: "https://b.example.com/" + word(100), Disabled: true})
	event, err := alotwebhook.NewEvent(wordyType, h.organization, map[string]string{word(200): word(500)})
	require.NoError(t, err)
	event.Subject = word(128)
	require.NoError(t, d.Emit(ctx, event))
	claimed, err := store.Claim(ctx, alotwebhook.ClaimRequest{Limit: 1, PerEndpoint: 1, Lease: time.Minute})
	require.NoError(t, err)
	of := claimed.Deliveries[0]
	_, err = store.Finish(ctx, []alotwebhook.Outcome{{DeliveryID: of.DeliveryID, Token: of.Token, State: alotwebhook.StateFailed, Attempt: alotwebhook.Attempt{
		Number: 1, StartedAt: time.Now(), URL: h.endpoint.URL, Reason: alotwebhook.ReasonTLS,
		Detail: word(300), ResponseBody: word(500), ResponseHeaders: "X-A: " + word(400),
	}}})
	require.NoError(t, err)
	h.delivery = of.DeliveryID
	_, err = d.Pause(ctx, alotwebhook.Pause{OrganizationID: h.organization, Note: word(256)})
	require.NoError(t, err)
	begun, err := d.RecoverMany(ctx, alotwebhook.Recovery{OrganizationID: h.organization, EventType: wordyType, Note: word(256)})
	require.NoError(t, err)
	h.recovery = begun.EndpointID
}

// addresses are those of all pages, and of answers to forms.
func (h *wordy) addresses() []string {
	post := func(to string, fields ...string) string {
		form := url.Values{"to": {to}}
		for i := 0; i < len(fields); i += 2 {
			form.Add(fields[i], fields[i+1])
		}
		return "post?" + form.Encode()
	}
	e, org := h.endpoint.ID, h.organization
	list := []string{
		"c/?url=" + word(256), "c/nothing/" + word(200), "c/new", "c/event-types", "c/" + e + "/edit", "c/" + e + "/rotate", "c/" + e + "/delete",
		"o/", "o/endpoints", "o/deliveries", "o/operations", "o/recoveries", "o/recoveries/" + h.recovery,
		"o/search?q=" + word(200), "o/search?q=" + strings.Repeat("w", 30), "o/pause", "o/resume?organization=" + org,
		"o/recover?organization=" + org, "o/erase?organization=" + org, "o/remove?organization=" + org, "o/operations?organization=" + org,
		post("/c/new", "url", word(500), "description", word(257), "events", word(100), "rate", word(32)),
		post("/c/new", "url", word(200)+".com", "events", wordyType),
		post("/c/new", "url", "https://a.example.com/", "events", wordyType, "headers", word(200)+": 1"),
		post("/c/new", "url", "https://a.example.com/", "events", wordyType, word(200), "1"),
		post("/c/new", "url", "https://a.example.com/"+word(300), "events", wordyType),
		post("/c/"+e+"/test", "type", word(200)),
		post("/o/erase", "organization", org, "subject", word(128), "note", word(256)),
		post("/o/recover", "organization", org, "note", word(256), "type", wordyType),
		post("/o/cancel", "organization", org, "note", word(256), "type", wordyType),
		post("/o/recover", "organization", word(300), "note", word(300), "type", word(100)),
		post("/o/pause", "scope", "endpoint", "endpoint", e, "organization", word(200), "note", "x"),
	}
	for _, base := range []string{"c/", "o/organizations/" + org + "/"} {
		list = append(list, base, base+e, base+h.disabled.ID, base+"history", base+"history?type="+wordyType, base+"deliveries/"+h.delivery)
	}
	return list
}

// No word that somebody else can choose makes a page wider than the window.
func TestLongWordsFit(t *testing.T) {
	t.Parallel()
	h := newWordy(t)
	b := open(t, h.base, true)
	b.expected = []string{"status of 4"} // the pages that show an error
	for _, address := range h.addresses() {
		b.do(chromedp.Navigate(h.base + address))
		for _, width := range []int64{390, 1280} {
			b.size(width)
			b.requireFits(address[:min(60, len(address))])
		}
	}
}
