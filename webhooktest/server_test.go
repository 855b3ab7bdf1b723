package webhooktest_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/webhooktest"
)

const secret alotwebhook.Secret = "your-signing-secret"

func send(t *testing.T, s *webhooktest.Server, r *http.Request) (status int, body string) {
	t.Helper()
	resp, err := s.Client().Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func TestServerRecordsAndVerifies(t *testing.T) {
	t.Parallel()
	s := webhooktest.NewServer(t, "another", secret)
	event := webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, nil)

	status, _ := send(t, s, webhooktest.NewRequest(t, s.URL+"/alot?a=b", event, secret))
	require.Equal(t, http.StatusOK, status)
	unsigned := webhooktest.NewRequest(t, s.URL, event, secret)
	unsigned.Header.Del(alotwebhook.SignatureHeader)
	status, _ = send(t, s, unsigned)
	require.Equal(t, http.StatusUnauthorized, status)
	doubled := webhooktest.NewRequest(t, s.URL, event, secret)
	doubled.Header.Add(alotwebhook.SignatureHeader, doubled.Header.Get(alotwebhook.SignatureHeader))
	status, _ = send(t, s, doubled)
	require.Equal(t, http.StatusUnauthorized, status)
	status, _ = send(t, s, webhooktest.NewBodyRequest(t, s.URL, []byte("no event"), secret))
	require.Equal(t, http.StatusBadRequest, status)

	got := s.Received()
	require.Len(t, got, 4)
	require.Equal(t, event, got[0].Event)
	require.Equal(t, event.Payload(), got[0].Body)
	require.Equal(t, "/alot?a=b", got[0].URI)
	require.Equal(t, http.MethodPost, got[0].Method)
	require.Equal(t, "candidate.completed", got[0].Header.Get(alotwebhook.EventHeader))
	require.NoError(t, got[0].Err)
	require.ErrorIs(t, got[1].Err, alotwebhook.ErrNotSigned)
	require.ErrorIs(t, got[2].Err, alotwebhook.ErrMalformedSignature)
	require.ErrorIs(t, got[3].Err, alotwebhook.ErrMalformedEvent)
}

// An endpoint's secret is made when the URL of the server is registered.
func TestServerAddSecret(t *testing.T) {
	t.Parallel()
	s := webhooktest.NewTLSServer(t)
	event := webhooktest.NewEvent(t, "assessment.published", nil)
	status, _ := send(t, s, webhooktest.NewRequest(t, s.URL, event, secret))
	require.Equal(t, http.StatusUnauthorized, status)
	require.ErrorIs(t, s.Received()[0].Err, alotwebhook.ErrNoSecret)

	s.AddSecret(secret)
	status, _ = send(t, s, webhooktest.NewRequest(t, s.URL, event, secret))
	require.Equal(t, http.StatusOK, status)
}

func TestServerRespondsAsSet(t *testing.T) {
	t.Parallel()
	s := webhooktest.NewServer(t, secret)
	s.Always(webhooktest.Answer{Status: http.StatusNoContent})
	s.Answer(
		webhooktest.Answer{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"7"}}, Body: "later"},
		webhooktest.Answer{Reset: true},
		webhooktest.Answer{Body: "drop by drop", Drip: time.Millisecond, Delay: time.Millisecond},
	)
	request := func() *http.Request {
		r := webhooktest.NewRequest(t, s.URL, webhooktest.NewEvent(t, "candidate.invited", nil), secret)
		r.GetBody = nil // without GetBody, net/http does not try again by itself
		return r
	}
	resp, err := s.Client().Do(request())
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
	require.Equal(t, "7", resp.Header.Get("Retry-After"))

	_, err = s.Client().Do(request())
	require.Error(t, err)
	const wsaECONNRESET = syscall.Errno(10054) // what Windows says
	require.True(t, errors.Is(err, syscall.ECONNRESET) || errors.Is(err, wsaECONNRESET) || errors.Is(err, io.EOF), "%v", err)

	status, body := send(t, s, request())
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "drop by drop", body)
	status, _ = send(t, s, request())
	require.Equal(t, http.StatusNoContent, status)
	require.Len(t, s.Received(), 4)
}

// A delay ends when the sender hangs up, and when the server is closed.
func TestServerDelayEnds(t *testing.T) {
	t.Parallel()
	s := webhooktest.NewServer(t, secret)
	s.Always(webhooktest.Answer{Delay: time.Hour})
	event := webhooktest.NewEvent(t, "candidate.invited", nil)

	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = s.Wait(ctx, 1)
		cancel()
	}()
	_, err := s.Client().Do(webhooktest.NewRequest(t, s.URL, event, secret).WithContext(ctx))
	require.ErrorIs(t, err, context.Canceled)

	done := make(chan error)
	go func() {
		_, err := s.Client().Do(webhooktest.NewRequest(t, s.URL, event, secret))
		done <- err
	}()
	_, err = s.Wait(t.Context(), 2)
	require.NoError(t, err)
	s.Close()
	require.Error(t, <-done)
	s.Close()
}

func TestServerWaitEnds(t *testing.T) {
	t.Parallel()
	s := webhooktest.NewServer(t, secret)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got, err := s.Wait(ctx, 1)
	require.ErrorIs(t, err, context.Canceled)
	require.EqualError(t, err, "webhooktest: 0 of 1 requests have arrived: context canceled")
	require.Empty(t, got)
}

// A producer's test uses the server like this, with a real dispatcher.
func TestServerWithADispatcher(t *testing.T) {
	t.Parallel()
	s := webhooktest.NewServer(t)
	s.Answer(webhooktest.Answer{Status: http.StatusServiceUnavailable})
	d, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{
		AllowHTTP: true,
		AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		Retry:     alotwebhook.Schedule(time.Millisecond),
		Logger:    slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	defer func() { cancel(); require.NoError(t, <-done) }()

	endpoint, err := d.CreateEndpoint(ctx, alotwebhook.Endpoint{
		OrganizationID: webhooktest.OrganizationID,
		URL:            s.URL + "/alot",
		EventTypes:     []string{alotwebhook.EventCandidateCompleted},
	})
	require.NoError(t, err)
	s.AddSecret(endpoint.Secret)
	event := webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, nil)
	require.NoError(t, d.Emit(ctx, event))

	got, err := s.Wait(ctx, 2)
	require.NoError(t, err)
	for i, r := range got {
		require.NoError(t, r.Err)
		require.Equal(t, event, r.Event)
		require.Equal(t, []string{"1", "2"}[i], r.Header.Get(alotwebhook.AttemptHeader))
	}
}

// dispatcherTo runs a dispatcher with an endpoint at the server.
func dispatcherTo(t *testing.T, s *webhooktest.Server) (*alotwebhook.Dispatcher, alotwebhook.Endpoint) {
	t.Helper()
	d, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{
		AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		Retry: alotwebhook.Schedule(), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	endpoint, err := d.CreateEndpoint(ctx, alotwebhook.Endpoint{
		OrganizationID: webhooktest.OrganizationID, URL: s.URL, EventTypes: []string{alotwebhook.EventCandidateCompleted},
	})
	require.NoError(t, err)
	s.AddSecret(endpoint.Secret)
	return d, endpoint
}

// A server that answers before it reads is heard, and keeps what it had of the request.
func TestServerAnswersEarly(t *testing.T) {
	t.Parallel()
	s := webhooktest.NewServer(t)
	d, endpoint := dispatcherTo(t, s)
	s.Answer(webhooktest.Answer{Status: http.StatusGone, Early: true})
	large := map[string]string{"text": strings.Repeat("x", 200_000)}
	require.NoError(t, d.Emit(t.Context(), webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, large)))
	got, err := s.Wait(t.Context(), 1)
	require.NoError(t, err)
	require.ErrorIs(t, got[0].Err, webhooktest.ErrNotRead)
	require.Empty(t, got[0].Body)
	require.Eventually(t, func() bool {
		e, err := d.Endpoint(t.Context(), endpoint.ID)
		return err == nil && e.DisabledReason == alotwebhook.DisabledGone
	}, time.Minute, 5*time.Millisecond, "410 disables")
}

// What a server sends behind its response is no response to the next request.
func TestServerSendsStrayBytes(t *testing.T) {
	t.Parallel()
	s := webhooktest.NewServer(t)
	d, endpoint := dispatcherTo(t, s)
	s.Always(webhooktest.Answer{Status: http.StatusNoContent, Stray: "hello"})
	const events = 50
	for range events {
		require.NoError(t, d.Emit(t.Context(), webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, nil)))
	}
	require.Eventually(t, func() bool {
		delivered := 0
		for delivery, err := range d.Deliveries(t.Context(), alotwebhook.Filter{EndpointID: endpoint.ID}) {
			require.NoError(t, err)
			if delivery.State == alotwebhook.StateDelivered {
				delivered++
			}
		}
		return delivered == events
	}, time.Minute, 5*time.Millisecond)
}
