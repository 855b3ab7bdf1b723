package alotwebhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// The values that must be nowhere but in a request. The first stands in Authorization.
const (
	basicPassword = "hunter2-password"
	tenant        = "hunter2-tenant"
)

// credentialed returns an endpoint with headers of its own.
func credentialed(t testing.TB) alotwebhook.Endpoint {
	t.Helper()
	e := validEndpoint()
	basic, err := alotwebhook.BasicAuth("user", basicPassword)
	require.NoError(t, err)
	e.Headers = []alotwebhook.Header{basic, {Name: "x-tenant", Value: tenant}}
	return e
}

func names(e alotwebhook.Endpoint) (list []string) {
	for _, h := range e.Headers {
		list = append(list, h.Name+string(h.Value)) // no read has a value
	}
	return list
}

// sent has an event sent to all endpoints and returns the newest request's own headers.
func (w *world) sent(t testing.TB) http.Header {
	t.Helper()
	stop := w.run(t)
	w.emit(t)
	synctest.Wait()
	stop()
	all := w.net.requests()
	require.NotEmpty(t, all)
	return all[len(all)-1].head
}

func TestOwnHeadersGoOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{Sealer: sealing(t, "2026"), StandardWebhooks: true}, &receivers{})
		e, err := w.CreateEndpoint(t.Context(), credentialed(t))
		require.NoError(t, err)
		require.Equal(t, []string{"Authorization", "x-tenant"}, names(e))
		require.Empty(t, string(e.Credentials))
		h := w.sent(t)
		require.Equal(t, []string{"Basic dXNlcjpodW50ZXIyLXBhc3N3b3Jk"}, h["Authorization"])
		require.Equal(t, []string{tenant}, h["X-Tenant"])
		require.Equal(t, "application/json", h.Get("Content-Type"))
		require.NotEmpty(t, h.Get(alotwebhook.SignatureHeader))

		stored, err := w.store.Endpoint(t.Context(), e.ID)
		require.NoError(t, err)
		require.NotContains(t, string(stored.Credentials), "hunter2")
		require.Nil(t, stored.Headers)
	})
}

func TestUpdateOfHeaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{Sealer: sealing(t, "2026")}, &receivers{})
		e, err := w.CreateEndpoint(t.Context(), credentialed(t))
		require.NoError(t, err)
		update := func(change func(*alotwebhook.Endpoint)) (alotwebhook.Endpoint, error) {
			e, err := w.Endpoint(t.Context(), e.ID)
			require.NoError(t, err)
			change(&e)
			return w.UpdateEndpoint(t.Context(), e)
		}
		_, err = update(func(e *alotwebhook.Endpoint) { e.Description = "as it was read" })
		require.NoError(t, err)
		require.Equal(t, tenant, w.sent(t).Get("X-Tenant"))

		changed, err := update(func(e *alotwebhook.Endpoint) {
			e.Headers = []alotwebhook.Header{{Name: "X-New", Value: "new"}, {Name: "x-tenant"}}
		})
		require.NoError(t, err)
		require.Equal(t, []string{"X-New", "x-tenant"}, names(changed))

		for _, moved := range []string{"https://example.com/other", "https://stranger.example.net/hook", "https://example.com:8443/hook"} {
			_, err = update(func(e *alotwebhook.Endpoint) { e.URL = moved })
			requireOwnField(t, err, "headers[0].value")
			_, err = update(func(e *alotwebhook.Endpoint) { e.URL, e.Headers = moved, nil })
			requireOwnField(t, err, "headers")
		}
		changed, err = update(func(e *alotwebhook.Endpoint) {
			e.URL, e.Headers = "https://other.example.com/", []alotwebhook.Header{{Name: "X-New", Value: "again"}}
		})
		require.NoError(t, err)
		require.Equal(t, []string{"X-New"}, names(changed))
		changed, err = update(func(e *alotwebhook.Endpoint) { e.Headers = []alotwebhook.Header{} })
		require.NoError(t, err)
		require.Nil(t, changed.Headers)
		stored, err := w.store.Endpoint(t.Context(), e.ID)
		require.NoError(t, err)
		require.Empty(t, string(stored.Credentials))
	})
}

// requireOwnField requires a refusal of a field that quotes no value.
func requireOwnField(t testing.TB, err error, field string) {
	t.Helper()
	refused := (*alotwebhook.FieldError)(nil)
	require.ErrorAs(t, err, &refused)
	require.Equal(t, field, refused.Field)
	require.NotContains(t, err.Error(), "hunter2")
}

func TestHeadersAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alotwebhook.Config{}, &receivers{})
	for field, headers := range map[string][]alotwebhook.Header{
		"headers[0].name":  {{Name: "Host", Value: tenant}},
		"headers[1].name":  {{Name: "X-A", Value: tenant}, {Name: "x_a", Value: tenant}},
		"headers[0].value": {{Name: "X-A", Value: tenant + "\r\nX-Alot-Signature: forged"}},
		"headers[1].value": {{Name: "X-A", Value: tenant}, {Name: "X-B"}},
		"headers":          {{Name: "X-A", Value: alotwebhook.Secret(strings.Repeat("hunter2", 600))}},
	} {
		e := validEndpoint()
		e.Headers = headers
		_, err := w.CreateEndpoint(t.Context(), e)
		requireOwnField(t, err, field)
	}
	e := validEndpoint()
	e.ClientCertificate = &alotwebhook.ClientCertificate{PEM: "hunter2"}
	_, err := w.CreateEndpoint(t.Context(), e)
	requireOwnField(t, err, "clientCertificate")
	e.ClientCertificate = &alotwebhook.ClientCertificate{Subject: "CN=jane"} // as another endpoint's was read
	_, err = w.CreateEndpoint(t.Context(), e)
	requireOwnField(t, err, "clientCertificate")
	_, err = alotwebhook.BasicAuth("us:er", tenant)
	requireOwnField(t, err, "user")
	_, err = alotwebhook.BasicAuth("user", tenant+"\n")
	requireOwnField(t, err, "password")
	_, err = alotwebhook.BearerAuth(tenant + " ")
	requireOwnField(t, err, "token")
	bearer, err := alotwebhook.BearerAuth("t0ken")
	require.NoError(t, err)
	require.Equal(t, "Bearer t0ken", string(bearer.Value))
}

func TestHeadersSurviveARotationOfTheSealingKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		old := newWorldOn(t, store, alotwebhook.Config{Sealer: sealing(t, "2025")}, &receivers{})
		e, err := old.CreateEndpoint(t.Context(), credentialed(t))
		require.NoError(t, err)
		now := newWorldOn(t, store, alotwebhook.Config{Sealer: sealing(t, "2026", "2025")}, &receivers{})
		for _, want := range []int{1, 0} {
			changed, err := now.Reseal(t.Context())
			require.NoError(t, err)
			require.Equal(t, want, changed)
		}
		retired := newWorldOn(t, store, alotwebhook.Config{Sealer: sealing(t, "2026")}, &receivers{})
		require.Equal(t, tenant, retired.sent(t).Get("X-Tenant"))
		ops, _, err := now.Operations(t.Context(), alotwebhook.OperationFilter{EndpointID: e.ID})
		require.NoError(t, err)
		require.Len(t, ops, 1, "sealing anew is no change of the headers")
	})
}

// Somebody who can write to the database moves an endpoint to a server of his.
func TestHeadersAreNotSentToAnotherURL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{Sealer: sealing(t, "2026")}, &receivers{})
		e, err := w.CreateEndpoint(t.Context(), credentialed(t))
		require.NoError(t, err)
		stored, err := w.store.Endpoint(t.Context(), e.ID)
		require.NoError(t, err)
		stored.URL = "https://stranger.example.net/"
		require.NoError(t, w.store.PutEndpoint(t.Context(), stored))
		stop := w.run(t)
		event := w.emit(t)
		synctest.Wait()
		stop()
		require.Empty(t, w.net.requests())
		d := w.delivery(t, event, e)
		require.Equal(t, alotwebhook.ReasonUnsendable, d.LastReason)
		require.Contains(t, d.Attempts[0].Detail, "another URL")
	})
}

func TestChangesOfHeadersAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alotwebhook.Config{Sealer: sealing(t, "2026")}, &receivers{})
	e, err := w.CreateEndpoint(t.Context(), credentialed(t))
	require.NoError(t, err)
	certificate := newCertificate(t, "jane")
	for _, change := range []func(*alotwebhook.Endpoint){
		func(e *alotwebhook.Endpoint) {
			e.Headers = []alotwebhook.Header{{Name: "x-tenant", Value: "hunter2-new"}}
		},
		func(e *alotwebhook.Endpoint) {
			e.Headers = []alotwebhook.Header{{Name: "x-tenant", Value: "hunter2-newer"}}
		},
		func(e *alotwebhook.Endpoint) { e.Headers = []alotwebhook.Header{} },
		func(e *alotwebhook.Endpoint) {
			e.ClientCertificate = &alotwebhook.ClientCertificate{PEM: alotwebhook.Secret(certificate.pem)}
		},
		func(e *alotwebhook.Endpoint) { e.Description = "nothing of both" },
		func(e *alotwebhook.Endpoint) { e.ClientCertificate = &alotwebhook.ClientCertificate{} },
	} {
		e, err := w.Endpoint(t.Context(), e.ID)
		require.NoError(t, err)
		change(&e)
		_, err = w.UpdateEndpoint(t.Context(), e)
		require.NoError(t, err)
	}
	ops, _, err := w.Operations(t.Context(), alotwebhook.OperationFilter{EndpointID: e.ID, Type: alotwebhook.OpEndpointChanged})
	require.NoError(t, err)
	var notes []string
	for _, o := range ops {
		notes = append(notes, o.Note)
	}
	require.ElementsMatch(t, []string{
		"headers (x-tenant)", "headers (x-tenant)", "headers (none)", "clientCertificate", "description", "clientCertificate",
	}, notes)
}

// A repeated request with the same key has the same headers, or is another request.
func TestHeadersAreOfTheRequestThatIsRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alotwebhook.Config{Sealer: sealing(t, "2026")}, &receivers{})
	e := credentialed(t)
	first, repeated, err := w.CreateEndpointOnce(t.Context(), "key", e)
	require.NoError(t, err)
	require.False(t, repeated)
	again, repeated, err := w.CreateEndpointOnce(t.Context(), "key", e)
	require.NoError(t, err)
	require.True(t, repeated)
	require.Equal(t, first.ID, again.ID)
	require.Equal(t, []string{"Authorization", "x-tenant"}, names(again))
	for _, headers := range [][]alotwebhook.Header{nil, {{Name: "x-tenant", Value: tenant}}, {e.Headers[0], {Name: "x-tenant", Value: "other"}}} {
		e.Headers = headers
		_, _, err = w.CreateEndpointOnce(t.Context(), "key", e)
		require.ErrorIs(t, err, alotwebhook.ErrKeyReused)
	}
}

// No value is in anything that the dispatcher shows, logs, tells or stores.
func TestHeaderValuesNeverShow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&lockedWriter{mu: &mu, w: &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
		var told []string
		note := func(v any) { mu.Lock(); defer mu.Unlock(); told = append(told, fmt.Sprintf("%+v %#v", v, v)) }
		certificate := newCertificate(t, "jane")
		w := newWorld(t, alotwebhook.Config{
			Logger: logger, Sealer: sealing(t, "2026"), DisableAfter: time.Minute, WarnFailing: time.Second, CustomerOperations: true, ExhaustedOperations: true,
			OnOperation: func(_ context.Context, o alotwebhook.Operation) error { note(o); return nil },
			Observer: &alotwebhook.Observer{
				Emitted: func(r alotwebhook.EmitReport) { note(r) }, Finished: func(r alotwebhook.FinishReport) { note(r) },
				Disabled: func(e alotwebhook.Endpoint) { note(e) },
			},
		}, failing(http.StatusBadRequest))
		asked := credentialed(t)
		asked.ClientCertificate = &alotwebhook.ClientCertificate{PEM: alotwebhook.Secret(certificate.pem)}
		e, err := w.CreateEndpoint(t.Context(), asked)
		require.NoError(t, err)
		stop := w.run(t)
		event := w.emit(t)
		time.Sleep(time.Hour)
		asJSON, err := json.Marshal([]any{asked, e, w.delivery(t, event, e)})
		require.NoError(t, err)
		ops, _, err := w.Operations(t.Context(), alotwebhook.OperationFilter{})
		require.NoError(t, err)
		read, err := w.Endpoint(t.Context(), e.ID)
		require.NoError(t, err)
		stored, err := w.store.Endpoint(t.Context(), e.ID)
		require.NoError(t, err)
		note(asked)
		note(ops)
		note([]any{read, *read.ClientCertificate, string(stored.Credentials)})
		require.NoError(t, w.DeleteEndpoint(t.Context(), e.ID))
		stop()
		require.Equal(t, "CN=jane", read.ClientCertificate.Subject)
		require.NotEmpty(t, w.net.requests())
		mu.Lock()
		defer mu.Unlock()
		require.Contains(t, log.String(), "endpoint disabled")
		for _, secret := range []string{"hunter2", "dXNlcjpodW50ZXIyLXBhc3N3b3Jk", "PRIVATE KEY", strings.Split(certificate.pem, "\n")[1]} {
			for _, shown := range append(told, log.String(), string(asJSON)) {
				require.NotContains(t, shown, secret)
			}
		}
	})
}
