package alotwebhook_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// versioned returns a configuration with two earlier versions of candidate.completed: before 2026 the
// score was called points, and before 2025 there was none.
func versioned() alotwebhook.Config {
	types := alotwebhook.DefaultEventTypes()
	older := func(change func(map[string]any)) func(json.RawMessage) (json.RawMessage, error) {
		return func(data json.RawMessage) (json.RawMessage, error) {
			var fields map[string]any
			if err := json.Unmarshal(data, &fields); err != nil {
				return nil, err
			}
			change(fields)
			return json.Marshal(fields)
		}
	}
	types[1].Versions = map[string]func(json.RawMessage) (json.RawMessage, error){
		"2024": older(func(f map[string]any) { delete(f, "score") }),
		"2025": older(func(f map[string]any) { f["points"] = f["score"]; delete(f, "score") }),
	}
	return alotwebhook.Config{EventTypes: types, PayloadVersions: []string{"2024", "2025", "2026"}, StandardWebhooks: true}
}

func TestPayloadVersions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		before := newWorldOn(t, store, alotwebhook.Config{}, &receivers{})
		before.endpoint(t, "first.test")
		net := &receivers{respond: func(_ *http.Request, n int) (*http.Response, error) {
			if n == 1 {
				return status(http.StatusInternalServerError), nil
			}
			return status(http.StatusNoContent), nil
		}}
		w := newWorldOn(t, store, versioned(), net)
		e := w.endpoint(t, "new.test")
		require.Equal(t, "2026", e.PayloadVersion)
		middle, err := w.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
			OrganizationID: "org_1", URL: "https://middle.test/hook", EventTypes: []string{"candidate.completed"},
			Secret: "s3cret of middle.test", PayloadVersion: "2025",
		})
		require.NoError(t, err)
		stop := w.run(t)
		event, err := alotwebhook.NewEvent("candidate.completed", "org_1", json.RawMessage(`{"score":  82}`))
		require.NoError(t, err)
		require.NoError(t, w.Emit(t.Context(), event))
		time.Sleep(time.Hour)
		stop()

		want := map[string]string{"first.test": `{}`, "middle.test": `{"points":82}`, "new.test": `{"score":  82}`}
		seen := map[string]int{}
		for _, r := range net.requests() {
			sent := event
			sent.Data = json.RawMessage(want[r.host])
			require.Equal(t, string(sent.Payload()), r.body, r.host)
			secret := alotwebhook.Secret("s3cret of " + r.host)
			require.NoError(t, alotwebhook.Verify([]byte(r.body), r.head.Get(alotwebhook.SignatureHeader), secret))
			require.Equal(t, alotwebhook.SignStandard([]byte(r.body), event.ID, r.at, secret), r.head.Get(alotwebhook.StandardSignatureHeader))
			seen[r.host]++
		}
		require.Equal(t, map[string]int{"first.test": 2, "middle.test": 2, "new.test": 2}, seen, "each attempt sends the same")
		stored, err := store.Event(t.Context(), event.ID)
		require.NoError(t, err)
		require.Equal(t, string(event.Payload()), string(stored.Payload()), "the store has it once, as it was emitted")

		middle.PayloadVersion = "2026"
		middle, err = w.UpdateEndpoint(t.Context(), middle)
		require.NoError(t, err)
		middle.PayloadVersion = ""
		middle, err = w.UpdateEndpoint(t.Context(), middle)
		require.NoError(t, err)
		require.Equal(t, "2026", middle.PayloadVersion, "an update that names none keeps it")
		middle.PayloadVersion = "2023"
		_, err = w.UpdateEndpoint(t.Context(), middle)
		requireField(t, err, "payloadVersion")
		ops, _, err := w.Operations(t.Context(), alotwebhook.OperationFilter{EndpointID: middle.ID, Type: alotwebhook.OpEndpointChanged})
		require.NoError(t, err)
		require.Equal(t, "payloadVersion", ops[0].Note)
		payload, err := w.PayloadOf(event, "2025")
		require.NoError(t, err)
		require.Contains(t, string(payload), `"data":{"points":82}}`)
		_, err = w.PayloadOf(event, "2023")
		require.Error(t, err)
		stars, versions := w.Offers()
		require.False(t, stars)
		require.Equal(t, []string{"2024", "2025", "2026"}, versions)
	})
}

// A fault of the host's must neither look like the customer's nor lose an event.
func TestConversionThatFailsIsTheHostsFault(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]func(json.RawMessage) (json.RawMessage, error){
		"error":   func(json.RawMessage) (json.RawMessage, error) { return nil, errors.New("no field points") },
		"panic":   func(json.RawMessage) (json.RawMessage, error) { panic("oops") },
		"no JSON": func(json.RawMessage) (json.RawMessage, error) { return json.RawMessage(`{`), nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				cfg := versioned()
				cfg.DisableAfter, cfg.WarnFailing = time.Minute, time.Second
				cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
				cfg.EventTypes[1].Versions["2024"] = broken
				net, store := &receivers{}, memory.New()
				w := newWorldOn(t, store, cfg, net)
				e, err := w.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
					OrganizationID: "org_1", URL: "https://old.test/hook", EventTypes: []string{"candidate.completed"}, PayloadVersion: "2024",
				})
				require.NoError(t, err)
				event, err := alotwebhook.NewEvent("candidate.completed", "org_1", json.RawMessage(`{"score":8212345}`))
				require.NoError(t, err)
				require.NoError(t, w.Emit(t.Context(), event))
				stop := w.run(t)
				time.Sleep(time.Hour)
				stop()
				require.Empty(t, net.requests())
				d, err := w.Delivery(t.Context(), alotwebhook.DeliveryID(event.ID, e.ID))
				require.NoError(t, err)
				require.Equal(t, alotwebhook.StateFailed, d.State)
				require.Equal(t, alotwebhook.ReasonConversion, d.LastReason)
				require.Len(t, d.Attempts, 3)
				require.NotContains(t, d.Attempts[0].Detail, "points")
				e, err = w.Endpoint(t.Context(), e.ID)
				require.NoError(t, err)
				require.False(t, e.Disabled)
				require.True(t, e.FailingSince.IsZero())
				ops, _, err := w.Operations(t.Context(), alotwebhook.OperationFilter{EndpointID: e.ID})
				require.NoError(t, err)
				require.Len(t, ops, 1, "it was created, and nothing else happened")
				require.Equal(t, 3, strings.Count(log.String(), "payload version not made"))
				require.NotContains(t, log.String(), "8212345")

				mended := newWorldOn(t, store, versioned(), net)
				_, err = mended.RecoverMany(t.Context(), alotwebhook.Recovery{OrganizationID: "org_1", Reason: alotwebhook.ReasonConversion})
				require.NoError(t, err)
				stop = mended.run(t)
				time.Sleep(time.Minute)
				stop()
				require.Len(t, net.requests(), 1)
			})
		})
	}
}

func TestVersionThatIsNoMoreIsTheHostsFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, net := memory.New(), &receivers{}
		e := newWorldOn(t, store, versioned(), net).endpoint(t, "new.test")
		w := newWorldOn(t, store, alotwebhook.Config{}, net)
		event, err := alotwebhook.NewEvent("candidate.completed", "org_1", json.RawMessage(`{}`))
		require.NoError(t, err)
		require.NoError(t, w.Emit(t.Context(), event))
		stop := w.run(t)
		time.Sleep(time.Hour)
		stop()
		d, err := w.Delivery(t.Context(), alotwebhook.DeliveryID(event.ID, e.ID))
		require.NoError(t, err)
		require.Equal(t, alotwebhook.ReasonConversion, d.LastReason)
		require.Empty(t, net.requests())
		e.Description = "changed"
		_, err = w.UpdateEndpoint(t.Context(), e)
		require.NoError(t, err, "what stays is not judged again")
	})
}

func TestVersionsAndSchemasAreChecked(t *testing.T) {
	t.Parallel()
	check := func(change func(*alotwebhook.Config)) error {
		cfg := versioned()
		change(&cfg)
		_, err := alotwebhook.NewDispatcher(memory.New(), &cfg)
		return err
	}
	require.NoError(t, check(func(*alotwebhook.Config) {}))
	for field, change := range map[string]func(*alotwebhook.Config){
		"PayloadVersions[1]":       func(c *alotwebhook.Config) { c.PayloadVersions = []string{"1", "1"} },
		"PayloadVersions[0]":       func(c *alotwebhook.Config) { c.PayloadVersions = []string{"a b"} },
		"eventTypes[1].versions":   func(c *alotwebhook.Config) { c.PayloadVersions = c.PayloadVersions[1:] },
		"eventTypes[0].schema":     func(c *alotwebhook.Config) { c.EventTypes[0].Schema = json.RawMessage(`true`) },
		"eventTypes[2].since":      func(c *alotwebhook.Config) { c.EventTypes[2].Since = strings.Repeat("x", 65) },
		"eventTypes[3].deprecated": func(c *alotwebhook.Config) { c.EventTypes[3].Deprecated = "a\nb" },
		"eventTypes[0].example":    func(c *alotwebhook.Config) { c.CheckData = refuseAll },
	} {
		requireField(t, check(change), field)
	}
}

func refuseAll(string, json.RawMessage) error { return errors.New("is refused") }

func TestEmitChecksData(t *testing.T) {
	t.Parallel()
	var asked []string
	w := newWorld(t, alotwebhook.Config{CustomerOperations: true, CheckData: func(eventType string, data json.RawMessage) error {
		asked = append(asked, eventType)
		if string(data) == `{"bad":1}` {
			return errors.New("at /bad: no such field")
		}
		return nil
	}}, &receivers{})
	require.Len(t, asked, 4, "the examples, but not those of operations")
	bad, err := alotwebhook.NewEvent("candidate.completed", "org_1", json.RawMessage(`{"bad":1}`))
	require.NoError(t, err)
	err = w.Emit(t.Context(), bad)
	requireField(t, err, "data")
	require.ErrorContains(t, err, "does not fit candidate.completed: at /bad: no such field")
	_, err = w.Event(t.Context(), bad.ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
}

func TestPanicOfCheckDataIsAnError(t *testing.T) {
	t.Parallel()
	panics := true
	check := func(string, json.RawMessage) error {
		if panics {
			panic("no schema")
		}
		return nil
	}
	_, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{CheckData: check})
	requireField(t, err, "eventTypes[0].example")
	require.ErrorContains(t, err, "candidate.invited was not checked: Config.CheckData panicked: its stack is in the log")
	panics = false
	w := newWorld(t, alotwebhook.Config{CheckData: check}, &receivers{})
	panics = true
	event, err := alotwebhook.NewEvent("candidate.completed", "org_1", json.RawMessage(`{}`))
	require.NoError(t, err)
	err = w.Emit(t.Context(), event)
	requireField(t, err, "data")
	require.ErrorContains(t, err, "Config.CheckData panicked: its stack is in the log")
	_, err = w.Event(t.Context(), event.ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
}

func TestWildcards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, net := memory.New(), &receivers{}
		cfg := alotwebhook.Config{Wildcards: true, CustomerOperations: true}
		w := newWorldOn(t, store, cfg, net)
		all, some := w.endpoint(t, "all.test", "*"), w.endpoint(t, "some.test", "candidate.*")
		w.endpoint(t, "told.test", "*", "endpoint.changed")
		for _, refused := range [][]string{{"*", "candidate.*"}, {"candidate.*", "candidate.invited"}, {"candid.*"}, {"endpoint.*"}} {
			bad := validEndpoint()
			bad.EventTypes = refused
			_, err := w.CreateEndpoint(t.Context(), bad)
			require.ErrorIs(t, err, alotwebhook.ErrInvalid, "%q", refused)
		}
		stop := w.run(t)
		some.Description = "changed" // an operation
		some, err := w.UpdateEndpoint(t.Context(), some)
		require.NoError(t, err)
		for _, name := range []string{"candidate.completed", "assessment.published"} {
			event, err := alotwebhook.NewEvent(name, "org_1", json.RawMessage(`{}`))
			require.NoError(t, err)
			require.NoError(t, w.Emit(t.Context(), event))
		}
		time.Sleep(time.Minute)
		stop()
		got := map[string][]string{}
		for _, r := range net.requests() {
			got[r.host] = append(got[r.host], r.head.Get(alotwebhook.EventHeader))
		}
		require.ElementsMatch(t, []string{"candidate.completed", "assessment.published"}, got["all.test"])
		require.ElementsMatch(t, []string{"candidate.completed"}, got["some.test"])
		require.ElementsMatch(t, []string{"candidate.completed", "assessment.published", "endpoint.changed"}, got["told.test"])
		page, _, err := w.DeliveryPage(t.Context(), alotwebhook.Filter{EndpointID: all.ID, EventType: "assessment.published"})
		require.NoError(t, err)
		require.Len(t, page, 1, "a filter by type finds it")

		off := newWorldOn(t, store, alotwebhook.Config{}, net)
		bad := validEndpoint()
		bad.EventTypes = []string{"*"}
		_, err = off.CreateEndpoint(t.Context(), bad)
		requireField(t, err, "events[0]")
		some.URL = "https://moved.test/hook"
		_, err = off.UpdateEndpoint(t.Context(), some)
		require.NoError(t, err, "who has one keeps it")
		event, err := alotwebhook.NewEvent("candidate.invited", "org_1", json.RawMessage(`{}`))
		require.NoError(t, err)
		require.NoError(t, off.Emit(t.Context(), event))
		page, _, err = off.DeliveryPage(t.Context(), alotwebhook.Filter{EventID: event.ID})
		require.NoError(t, err)
		require.Len(t, page, 3)
	})
}
