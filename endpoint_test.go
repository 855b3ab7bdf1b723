package alotwebhook_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

func validEndpoint() alotwebhook.Endpoint {
	return alotwebhook.Endpoint{
		OrganizationID: "org_1", URL: "https://example.com/hook", EventTypes: []string{"candidate.completed"}, Secret: "your-signing-secret",
	}
}

func TestCreateEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alotwebhook.Config{}, &receivers{})
	created, err := w.CreateEndpoint(t.Context(), validEndpoint())
	require.NoError(t, err)
	require.Regexp(t, `^wh_[0-9a-hjkmnp-tv-z]{26}$`, created.ID)
	require.Equal(t, alotwebhook.Secret("your-signing-secret"), created.Secret)
	require.EqualValues(t, 1, created.Version)
	require.WithinDuration(t, time.Now(), created.CreatedAt, time.Hour)

	read, err := w.Endpoint(t.Context(), created.ID)
	require.NoError(t, err)
	require.Empty(t, read.Secret, "secrets are write-only")
	read.Secret = created.Secret
	require.Equal(t, created, read)

	withoutSecret := validEndpoint()
	withoutSecret.Secret = ""
	created, err = w.CreateEndpoint(t.Context(), withoutSecret)
	require.NoError(t, err)
	require.Regexp(t, `^whsec_[A-Za-z0-9+/]{43}=$`, string(created.Secret))
}

func TestEveryFieldThatIsNotValidIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alotwebhook.Config{}, &receivers{})
	bad := func(e alotwebhook.Endpoint) alotwebhook.Endpoint {
		e.URL, e.EventTypes, e.Description, e.Rate, e.PayloadVersion = "https://10.0.0.1/", nil, "a\r\nb", -1, "none"
		e.Headers = []alotwebhook.Header{{Name: "Host", Value: "hunter2"}}
		return e
	}
	named := func(err error) (fields []string) {
		require.ErrorIs(t, err, alotwebhook.ErrInvalid)
		require.ErrorIs(t, err, alotwebhook.ErrBlockedAddress)
		require.NotContains(t, err.Error(), "hunter2")
		for rest := []error{err}; len(rest) > 0; rest = rest[1:] {
			switch e := rest[0].(type) {
			case *alotwebhook.FieldError:
				fields = append(fields, e.Field)
				require.Contains(t, err.Error(), e.Problem)
			case interface{ Unwrap() []error }:
				rest = append(rest, e.Unwrap()...)
			}
		}
		return fields
	}
	e := bad(validEndpoint())
	e.Secret = "hunter2"
	_, err := w.CreateEndpoint(t.Context(), e)
	require.ElementsMatch(t, []string{"secret", "url", "events", "description", "rate", "payloadVersion", "headers[0].name"}, named(err))

	created, err := w.CreateEndpoint(t.Context(), validEndpoint())
	require.NoError(t, err)
	_, err = w.UpdateEndpoint(t.Context(), bad(created))
	require.ElementsMatch(t, []string{"url", "events", "description", "rate", "payloadVersion", "headers[0].name"}, named(err))
	stored, err := w.Endpoint(t.Context(), created.ID)
	require.NoError(t, err)
	require.Equal(t, created.Version, stored.Version)
}

func TestCreateEndpointRefuses(t *testing.T) {
	t.Parallel()
	store := memory.New()
	w := newWorldOn(t, store, alotwebhook.Config{}, &receivers{})
	for name, c := range map[string]struct {
		change func(*alotwebhook.Endpoint)
		field  string
	}{
		"no organization":     {func(e *alotwebhook.Endpoint) { e.OrganizationID = "" }, "organizationId"},
		"no URL":              {func(e *alotwebhook.Endpoint) { e.URL = "" }, "url"},
		"plain http":          {func(e *alotwebhook.Endpoint) { e.URL = "http://example.com/" }, "url"},
		"private address":     {func(e *alotwebhook.Endpoint) { e.URL = "https://10.0.0.1/" }, "url"},
		"user and password":   {func(e *alotwebhook.Endpoint) { e.URL = "https://u:hunter2@example.com/" }, "url"},
		"port of SSH":         {func(e *alotwebhook.Endpoint) { e.URL = "https://example.com:22/" }, "url"},
		"no event types":      {func(e *alotwebhook.Endpoint) { e.EventTypes = nil }, "events"},
		"unknown event type":  {func(e *alotwebhook.Endpoint) { e.EventTypes = []string{"candidate.completed", "a.b"} }, "events[1]"},
		"event type twice":    {func(e *alotwebhook.Endpoint) { e.EventTypes = []string{"candidate.completed", "candidate.completed"} }, "events[1]"},
		"blank secret":        {func(e *alotwebhook.Endpoint) { e.Secret = " \n" }, "secret"},
		"short secret":        {func(e *alotwebhook.Endpoint) { e.Secret = "fifteen bytes.." }, "secret"},
		"secret with newline": {func(e *alotwebhook.Endpoint) { e.Secret = "hunter2\n" }, "secret"},
		"long secret":         {func(e *alotwebhook.Endpoint) { e.Secret = alotwebhook.Secret(strings.Repeat("hunter2", 40)) }, "secret"},
		"long description":    {func(e *alotwebhook.Endpoint) { e.Description = strings.Repeat("d", 257) }, "description"},
		"CRLF in description": {func(e *alotwebhook.Endpoint) { e.Description = "a\r\nb" }, "description"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := validEndpoint()
			c.change(&bad)
			_, err := w.CreateEndpoint(t.Context(), bad)
			var field *alotwebhook.FieldError
			require.ErrorAs(t, err, &field)
			require.Equal(t, c.field, field.Field)
			require.ErrorIs(t, err, alotwebhook.ErrInvalid)
			require.NotContains(t, err.Error(), "hunter2")
			page, _, err := store.Endpoints(t.Context(), alotwebhook.EndpointFilter{})
			require.NoError(t, err)
			require.Empty(t, page)
		})
	}
}

func TestUpdateEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alotwebhook.Config{}, &receivers{})
	first, err := w.CreateEndpoint(t.Context(), validEndpoint())
	require.NoError(t, err)
	changed := first
	changed.URL, changed.Description, changed.EventTypes = "https://example.com/new", "the new one", []string{"candidate.invited"}
	changed.OrganizationID, changed.Secret = "org_2", "another" // an update changes neither
	second, err := w.UpdateEndpoint(t.Context(), changed)
	require.NoError(t, err)
	require.EqualValues(t, 2, second.Version)
	require.Equal(t, "org_1", second.OrganizationID)
	require.Equal(t, "https://example.com/new", second.URL)

	_, err = w.UpdateEndpoint(t.Context(), first)
	require.ErrorIs(t, err, alotwebhook.ErrConflict)
	require.ErrorContains(t, err, "version 2, not 1")
	require.Equal(t, 1, strings.Count(err.Error(), "alotwebhook: "))

	second.URL = "ftp://example.com"
	_, err = w.UpdateEndpoint(t.Context(), second)
	require.ErrorIs(t, err, alotwebhook.ErrInvalid)

	require.NoError(t, w.DeleteEndpoint(t.Context(), first.ID))
	for _, err := range []error{
		w.DeleteEndpoint(t.Context(), first.ID),
		errOf(w.Endpoint(t.Context(), first.ID)),
		errOf(w.UpdateEndpoint(t.Context(), first)),
		errOf(w.RotateSecret(t.Context(), first.ID, "", time.Time{})),
		errOf(w.SendTest(t.Context(), first.ID, "candidate.completed")),
		errOf(w.Recover(t.Context(), first.ID, time.Time{})),
		errOf(w.Delivery(t.Context(), "dlv_none")),
		errOf(w.Event(t.Context(), "evt_none")),
		errOf(w.Redeliver(t.Context(), "dlv_none")),
	} {
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
		require.Equal(t, 1, strings.Count(err.Error(), "alotwebhook: "), err)
	}
}

func errOf[T any](_ T, err error) error { return err }

func TestEndpointsOfAnOrganization(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alotwebhook.Config{MaxEndpoints: -1}, &receivers{})
	for i := range 250 { // more than one page
		e := validEndpoint()
		e.OrganizationID = fmt.Sprintf("org_%d", i%2)
		_, err := w.CreateEndpoint(t.Context(), e)
		require.NoError(t, err)
	}
	count := map[string]int{}
	for e, err := range w.Endpoints(t.Context(), alotwebhook.EndpointFilter{OrganizationID: "org_1"}) {
		require.NoError(t, err)
		require.Empty(t, e.Secret)
		count[e.OrganizationID]++
	}
	require.Equal(t, map[string]int{"org_1": 125}, count)
	for range w.Endpoints(t.Context(), alotwebhook.EndpointFilter{}) {
		count["all"]++
	}
	require.Equal(t, 250, count["all"])

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range w.Endpoints(ctx, alotwebhook.EndpointFilter{}) {
		require.ErrorIs(t, err, context.Canceled)
	}
}

// A URL or an event type that was valid at its registration may be invalid by today's
// rules. Such an endpoint can still be described, disabled and enabled.
func TestUpdateJudgesWhatChanges(t *testing.T) {
	t.Parallel()
	store := memory.New()
	types := append(alotwebhook.DefaultEventTypes(), alotwebhook.EventType{Name: "candidate.hired"})
	w := newWorldOn(t, store, alotwebhook.Config{AllowHTTP: true, EventTypes: types}, &receivers{})
	e := validEndpoint()
	e.URL, e.EventTypes = "http://example.com/hook", []string{"candidate.hired"}
	e, err := w.CreateEndpoint(t.Context(), e)
	require.NoError(t, err)

	strict := newWorldOn(t, store, alotwebhook.Config{}, &receivers{})
	e.Disabled, e.EventTypes = true, []string{"candidate.hired", "candidate.completed"}
	e, err = strict.UpdateEndpoint(t.Context(), e)
	require.NoError(t, err)
	require.True(t, e.Disabled)
	for _, change := range []func(*alotwebhook.Endpoint){
		func(e *alotwebhook.Endpoint) { e.URL = "http://example.com/other" },
		func(e *alotwebhook.Endpoint) { e.EventTypes = []string{"candidate.rejected"} },
		func(e *alotwebhook.Endpoint) { e.URL = "" },
	} {
		bad := e
		change(&bad)
		_, err := strict.UpdateEndpoint(t.Context(), bad)
		require.ErrorIs(t, err, alotwebhook.ErrInvalid)
	}
}

// A rotation takes effect at a chosen time. The sender signs with the old secret before
// that time, and with the new one from then on.
func TestRotateSecret(t *testing.T) {
	t.Parallel()
	key := make([]byte, 32)
	_, err := rand.Read(key)
	require.NoError(t, err)
	sealer, err := alotwebhook.NewSealer(alotwebhook.SealingKey{ID: "k1", Key: key})
	require.NoError(t, err)
	for name, cfg := range map[string]alotwebhook.Config{"plain": {}, "sealed": {Sealer: sealer}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, cfg, &receivers{})
				e := w.endpoint(t, "a.example.com")
				defer w.run(t)()
				signedWith := func(secret alotwebhook.Secret) bool {
					before := len(w.net.requests())
					w.emit(t)
					time.Sleep(time.Minute)
					seen := w.net.requests()
					require.Len(t, seen, before+1)
					last := seen[before]
					return alotwebhook.Verify([]byte(last.body), last.head.Get(alotwebhook.SignatureHeader), secret) == nil
				}
				require.True(t, signedWith("s3cret of a.example.com"))
				second, err := w.RotateSecret(t.Context(), e.ID, "", time.Now().Add(time.Hour))
				require.NoError(t, err)
				require.Regexp(t, "^whsec_", string(second))
				require.True(t, signedWith("s3cret of a.example.com"))
				time.Sleep(time.Hour)
				require.True(t, signedWith(second))

				third, err := w.RotateSecret(t.Context(), e.ID, "the third secret of it", time.Now().Add(time.Hour))
				require.NoError(t, err)
				require.Equal(t, alotwebhook.Secret("the third secret of it"), third)
				require.True(t, signedWith(second))
				time.Sleep(time.Hour)
				require.True(t, signedWith(third))

				_, err = w.RotateSecret(t.Context(), e.ID, "the fourth secret of it", time.Time{})
				require.NoError(t, err)
				require.True(t, signedWith("the fourth secret of it"))
				for secret, at := range map[alotwebhook.Secret]time.Time{
					" ": {}, "fifteen bytes..": {}, "the fifth secret of it": time.Now().Add(-2 * time.Minute),
				} {
					_, err = w.RotateSecret(t.Context(), e.ID, secret, at)
					require.ErrorIs(t, err, alotwebhook.ErrInvalid, "%q at %s", string(secret), at)
				}
				require.True(t, signedWith("the fourth secret of it"))
				_, err = w.RotateSecret(t.Context(), e.ID, "sixteen bytes...", time.Now().Add(-time.Second))
				require.NoError(t, err, "the time is just over")
				require.True(t, signedWith("sixteen bytes..."))
			})
		})
	}
}

func TestSealer(t *testing.T) {
	t.Parallel()
	oldKey, newKey := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	before, err := alotwebhook.NewSealer(alotwebhook.SealingKey{ID: "2025", Key: oldKey})
	require.NoError(t, err)
	after, err := alotwebhook.NewSealer(alotwebhook.SealingKey{ID: "2026", Key: newKey}, alotwebhook.SealingKey{ID: "2025", Key: oldKey})
	require.NoError(t, err)

	sealed, err := before.Seal("wh_1", "hunter2")
	require.NoError(t, err)
	require.NotContains(t, string(sealed), "hunter2")
	again, err := before.Seal("wh_1", "hunter2")
	require.NoError(t, err)
	require.NotEqual(t, sealed, again)
	opened, err := after.Open("wh_1", sealed)
	require.NoError(t, err)
	require.Equal(t, alotwebhook.Secret("hunter2"), opened)
	plain, err := after.Open("wh_1", "stored before there was a sealer")
	require.NoError(t, err)
	require.Equal(t, alotwebhook.Secret("stored before there was a sealer"), plain)

	newSealed, err := after.Seal("wh_1", "hunter2")
	require.NoError(t, err)
	for name, err := range map[string]error{
		"another endpoint's": errOf(after.Open("wh_2", sealed)),
		"unknown key":        errOf(before.Open("wh_1", newSealed)),
		"changed":            errOf(after.Open("wh_1", sealed[:len(sealed)-4]+"AAAA")),
		"not base64":         errOf(after.Open("wh_1", "sealed1:2025:%%%")),
		"too short":          errOf(after.Open("wh_1", "sealed1:2025:AAAA")),
		"no keys":            errOf(alotwebhook.NewSealer()),
		"short key":          errOf(alotwebhook.NewSealer(alotwebhook.SealingKey{ID: "a", Key: oldKey[:16]})),
		"bad id":             errOf(alotwebhook.NewSealer(alotwebhook.SealingKey{ID: "a:b", Key: oldKey})),
		"id twice":           errOf(alotwebhook.NewSealer(alotwebhook.SealingKey{ID: "a", Key: oldKey}, alotwebhook.SealingKey{ID: "a", Key: newKey})),
	} {
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "hunter2", name)
	}

	store := memory.New()
	w := newWorldOn(t, store, alotwebhook.Config{Sealer: before}, &receivers{})
	e := w.endpoint(t, "a.example.com")
	stored, err := store.Endpoint(t.Context(), e.ID)
	require.NoError(t, err)
	require.Regexp(t, `^sealed1:2025:`, string(stored.Secret))
}

func TestSendTest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{}, &receivers{})
		e := w.endpoint(t, "a.example.com")
		w.endpoint(t, "b.example.com", "candidate.invited")
		defer w.run(t)()
		event, err := w.SendTest(t.Context(), e.ID, "candidate.invited")
		require.NoError(t, err)
		time.Sleep(time.Second)
		require.Len(t, w.net.requests(), 1, "to that endpoint alone, though it does not subscribe")
		require.Equal(t, "a.example.com", w.net.requests()[0].host)
		require.JSONEq(t, string(event.Payload()), w.net.requests()[0].body)
		_, err = w.SendTest(t.Context(), e.ID, "candidate.hired")
		require.ErrorIs(t, err, alotwebhook.ErrInvalid)
	})
}

func TestRedeliverAndRecover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		net := &receivers{respond: func(*http.Request, int) (*http.Response, error) {
			if down.Load() {
				return status(http.StatusInternalServerError), nil
			}
			return status(http.StatusOK), nil
		}}
		w := newWorld(t, alotwebhook.Config{}, net)
		e := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		var events []alotwebhook.Event
		for range 150 { // more than one page
			events = append(events, w.emit(t))
		}
		time.Sleep(time.Hour)
		require.Len(t, net.requests(), 450)
		since := time.Now()
		time.Sleep(time.Second)
		late := w.emit(t)
		time.Sleep(time.Hour)

		down.Store(false)
		again, err := w.Redeliver(t.Context(), alotwebhook.DeliveryID(events[0].ID, e.ID))
		require.NoError(t, err)
		require.True(t, again)
		time.Sleep(time.Second)
		d := w.delivery(t, events[0], e)
		require.Equal(t, alotwebhook.StateDelivered, d.State)
		require.Equal(t, 4, d.AttemptCount)
		require.Equal(t, 4, d.Attempts[3].Number)

		recovered := func(since time.Time, want int64) {
			t.Helper()
			_, err := w.Recover(t.Context(), e.ID, since)
			require.NoError(t, err)
			time.Sleep(time.Minute)
			r, err := w.Recovery(t.Context(), e.ID)
			require.NoError(t, err)
			require.Equal(t, alotwebhook.RecoveryDone, r.State)
			require.Equal(t, want, r.Recovered)
		}
		recovered(since, 1)
		require.Equal(t, alotwebhook.StateDelivered, w.delivery(t, late, e).State)
		recovered(time.Time{}, 149)
		for delivery, err := range w.Deliveries(t.Context(), alotwebhook.Filter{OrganizationID: "org_1"}) {
			require.NoError(t, err)
			require.Equal(t, alotwebhook.StateDelivered, delivery.State)
		}
		recovered(time.Time{}, 0)
		stats, err := w.Stats(t.Context())
		require.NoError(t, err)
		require.Zero(t, stats)
	})
}

func TestSecretsNeverShow(t *testing.T) {
	t.Parallel()
	const secret = alotwebhook.Secret("hunter2hunter2hunter2")
	e := validEndpoint()
	e.Secret = secret
	encoded, err := json.Marshal(e)
	require.NoError(t, err)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", secret, "endpoint", e)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", secret, "endpoint", e)
	asText, err := secret.MarshalText()
	require.NoError(t, err)
	for _, shown := range []string{
		string(encoded), log.String(), string(asText), secret.String(),
		fmt.Sprint(secret), fmt.Sprintf("%v %+v %#v %s %q", e, e, e, secret, secret),
	} {
		require.NotContains(t, shown, "hunter2")
		require.Contains(t, shown, "REDACTED")
	}
}

// Even at the level Debug, the log has no payload, secret, signature or query string.
func TestLogsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var log bytes.Buffer
		handler := slog.NewTextHandler(&lockedWriter{mu: &mu, w: &log}, &slog.HandlerOptions{Level: slog.LevelDebug})
		w := newWorld(t, alotwebhook.Config{Logger: slog.New(handler)}, failing(http.StatusGone))
		e := validEndpoint()
		e.URL = "https://a.example.com/hook?token=hunter2"
		e.Secret = "hunter2hunter2hunter2"
		_, err := w.CreateEndpoint(t.Context(), e)
		require.NoError(t, err)
		stop := w.run(t)
		event, err := alotwebhook.NewEvent("candidate.completed", "org_1", json.RawMessage(`"hunter2"`))
		require.NoError(t, err)
		require.NoError(t, w.Emit(t.Context(), event))
		time.Sleep(time.Hour)
		stop()
		mu.Lock()
		defer mu.Unlock()
		require.Contains(t, log.String(), event.ID)
		require.Contains(t, log.String(), "host=a.example.com")
		require.Contains(t, log.String(), "status=410")
		require.NotContains(t, log.String(), "hunter2")
		require.NotContains(t, log.String(), "sha256=")
	})
}

type lockedWriter struct {
	mu *sync.Mutex
	w  *bytes.Buffer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(p)
}

// registered returns how many endpoints of the organization are stored.
func (w *world) registered(t testing.TB, organization string) (n int) {
	t.Helper()
	for _, err := range w.Endpoints(t.Context(), alotwebhook.EndpointFilter{OrganizationID: organization}) {
		require.NoError(t, err)
		n++
	}
	return n
}

func TestEndpointsOfAnOrganizationAreLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alotwebhook.Config{MaxEndpoints: 3}, &receivers{})
	disabled := validEndpoint()
	disabled.Disabled = true
	first, err := w.CreateEndpoint(t.Context(), disabled)
	require.NoError(t, err)
	made, _, err := w.CreateEndpointOnce(t.Context(), "k1", validEndpoint())
	require.NoError(t, err)
	w.endpoint(t, "c.example.com")

	_, err = w.CreateEndpoint(t.Context(), validEndpoint())
	require.ErrorIs(t, err, alotwebhook.ErrTooManyEndpoints)
	require.ErrorContains(t, err, "has the 3 that Config.MaxEndpoints allows, or more; delete one")
	_, _, err = w.CreateEndpointOnce(t.Context(), "k2", validEndpoint())
	require.ErrorIs(t, err, alotwebhook.ErrTooManyEndpoints)
	again, repeated, err := w.CreateEndpointOnce(t.Context(), "k1", validEndpoint())
	require.NoError(t, err, "a repeated request adds nothing")
	require.True(t, repeated)
	require.Equal(t, made.ID, again.ID)
	require.Equal(t, 3, w.registered(t, "org_1"))
	w.endpointOf(t, "org_2", "d.example.com")

	require.NoError(t, w.DeleteEndpoint(t.Context(), first.ID))
	w.endpoint(t, "e.example.com")

	fewer := newWorldOn(t, w.store, alotwebhook.Config{MaxEndpoints: 1}, &receivers{})
	made, err = fewer.Endpoint(t.Context(), made.ID)
	require.NoError(t, err)
	made.Disabled = true
	_, err = fewer.UpdateEndpoint(t.Context(), made)
	require.NoError(t, err, "a lower limit leaves alone what there is")
	unlimited := newWorldOn(t, w.store, alotwebhook.Config{MaxEndpoints: -1}, &receivers{})
	for range 60 {
		unlimited.endpoint(t, "f.example.com")
	}
}

func TestRegistrationsAtOnceStayWithinTheLimit(t *testing.T) {
	t.Parallel()
	store := memory.New()
	var processes [4]*world
	for i := range processes {
		processes[i] = newWorldOn(t, store, alotwebhook.Config{MaxEndpoints: 20}, &receivers{})
	}
	register := func(processes ...*world) (made int64) {
		var count atomic.Int64
		var wg sync.WaitGroup
		for i := range 60 {
			wg.Go(func() {
				_, err := processes[i%len(processes)].CreateEndpoint(t.Context(), validEndpoint())
				if err == nil {
					count.Add(1)
					return
				}
				require.ErrorIs(t, err, alotwebhook.ErrTooManyEndpoints)
			})
		}
		wg.Wait()
		return count.Load()
	}
	made := register(processes[:]...)
	require.LessOrEqual(t, made, int64(20), "several processes")
	require.EqualValues(t, made, processes[0].registered(t, "org_1"), "what was refused is gone")
	require.Equal(t, 20-made, register(processes[0]), "one process fills up what is left")
}

// another adds an endpoint as another process does, just before one is stored.
type another struct {
	alotwebhook.Store
	add func()
}

func (s *another) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	if add := s.add; add != nil {
		s.add = nil
		add()
	}
	return s.Store.PutEndpoint(ctx, e, ops...)
}

func TestARegistrationThatCameTooLateIsTakenBack(t *testing.T) {
	t.Parallel()
	store := &another{Store: memory.New()}
	w := newWorldOn(t, store, alotwebhook.Config{MaxEndpoints: 2}, &receivers{})
	other := newWorldOn(t, store.Store, alotwebhook.Config{MaxEndpoints: 2}, &receivers{})
	kept := w.endpoint(t, "a.example.com")
	store.add = func() { other.endpoint(t, "b.example.com") }
	_, err := w.CreateEndpoint(t.Context(), validEndpoint())
	require.ErrorIs(t, err, alotwebhook.ErrTooManyEndpoints)
	require.Equal(t, 2, w.registered(t, "org_1"))
	_, err = w.Endpoint(t.Context(), kept.ID)
	require.NoError(t, err)
}

func TestWhatAnOrganizationMayDoOftenIsLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		w := newWorld(t, alotwebhook.Config{TestsPerMinute: 6, RedeliveriesPerMinute: 12, ChangesPerMinute: 30}, &receivers{})
		e := w.endpoint(t, "a.example.com")
		delivery := alotwebhook.DeliveryID(w.emit(t).ID, e.ID)
		stop := w.run(t)
		time.Sleep(time.Second)
		stop()
		elsewhere := validEndpoint()
		elsewhere.OrganizationID = "org_2"
		other, err := w.CreateEndpoint(ctx, elsewhere)
		require.NoError(t, err)

		change := func(id string) error {
			current, err := w.Endpoint(ctx, id)
			require.NoError(t, err)
			current.Disabled = !current.Disabled
			_, err = w.UpdateEndpoint(ctx, current)
			return err
		}
		rotate := func(id string) error { _, err := w.RotateSecret(ctx, id, "", time.Time{}); return err }
		for name, c := range map[string]struct {
			limit     string
			perMinute int
			do        func(id string) error
		}{
			"tests":        {"TestsPerMinute", 6, func(id string) error { return errOf(w.SendTest(ctx, id, "candidate.completed")) }},
			"redeliveries": {"RedeliveriesPerMinute", 12, func(string) error { return errOf(w.Redeliver(ctx, delivery)) }},
			"updates":      {"ChangesPerMinute", 30, change},
			"rotations":    {"ChangesPerMinute", 30, rotate},
			"recoveries": {"ChangesPerMinute", 30, func(id string) error {
				err := errOf(w.Recover(ctx, id, time.Time{}))
				if err == nil {
					err = errOf(w.StopRecovery(ctx, id))
				}
				return err
			}},
			"deletions": {"ChangesPerMinute", 30, func(id string) error {
				if id == e.ID { // the endpoint is needed still
					churned := validEndpoint()
					created, err := w.CreateEndpoint(ctx, churned)
					require.NoError(t, err)
					id = created.ID
				}
				return w.DeleteEndpoint(ctx, id)
			}},
		} {
			time.Sleep(time.Hour)
			for range c.perMinute {
				require.NoError(t, c.do(e.ID), name)
			}
			err := c.do(e.ID)
			var limit *alotwebhook.LimitError
			require.ErrorAs(t, err, &limit, name)
			require.ErrorIs(t, err, alotwebhook.ErrTooOften)
			require.ErrorContains(t, err, c.limit)
			require.Equal(t, alotwebhook.LimitError{Kind: alotwebhook.ErrTooOften, Limit: c.limit, Most: c.perMinute, RetryAfter: time.Minute / time.Duration(c.perMinute)}, *limit)
			if name != "redeliveries" && name != "deletions" {
				require.NoError(t, c.do(other.ID), "another organization's is another's")
			}
			time.Sleep(limit.RetryAfter)
			require.NoError(t, c.do(e.ID), "%s: after the wait", name)
			require.Error(t, c.do(e.ID), name)
		}

		time.Sleep(time.Hour)
		_, _, err = w.SendTestOnce(ctx, "k1", e.ID, "candidate.completed")
		require.NoError(t, err)
		for range 20 {
			_, repeated, err := w.SendTestOnce(ctx, "k1", e.ID, "candidate.completed")
			require.NoError(t, err, "a repeated request sends nothing")
			require.True(t, repeated)
		}
	})
}

func TestNegativeRatesAreNoLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alotwebhook.Config{TestsPerMinute: -1, RedeliveriesPerMinute: -1, ChangesPerMinute: -1}, &receivers{})
	e := w.endpoint(t, "a.example.com")
	delivery := alotwebhook.DeliveryID(w.emit(t).ID, e.ID)
	for range 200 {
		require.NoError(t, errOf(w.SendTest(t.Context(), e.ID, "candidate.completed")))
		require.NoError(t, errOf(w.Redeliver(t.Context(), delivery)))
		require.NoError(t, errOf(w.RotateSecret(t.Context(), e.ID, "", time.Time{})))
	}
}
