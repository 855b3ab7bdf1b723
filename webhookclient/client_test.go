package webhookclient_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/webhookclient"
)

const token = "a-token-that-no-error-has"

// sender is a host with the management API.
type sender struct {
	t          *testing.T
	dispatcher *alotwebhook.Dispatcher
	handler    http.Handler
	before     http.HandlerFunc // answers in the place of the API, if it writes
	client     *webhookclient.Client
}

// transport makes requests to the handler without a network, so that time can be faked.
type transport struct{ s *sender }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if t.s.before != nil {
		t.s.before(w, r)
		if w.Code == 599 {
			return nil, errors.New("connection reset")
		}
		if w.Code != http.StatusContinue {
			return w.Result(), nil
		}
		w = httptest.NewRecorder()
	}
	t.s.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

func newSender(t *testing.T) *sender {
	t.Helper()
	s := &sender{t: t}
	var err error
	s.dispatcher, err = alotwebhook.NewDispatcher(memory.New(), nil)
	require.NoError(t, err)
	s.handler, err = settings.NewAPI(s.dispatcher, &settings.Options{Organization: func(r *http.Request) (string, error) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			return "", errors.New("nobody")
		}
		return "org_1", nil
	}})
	require.NoError(t, err)
	s.client, err = webhookclient.New("https://app.example.com/", &webhookclient.Options{Token: token, HTTPClient: &http.Client{Transport: transport{s}}})
	require.NoError(t, err)
	return s
}

func (s *sender) emit(eventType string, n int) (events []alotwebhook.Event) {
	s.t.Helper()
	for range n {
		e, err := alotwebhook.NewEvent(eventType, "org_1", json.RawMessage(`{ "sessionId": "sess_1" }`))
		require.NoError(s.t, err)
		require.NoError(s.t, s.dispatcher.Emit(s.t.Context(), e))
		events = append(events, e)
	}
	return events
}

func TestEvents(t *testing.T) {
	t.Parallel()
	s := newSender(t)
	want := s.emit(alotwebhook.EventCandidateInvited, 130)
	var got []string
	var last webhookclient.Event
	for e, err := range s.client.Events(t.Context(), webhookclient.EventsOptions{PageSize: 50}) {
		require.NoError(t, err)
		require.Equal(t, want[len(got)].Payload(), e.Body)
		got, last = append(got, e.ID), e
	}
	require.Len(t, got, 130)
	later := s.emit(alotwebhook.EventCandidateCompleted, 1)
	for e, err := range s.client.Events(t.Context(), webhookclient.EventsOptions{Cursor: last.Cursor}) {
		require.NoError(t, err)
		require.Equal(t, later[0].ID, e.ID)
	}
	for e, err := range s.client.Events(t.Context(), webhookclient.EventsOptions{Types: []string{alotwebhook.EventCandidateCompleted}}) {
		require.NoError(t, err)
		require.Equal(t, later[0].ID, e.ID)
	}
	for range s.client.Events(t.Context(), webhookclient.EventsOptions{}) {
		break // ends the sequence
	}
	for _, err := range s.client.Events(t.Context(), webhookclient.EventsOptions{Cursor: "x"}) {
		var p *webhookclient.Problem
		require.ErrorAs(t, err, &p)
		require.Equal(t, http.StatusBadRequest, p.Status)
		require.Equal(t, "cursor", p.Errors[0].Field)
	}
}

// Whoever reconciles gets what is missing, and only that, once.
func TestReconcile(t *testing.T) {
	t.Parallel()
	s := newSender(t)
	events := s.emit(alotwebhook.EventCandidateCompleted, 120)
	deduper := dedupe.NewMemory(nil)
	for _, e := range events[:100] {
		require.NoError(t, alotwebhook.Once(t.Context(), deduper, "crm/"+e.ID, 0, func(context.Context) error { return nil }))
	}
	var handled []string
	fails := true
	r := webhookclient.Reconciliation{
		Deduper: deduper, Name: "crm",
		Handle: func(_ context.Context, e alotwebhook.Event) error {
			if fails && len(handled) == 10 {
				return errors.New("the database is away")
			}
			handled = append(handled, e.ID)
			return nil
		},
	}
	done, err := s.client.Reconcile(t.Context(), r)
	require.ErrorContains(t, err, "the database is away")
	require.ErrorContains(t, err, events[110].ID)
	require.Equal(t, 10, done.Handled)
	require.NotEmpty(t, done.Cursor, "the first page is done")

	fails = false
	var saved []string
	r.Save = func(cursor string) error { saved = append(saved, cursor); return nil }
	r.Cursor = done.Cursor
	done, err = s.client.Reconcile(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, webhookclient.Reconciled{Events: 20, Handled: 10, Cursor: saved[len(saved)-1]}, done)
	require.Len(t, handled, 20)
	require.Equal(t, events[100].ID, handled[0])
	r.Cursor = ""
	done, err = s.client.Reconcile(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, 120, done.Events)
	require.Zero(t, done.Handled)
}

// The handlers of a receiver are those of a reconciliation, with what the receiver remembers.
func TestReconcileByTheReceiver(t *testing.T) {
	t.Parallel()
	s := newSender(t)
	events := s.emit(alotwebhook.EventCandidateCompleted, 3)
	verifier, err := alotwebhook.NewVerifier("your-signing-secret")
	require.NoError(t, err)
	receiver := alotwebhook.NewReceiver(verifier, &alotwebhook.ReceiverConfig{Deduper: dedupe.NewMemory(nil), MaxAge: time.Nanosecond})
	var handled []string
	alotwebhook.On(receiver, alotwebhook.EventCandidateCompleted, func(_ context.Context, e alotwebhook.Event, data alotwebhook.CandidateCompleted) error {
		require.Equal(t, "sess_1", data.SessionID)
		handled = append(handled, e.ID)
		if e.ID == events[1].ID && len(handled) < 3 {
			return alotwebhook.Permanent(errors.New("never"))
		}
		return nil
	})
	require.NoError(t, receiver.Handle(t.Context(), events[0]))
	for range 2 {
		done, err := s.client.Reconcile(t.Context(), webhookclient.Reconciliation{Handle: receiver.Handle})
		require.NoError(t, err)
		require.Equal(t, 3, done.Events)
	}
	require.Equal(t, []string{events[0].ID, events[1].ID, events[2].ID}, handled)
	_, err = s.client.Reconcile(t.Context(), webhookclient.Reconciliation{})
	require.ErrorContains(t, err, "Handle is nil")
}

func TestRequestsAreRepeated(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"429": 429, "500": 500, "503": 503, "no response": 599} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSender(t)
				var calls atomic.Int64
				keys := map[string]bool{}
				s.before = func(w http.ResponseWriter, r *http.Request) {
					keys[r.Header.Get("Idempotency-Key")] = true
					if calls.Add(1) <= 3 {
						w.Header().Set("Retry-After", "7")
						w.WriteHeader(status)
						return
					}
					w.WriteHeader(http.StatusContinue)
				}
				began := time.Now()
				e, err := s.client.CreateEndpoint(t.Context(), webhookclient.NewEndpoint{URL: "https://example.com/", Events: []string{alotwebhook.EventCandidateCompleted}})
				require.NoError(t, err)
				require.NotEmpty(t, e.Secret)
				require.EqualValues(t, 4, calls.Load())
				require.Len(t, keys, 1, "each try has the same Idempotency-Key")
				if status != 599 {
					require.Equal(t, 21*time.Second, time.Since(began))
				}
			})
		})
	}
}

func TestRequestsAreNotRepeatedInVain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSender(t)
		var calls int
		for _, c := range []struct{ status, after, want string }{{"400", "", "1"}, {"501", "", "1"}, {"429", "3600", "1"}, {"503", "", "6"}} {
			calls = 0
			s.before = func(w http.ResponseWriter, _ *http.Request) {
				calls++
				w.Header().Set("Retry-After", c.after)
				status := map[string]int{"400": 400, "501": 501, "429": 429, "503": 503}[c.status]
				w.WriteHeader(status)
				_, _ = w.Write([]byte("<html>"))
			}
			_, err := s.client.Endpoint(t.Context(), "wh_1")
			var p *webhookclient.Problem
			require.ErrorAs(t, err, &p)
			require.Contains(t, p.Error(), c.status)
			require.NotContains(t, err.Error(), token)
			require.Equal(t, map[string]int{"1": 1, "6": 6}[c.want], calls, c.status)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.client.Endpoint(ctx, "wh_1")
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestEndpointsAndDeliveries(t *testing.T) {
	t.Parallel()
	s := newSender(t)
	ctx := t.Context()
	made, err := s.client.CreateEndpoint(ctx, webhookclient.NewEndpoint{URL: "https://example.com/a", Events: []string{alotwebhook.EventCandidateCompleted}, Disabled: true})
	require.NoError(t, err)
	url := "https://example.com/b"
	changed, err := s.client.UpdateEndpoint(ctx, made.ID, webhookclient.EndpointChange{URL: &url})
	require.NoError(t, err)
	require.Equal(t, url, changed.URL)
	require.True(t, changed.Disabled)
	proven, err := s.client.ProveEndpoint(ctx, made.ID)
	require.NoError(t, err)
	require.Equal(t, made.ID, proven.ID)
	enabled, err := s.client.EnableEndpoint(ctx, made.ID, time.Time{})
	require.NoError(t, err)
	require.False(t, enabled.Disabled)
	rotated, err := s.client.RotateSecret(ctx, made.ID, "", time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.NotEmpty(t, rotated.Secret)
	require.NotEqual(t, made.Secret, rotated.Secret)
	test, err := s.client.SendTest(ctx, made.ID, "")
	require.NoError(t, err)
	event, err := s.client.Event(ctx, test.EventID)
	require.NoError(t, err)
	require.Equal(t, test.DeliveryID, event.Deliveries[0].ID)
	s.emit(alotwebhook.EventCandidateCompleted, 110)
	n := 0
	for d, err := range s.client.Deliveries(ctx, webhookclient.DeliveriesOptions{EndpointID: made.ID, Status: "pending"}) {
		require.NoError(t, err)
		require.Equal(t, made.ID, d.EndpointID)
		n++
	}
	require.Equal(t, 111, n)
	one, err := s.client.Delivery(ctx, test.DeliveryID)
	require.NoError(t, err)
	require.Equal(t, event.Payload, one.Payload)
	again, err := s.client.Redeliver(ctx, test.DeliveryID)
	require.NoError(t, err)
	require.Equal(t, "pending", again.Status)
	recovery, err := s.client.Recover(ctx, made.ID, time.Now().Add(-time.Hour))
	require.NoError(t, err)
	require.Equal(t, "running", recovery.Status)
	recovery, err = s.client.StopRecovery(ctx, made.ID)
	require.NoError(t, err)
	require.Equal(t, "stopped", recovery.Status)
	_, err = s.client.Recovery(ctx, made.ID)
	require.NoError(t, err)
	types, err := s.client.EventTypes(ctx)
	require.NoError(t, err)
	require.Len(t, types, 4)
	var operations []string
	for o, err := range s.client.Operations(ctx) {
		require.NoError(t, err)
		operations = append(operations, o.Type)
	}
	require.Contains(t, operations, "endpoint.created")
	headers := []webhookclient.Header{{Name: "X-Tenant", Value: "sesame"}}
	changed, err = s.client.UpdateEndpoint(ctx, made.ID, webhookclient.EndpointChange{Headers: &headers})
	require.NoError(t, err)
	require.Equal(t, []webhookclient.Header{{Name: "X-Tenant"}}, changed.Headers)
	changed, err = s.client.UpdateEndpoint(ctx, made.ID, webhookclient.EndpointChange{Headers: &[]webhookclient.Header{}, ClientCertificate: &webhookclient.ClientCertificate{}})
	require.NoError(t, err)
	require.Empty(t, changed.Headers)
	require.NoError(t, s.client.DeleteEndpoint(ctx, made.ID))
	_, err = s.client.Endpoint(ctx, made.ID)
	require.ErrorIs(t, err, webhookclient.ErrNotFound)
	for range s.client.Endpoints(ctx) {
		require.Fail(t, "there is none")
	}
}

func TestTokensAreChecked(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{token + "\n", token + "\r\n", " " + token, token + " ", "Bearer " + token, "\t", "tokén", "a\x00b", "\x7f"} {
		_, err := webhookclient.New("https://app.example.com", &webhookclient.Options{Token: bad})
		require.ErrorContains(t, err, "trim what it was read from")
		require.NotContains(t, err.Error(), token)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, bad := range []webhookclient.Options{{Timeout: -time.Second}, {MaxWait: -time.Second}} {
		_, err := webhookclient.New("https://app.example.com", &bad)
		require.ErrorContains(t, err, "-1s")
	}
}

func TestTheAPIsURLIsChecked(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "app.example.com", "http://app.example.com", "https://u:p@app.example.com", "https://app.example.com?x=1", "https://app.example.com?", "https://app.example.com#", "https://app.example.com/#x", "https://:443", "ftp://localhost", "https://%zz"} {
		_, err := webhookclient.New(bad, nil)
		require.Error(t, err, bad)
	}
	for good, at := range map[string]string{
		"https://app.example.com":                    "https://app.example.com/v1/webhooks/wh_1",
		"HTTPS://app.example.com///":                 "https://app.example.com/v1/webhooks/wh_1",
		"https://app.example.com/api//":              "https://app.example.com/api/v1/webhooks/wh_1",
		"https://app.example.com/a%2Fb/v1/webhooks/": "https://app.example.com/a%2Fb/v1/webhooks/wh_1",
		"http://localhost:8080":                      "http://localhost:8080/v1/webhooks/wh_1",
		"http://127.0.0.1:1/v1/webhooks":             "http://127.0.0.1:1/v1/webhooks/wh_1",
		"http://[::1]:8080//v1/webhooks//":           "http://[::1]:8080/v1/webhooks/wh_1",
	} {
		var got string
		c, err := webhookclient.New(good, &webhookclient.Options{HTTPClient: &http.Client{Transport: impatient{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r.URL.String()
			_, _ = w.Write([]byte(`{"id":"wh_1"}`))
		})}}})
		require.NoError(t, err, good)
		_, err = c.Endpoint(t.Context(), "wh_1")
		require.NoError(t, err, good)
		require.Equal(t, at, got, good)
	}
}
