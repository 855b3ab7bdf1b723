package alotwebhook_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/webhooktest"
)

// proving returns a dispatcher that has URLs proven, over a new store.
func proving(t *testing.T) (*alotwebhook.Dispatcher, alotwebhook.Store) {
	t.Helper()
	store := memory.New()
	d, err := alotwebhook.NewDispatcher(store, &alotwebhook.Config{
		ProveURLs: true, AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, ChangesPerMinute: 1000,
	})
	require.NoError(t, err)
	return d, store
}

func unproven(t *testing.T, d *alotwebhook.Dispatcher, url string, change func(*alotwebhook.Endpoint)) alotwebhook.Endpoint {
	t.Helper()
	e := alotwebhook.Endpoint{OrganizationID: "org_123", URL: url, EventTypes: []string{"candidate.completed"}}
	if change != nil {
		change(&e)
	}
	e, err := d.CreateEndpoint(t.Context(), e)
	require.NoError(t, err)
	require.True(t, e.Disabled)
	require.Equal(t, alotwebhook.DisabledUnproven, e.DisabledReason)
	return e
}

func TestAProofEnablesAnEndpoint(t *testing.T) {
	t.Parallel()
	d, store := proving(t)
	receiver := webhooktest.NewServer(t)
	e := unproven(t, d, receiver.URL, func(e *alotwebhook.Endpoint) {
		e.Headers = []alotwebhook.Header{{Name: "X-Key", Value: "hunter2"}}
	})
	event, err := alotwebhook.NewEvent("candidate.completed", "org_123", struct{}{})
	require.NoError(t, err)
	require.NoError(t, d.Emit(t.Context(), event))

	_, err = d.ProveEndpoint(t.Context(), e.ID)
	require.ErrorIs(t, err, alotwebhook.ErrUnproven)
	require.ErrorContains(t, err, "401")
	receiver.AddSecret(e.Secret)
	proven, err := d.ProveEndpoint(t.Context(), e.ID)
	require.NoError(t, err)
	require.False(t, proven.Disabled)
	require.Empty(t, proven.DisabledReason)
	require.Empty(t, proven.Secret)

	got := receiver.Received()
	require.Len(t, got, 2)
	challenge := got[1]
	require.NoError(t, challenge.Err)
	require.Equal(t, "endpoint.url_validation", challenge.Event.Type)
	require.Equal(t, "endpoint.url_validation", challenge.Header.Get(alotwebhook.EventHeader))
	require.Equal(t, "hunter2", challenge.Header.Get("X-Key"), "as an attempt is made")
	require.Equal(t, "org_123", challenge.Event.OrganizationID)
	require.NotEqual(t, got[0].Event.Data, challenge.Event.Data)

	page, _, err := d.DeliveryPage(t.Context(), alotwebhook.Filter{EndpointID: e.ID})
	require.NoError(t, err)
	require.Len(t, page, 1, "the challenge is no delivery")
	require.Equal(t, alotwebhook.StatePending, page[0].State, "what was parked is sent")
	ops, _, err := store.Operations(t.Context(), alotwebhook.OperationFilter{EndpointID: e.ID})
	require.NoError(t, err)
	require.Equal(t, alotwebhook.OpEndpointEnabled, ops[0].Type)
	require.Equal(t, "proven", ops[0].Note)
}

func TestWhatIsNoProofOfAURL(t *testing.T) {
	t.Parallel()
	d, _ := proving(t)
	stranger := webhooktest.NewServer(t, alotwebhook.NewSecret())
	for says, answer := range map[string]http.HandlerFunc{
		"no body": func(http.ResponseWriter, *http.Request) {},
		"repeats the challenge": func(w http.ResponseWriter, r *http.Request) { // an echo server
			w.Header().Set("X-Echo", r.Header.Get(alotwebhook.SignatureHeader))
			_, _ = io.Copy(w, r.Body)
		},
		"redirects are not followed": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, stranger.URL, http.StatusTemporaryRedirect)
		},
		"answered 500": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
		"wrong": func(w http.ResponseWriter, r *http.Request) { // it repeats what signs the request
			_, _ = io.WriteString(w, `{"encryptedToken":"`+r.Header.Get(alotwebhook.SignatureHeader)[len("sha256="):]+`"}`)
		},
		"no JSON object": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok, hunter2") },
	} {
		server := httptest.NewServer(answer)
		t.Cleanup(server.Close)
		e := unproven(t, d, server.URL, nil)
		_, err := d.ProveEndpoint(t.Context(), e.ID)
		require.ErrorIs(t, err, alotwebhook.ErrUnproven)
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), "hunter2", "it has no part of the response")
		e, err = d.Endpoint(t.Context(), e.ID)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.DisabledUnproven, e.DisabledReason)
	}
	require.Empty(t, stranger.Received())
}

func TestNothingElseIsSentToAnUnprovenURL(t *testing.T) {
	t.Parallel()
	d, _ := proving(t)
	receiver := webhooktest.NewServer(t)
	e := unproven(t, d, receiver.URL, func(e *alotwebhook.Endpoint) { e.Disabled = true })

	_, err := d.SendTest(t.Context(), e.ID, "candidate.completed")
	require.ErrorIs(t, err, alotwebhook.ErrUnproven)
	_, err = d.EnableEndpoint(t.Context(), e.ID, alotwebhook.EnableOptions{})
	require.ErrorIs(t, err, alotwebhook.ErrUnproven)
	_, err = d.EnableEndpoint(t.Context(), e.ID, alotwebhook.EnableOptions{Discard: true})
	require.ErrorIs(t, err, alotwebhook.ErrUnproven)
	e.Disabled = false
	_, err = d.UpdateEndpoint(t.Context(), e)
	require.ErrorIs(t, err, alotwebhook.ErrUnproven)
	e.Disabled, e.Description = true, "changed"
	e, err = d.UpdateEndpoint(t.Context(), e)
	require.NoError(t, err, "all else can be changed")
	require.Equal(t, alotwebhook.DisabledUnproven, e.DisabledReason)
	require.Empty(t, receiver.Received())
}

func TestAnotherURLIsToBeProvenAgain(t *testing.T) {
	t.Parallel()
	d, _ := proving(t)
	first, second := webhooktest.NewServer(t), webhooktest.NewServer(t)
	e := unproven(t, d, first.URL, nil)
	first.AddSecret(e.Secret)
	second.AddSecret(e.Secret)
	secret := e.Secret
	e, err := d.ProveEndpoint(t.Context(), e.ID)
	require.NoError(t, err)
	for _, disabled := range []bool{false, true} { // also one that somebody has disabled
		e.Disabled = disabled
		e, err = d.UpdateEndpoint(t.Context(), e)
		require.NoError(t, err)
		e.URL, e.Disabled = second.URL+"/"+map[bool]string{true: "a", false: "b"}[disabled], false
		e, err = d.UpdateEndpoint(t.Context(), e)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.DisabledUnproven, e.DisabledReason)
		e, err = d.ProveEndpoint(t.Context(), e.ID)
		require.NoError(t, err)
		require.False(t, e.Disabled)
	}
	e.Disabled = true
	e, err = d.UpdateEndpoint(t.Context(), e)
	require.NoError(t, err)
	e, err = d.ProveEndpoint(t.Context(), e.ID)
	require.NoError(t, err)
	require.Equal(t, alotwebhook.DisabledByUser, e.DisabledReason, "a proof undoes nothing else")
	_, err = d.EnableEndpoint(t.Context(), e.ID, alotwebhook.EnableOptions{})
	require.NoError(t, err, "its URL was proven before")
	_ = secret
}

// The URL is changed between the challenge and its answer.
func TestAProofIsOfTheURLThatWasAsked(t *testing.T) {
	t.Parallel()
	d, _ := proving(t)
	var once sync.Once
	var e alotwebhook.Endpoint
	var answer http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() {
			moved, err := d.Endpoint(context.Background(), e.ID)
			moved.URL += "/elsewhere"
			if err == nil {
				_, err = d.UpdateEndpoint(context.Background(), moved)
			}
			if err != nil {
				t.Error(err)
			}
		})
		answer.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	e = unproven(t, d, server.URL, nil)
	verifier, err := alotwebhook.NewVerifier("some other secret", e.Secret)
	require.NoError(t, err)
	answer = alotwebhook.NewReceiver(verifier, nil)
	_, err = d.ProveEndpoint(t.Context(), e.ID)
	require.ErrorIs(t, err, alotwebhook.ErrUnproven)
	proven, err := d.ProveEndpoint(t.Context(), e.ID)
	require.NoError(t, err)
	require.False(t, proven.Disabled)
}

func TestProofsAreLimitedAndEndWithTheirContext(t *testing.T) {
	t.Parallel()
	d, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{
		ProveURLs: true, ChangesPerMinute: 1, AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	require.NoError(t, err)
	_, err = d.ProveEndpoint(t.Context(), "wh_01h455vb4pex5vsknk084sn02q")
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	asked := alotwebhook.Endpoint{OrganizationID: "org_123", URL: server.URL, EventTypes: []string{"candidate.completed"}}
	e, repeated, err := d.CreateEndpointOnce(t.Context(), "key", asked)
	require.NoError(t, err)
	require.False(t, repeated)
	again, repeated, err := d.CreateEndpointOnce(t.Context(), "key", asked)
	require.NoError(t, err, "the endpoint is the one that was asked for, though it is disabled")
	require.True(t, repeated)
	require.Equal(t, e.ID, again.ID)
	_, err = d.ProveEndpoint(ctx, e.ID)
	require.ErrorIs(t, err, context.Canceled)
	_, err = d.ProveEndpoint(t.Context(), e.ID)
	require.ErrorIs(t, err, alotwebhook.ErrTooOften)
}

func TestMiddlewareAndStandardReceiversAnswer(t *testing.T) {
	t.Parallel()
	d, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{
		ProveURLs: true, AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, StandardWebhooks: true,
	})
	require.NoError(t, err)
	for _, secret := range []alotwebhook.Secret{alotwebhook.NewSecret(), "a secret of one's own"} {
		verifier, err := alotwebhook.NewVerifier(secret)
		require.NoError(t, err)
		standard, err := alotwebhook.NewVerifier(secret.Standard())
		require.NoError(t, err)
		next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the next handler got a challenge") })
		for _, h := range []http.Handler{
			alotwebhook.NewReceiver(verifier, nil).Middleware(next),
			alotwebhook.NewReceiver(standard.AcceptStandard(&alotwebhook.StandardConfig{Only: true}), nil),
			http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				e, err := verifier.ParseRequest(r)
				if err == nil {
					_, err = w.Write(alotwebhook.Prove(e, secret))
				}
				if err != nil {
					t.Error(err)
				}
			}),
		} {
			server := httptest.NewServer(h)
			t.Cleanup(server.Close)
			e := unproven(t, d, server.URL, func(e *alotwebhook.Endpoint) { e.Secret = secret })
			_, err = d.ProveEndpoint(t.Context(), e.ID)
			require.NoError(t, err)
		}
	}
}

// A test is stored, and then the URL changes: what is due must not go to the new one.
func TestATestUnderWayGoesToNoUnprovenURL(t *testing.T) {
	t.Parallel()
	store := memory.New()
	d, err := alotwebhook.NewDispatcher(store, &alotwebhook.Config{
		ProveURLs: true, AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Retry: alotwebhook.Schedule(),
	})
	require.NoError(t, err)
	first, second := webhooktest.NewServer(t), webhooktest.NewServer(t)
	e := unproven(t, d, first.URL, nil)
	first.AddSecret(e.Secret)
	e, err = d.ProveEndpoint(t.Context(), e.ID)
	require.NoError(t, err)
	event, err := d.SendTest(t.Context(), e.ID, "candidate.completed")
	require.NoError(t, err)
	e.URL = second.URL
	_, err = d.UpdateEndpoint(t.Context(), e)
	require.NoError(t, err)

	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	delivery, err := d.Delivery(ctx, alotwebhook.DeliveryID(event.ID, e.ID))
	for ; err == nil && delivery.State != alotwebhook.StateFailed; time.Sleep(time.Millisecond) {
		delivery, err = d.Delivery(ctx, delivery.ID)
	}
	require.NoError(t, err)
	require.Equal(t, alotwebhook.ReasonUnsendable, delivery.LastReason)
	stop()
	require.NoError(t, <-done)
	require.Empty(t, second.Received())
	require.Len(t, first.Received(), 1, "the challenge alone")
}

func TestAProxyThatFailsIsNotTheReceiversFault(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	proxy, err := url.Parse(closed.URL)
	require.NoError(t, err)
	d, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{
		ProveURLs: true, AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Proxy: &alotwebhook.Proxy{URL: proxy},
	})
	require.NoError(t, err)
	e := unproven(t, d, webhooktest.NewServer(t).URL, nil)
	_, err = d.ProveEndpoint(t.Context(), e.ID)
	require.ErrorIs(t, err, alotwebhook.ErrUnproven)
	require.ErrorContains(t, err, "the sender's own proxy")
}
