package alotwebhook_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

const secretOfTests = alotwebhook.Secret("your-signing-secret")

// receiverOf returns a receiver that notes what its handler gets.
func receiverOf(t *testing.T, tests func(context.Context, alotwebhook.Event) error) (r *alotwebhook.Receiver, v *alotwebhook.Verifier, handled *[]alotwebhook.Event) {
	t.Helper()
	v, err := alotwebhook.NewVerifier(secretOfTests)
	require.NoError(t, err)
	r = alotwebhook.NewReceiver(v, &alotwebhook.ReceiverConfig{Tests: tests, Logger: slog.New(slog.DiscardHandler)})
	handled = new([]alotwebhook.Event)
	alotwebhook.On(r, "candidate.completed", func(_ context.Context, e alotwebhook.Event, _ alotwebhook.CandidateCompleted) error {
		*handled = append(*handled, e)
		return nil
	})
	return r, v, handled
}

// requestOf returns a request for an event, as a sender makes it.
func requestOf(t *testing.T, test bool) (alotwebhook.Event, *http.Request) {
	t.Helper()
	e := webhooktest.NewEvent(t, "candidate.completed", nil)
	e.Test = test
	return e, webhooktest.NewRequest(t, "/", e, secretOfTests)
}

func respondedBy(h http.Handler, r *http.Request) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// By default a test goes the whole way, and the handler sees that it is one.
func TestReceiverHandlesTests(t *testing.T) {
	t.Parallel()
	r, v, handled := receiverOf(t, nil)
	for _, is := range []bool{true, false} {
		_, req := requestOf(t, is)
		require.Equal(t, http.StatusOK, respondedBy(r, req))
		e, req := requestOf(t, is)
		require.NoError(t, r.Receive(t.Context(), e.Payload(), req.Header))
		require.Equal(t, []bool{is, is}, []bool{(*handled)[0].Test, (*handled)[1].Test})
		*handled = nil

		_, req = requestOf(t, is)
		parsed, err := v.ParseRequest(req)
		require.NoError(t, err)
		require.Equal(t, is, parsed.Test)
		e, req = requestOf(t, is)
		parsed, err = v.ParseBody(e.Payload(), req.Header)
		require.NoError(t, err)
		require.Equal(t, is, parsed.Test)
		_, req = requestOf(t, is)
		respondedBy(r.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			received, ok := alotwebhook.FromContext(req.Context())
			require.True(t, ok)
			parsed = received.Event
		})), req)
		require.Equal(t, is, parsed.Test)
	}
	_, req := requestOf(t, true)
	req.Header.Set(alotwebhook.TestHeader, "yes")
	require.Equal(t, http.StatusOK, respondedBy(r, req))
	require.False(t, (*handled)[0].Test, "the header has one value alone")
}

// A receiver that books whatever comes does nothing for a test, or something of its own.
func TestReceiverRoutesTests(t *testing.T) {
	t.Parallel()
	var got []alotwebhook.Event
	var answer error
	r, _, handled := receiverOf(t, func(_ context.Context, e alotwebhook.Event) error {
		got = append(got, e)
		return answer
	})
	for want, err := range map[int]error{200: nil, 202: alotwebhook.Permanent(io.EOF), 500: errors.New("no room")} {
		answer = err
		_, req := requestOf(t, true)
		require.Equal(t, want, respondedBy(r, req))
	}
	require.Len(t, got, 3)
	unknown := webhooktest.NewEvent(t, "candidate.withdrew", nil)
	unknown.Test = true
	answer = nil
	require.Equal(t, http.StatusOK, respondedBy(r, webhooktest.NewRequest(t, "/", unknown, secretOfTests)))
	require.Len(t, got, 4, "of every type")
	forged := webhooktest.NewRequest(t, "/", unknown, "another secret")
	require.Equal(t, http.StatusUnauthorized, respondedBy(r, forged))
	require.Len(t, got, 4)
	require.Empty(t, *handled)
	_, req := requestOf(t, false)
	require.Equal(t, http.StatusOK, respondedBy(r, req))
	require.Len(t, *handled, 1)
}
