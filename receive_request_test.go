package alotwebhook_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

func TestMiddlewarePassesVerifiedRequests(t *testing.T) {
	t.Parallel()
	d := newDesk(t, alotwebhook.ReceiverConfig{}, "the next one", receiverSecret)
	for name, change := range map[string]func(*http.Request){
		"as it is": func(*http.Request) {},
		"chunked": func(r *http.Request) {
			r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
			r.Body = io.NopCloser(iotest.OneByteReader(r.Body))
		},
	} {
		called := false
		h := d.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			called = true
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.NoError(t, r.Body.Close())
			require.Equal(t, payload, string(body), "the same bytes")
			require.EqualValues(t, len(payload), r.ContentLength)
			require.Empty(t, r.TransferEncoding)
			require.Equal(t, "application/json", r.Header.Get("Content-Type"))

			received, ok := alotwebhook.FromContext(r.Context())
			require.True(t, ok)
			require.Equal(t, eventID, received.Event.ID)
			require.Equal(t, 1, received.SecretIndex)
			w.WriteHeader(http.StatusTeapot)
		}))
		r := signed(payload)
		change(r)
		require.Equal(t, http.StatusTeapot, responseOf(h, r).StatusCode, "the response is the handler's: %s", name)
		require.True(t, called)
	}
	require.Equal(t, []int{1, 1}, d.matches)
	require.Empty(t, d.failures)
}

func TestMiddlewareRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"not signed":   {func(r *http.Request) { r.Header.Del(alotwebhook.SignatureHeader) }, 401},
		"other body":   {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(with("type", `"x"`))) }, 401},
		"GET":          {func(r *http.Request) { r.Method = http.MethodGet }, 405},
		"gzip":         {func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415},
		"large":        {func(r *http.Request) { r.ContentLength = 2 << 20 }, 413},
		"organization": {func(r *http.Request) { *r = *signed(with("organizationId", `"org_9"`)) }, 403},
		"no event":     {func(r *http.Request) { *r = *signed("{}") }, 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, alotwebhook.ReceiverConfig{OrganizationID: "org_123"})
			r := signed(payload)
			c.change(r)
			w := responseOf(d.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called") })), r)
			require.Equal(t, c.status, w.StatusCode)
			require.Len(t, d.failures, 1)
			require.Equal(t, c.status, d.failures[0].status)
			require.Contains(t, d.log.String(), `"status":`)
		})
	}
}

// A handler may keep the body after the request: it has a copy of its own, although the
// receiver reuses its buffers.
func TestMiddlewareSharesNoBuffers(t *testing.T) {
	t.Parallel()
	d := newDesk(t, alotwebhook.ReceiverConfig{})
	var mu sync.Mutex
	kept := map[string]io.Reader{}
	h := d.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		received, _ := alotwebhook.FromContext(r.Context())
		mu.Lock()
		defer mu.Unlock()
		kept[string(received.Event.Payload())] = r.Body // the test reads it after the request
	}))
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := range 20 {
				statusOf(h, with("data", `"`+strings.Repeat(string(rune('a'+g)), 100*i)+`"`))
			}
		})
	}
	group.Wait()
	require.Len(t, kept, 8*19+1)
	for want, body := range kept {
		got, err := io.ReadAll(body)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
}

func TestFromContextWithoutMiddleware(t *testing.T) {
	t.Parallel()
	received, ok := alotwebhook.FromContext(t.Context())
	require.False(t, ok)
	require.Equal(t, alotwebhook.Received{}, received)
}

func TestReceive(t *testing.T) {
	t.Parallel()
	d := newDesk(t, alotwebhook.ReceiverConfig{MaxBodyBytes: 1000})
	alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, d.keep)
	alotwebhook.On(d.Receiver, "a.failing.one", func(context.Context, alotwebhook.Event, json.RawMessage) error { panic("broken") })
	header := func(body string) http.Header {
		return http.Header{alotwebhook.SignatureHeader: {alotwebhook.Sign([]byte(body), receiverSecret)}}
	}
	receive := func(body string, h http.Header) int {
		return alotwebhook.StatusCode(d.Receive(t.Context(), []byte(body), h))
	}
	require.Equal(t, 200, receive(payload, header(payload)))
	require.Len(t, d.handled, 1)
	require.Equal(t, []int{0}, d.matches)
	require.Equal(t, 200, receive(with("type", `"of.no.interest"`), header(with("type", `"of.no.interest"`))))
	require.NotContains(t, d.log.String(), "event not handled")

	require.Equal(t, 401, receive(payload, nil))
	require.Equal(t, 401, receive(payload+"\n", header(payload)))
	require.Equal(t, 400, receive("{}", header("{}")))
	large := strings.Repeat("x", 1001)
	require.Equal(t, 413, receive(large, header(large)))
	failing := with("type", `"a.failing.one"`)
	require.Equal(t, 500, receive(failing, header(failing)))
	encoded := header(payload)
	encoded.Set("Content-Encoding", "br")
	require.Equal(t, 415, receive(payload, encoded))
	require.Len(t, d.handled, 1)
	require.Equal(t, 6, strings.Count(d.log.String(), "event not handled"))
	require.Empty(t, d.failures, "Receive returns its errors, and does not call OnError")
}

func TestParseBody(t *testing.T) {
	t.Parallel()
	v, err := alotwebhook.NewVerifier(receiverSecret)
	require.NoError(t, err)
	h := http.Header{}
	h.Add("x-ALOT-signature", alotwebhook.Sign([]byte(payload), receiverSecret))
	e, err := v.ParseBody([]byte(payload), h)
	require.NoError(t, err)
	require.Equal(t, payload, string(e.Payload()))

	_, err = v.ParseBody([]byte(payload)[1:], h)
	require.ErrorIs(t, err, alotwebhook.ErrSignatureMismatch)
	h.Add("X-Alot-Signature", h.Get(alotwebhook.SignatureHeader))
	_, err = v.ParseBody([]byte(payload), h)
	require.ErrorIs(t, err, alotwebhook.ErrMalformedSignature, "the same name twice, in two cases")
	_, err = new(alotwebhook.Verifier).ParseBody([]byte(payload), h)
	require.ErrorIs(t, err, alotwebhook.ErrNoSecret)
}

func TestStatusCode(t *testing.T) {
	t.Parallel()
	v, err := alotwebhook.NewVerifier(receiverSecret)
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodPost, "/", iotest.ErrReader(io.ErrUnexpectedEOF))
	r.Header.Set(alotwebhook.SignatureHeader, alotwebhook.Sign(nil, receiverSecret))
	_, unreadable := v.ParseRequest(r)
	require.ErrorIs(t, unreadable, io.ErrUnexpectedEOF)
	for want, errs := range map[int][]error{
		200: {nil, alotwebhook.ErrNotMarked},
		202: {alotwebhook.Permanent(io.EOF)},
		400: {alotwebhook.ErrMalformedEvent, alotwebhook.ErrTooOld, alotwebhook.ErrTooNew, unreadable},
		401: {alotwebhook.ErrNotSigned, alotwebhook.ErrMalformedSignature, alotwebhook.ErrSignatureMismatch},
		403: {alotwebhook.ErrWrongOrganization},
		408: {alotwebhook.ErrBodyTimeout},
		409: {alotwebhook.ErrInProgress},
		413: {alotwebhook.ErrBodyTooLarge},
		415: {alotwebhook.ErrEncodedBody},
		500: {io.EOF, alotwebhook.ErrNoSecret, context.DeadlineExceeded, alotwebhook.ErrClaimLost},
		503: {alotwebhook.ErrBodyMemory, alotwebhook.RetryAfter(io.EOF, 1)},
	} {
		for _, err := range errs {
			require.Equal(t, want, alotwebhook.StatusCode(err), err)
		}
	}
}
