package alotwebhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// operations returns what is stored, oldest first, each as its type, its actor in brackets and
// its note.
func (w *world) operations(t testing.TB, f alotwebhook.OperationFilter) (texts []string) {
	t.Helper()
	page, next, err := w.Operations(t.Context(), f)
	require.NoError(t, err)
	require.Empty(t, next)
	for _, o := range slices.Backward(page) {
		texts = append(texts, strings.TrimSpace(string(o.Type)+" ["+o.Actor+"] "+o.Note))
	}
	return texts
}

// heard collects what OnOperation is told.
type heard struct {
	mu  sync.Mutex
	ops []alotwebhook.Operation
	err error
}

func (h *heard) on(_ context.Context, o alotwebhook.Operation) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, o)
	return h.err
}

// got returns what was told so far.
func (h *heard) got() []alotwebhook.Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.ops)
}

// fail has each further call return err.
func (h *heard) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

func (h *heard) types() (types []string) {
	for _, o := range h.got() {
		types = append(types, string(o.Type))
	}
	return types
}

func TestOperationsTellOfEveryChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{MaxEndpoints: 2}, &receivers{})
		ctx := alotwebhook.WithActor(t.Context(), "jane@example.com")
		e, err := w.CreateEndpoint(ctx, alotwebhook.Endpoint{OrganizationID: "org_1", URL: "https://a.example.com/path?query", EventTypes: []string{"candidate.completed"}})
		require.NoError(t, err)
		update := func(change func(*alotwebhook.Endpoint)) error {
			time.Sleep(time.Minute)
			changed, err := w.Endpoint(ctx, e.ID)
			require.NoError(t, err)
			change(&changed)
			_, err = w.UpdateEndpoint(ctx, changed)
			return err
		}
		require.NoError(t, update(func(e *alotwebhook.Endpoint) {}))
		require.NoError(t, update(func(e *alotwebhook.Endpoint) {
			e.URL, e.EventTypes = "https://b.example.com/other", []string{"candidate.invited"}
		}))
		require.NoError(t, update(func(e *alotwebhook.Endpoint) { e.Rate, e.Disabled = 5, true }))
		require.Error(t, update(func(e *alotwebhook.Endpoint) { e.Version-- }))
		require.Error(t, update(func(e *alotwebhook.Endpoint) { e.URL = "" }))
		_, err = w.EnableEndpoint(ctx, e.ID, alotwebhook.EnableOptions{})
		require.NoError(t, err)
		_, err = w.RotateSecret(ctx, e.ID, "", time.Time{})
		require.NoError(t, err)
		later := time.Now().Add(time.Hour).UTC()
		_, err = w.RotateSecret(ctx, e.ID, "", later)
		require.NoError(t, err)
		_, err = w.Recover(ctx, e.ID, time.Time{})
		require.NoError(t, err)
		_, err = w.StopRecovery(t.Context(), e.ID)
		require.NoError(t, err)
		require.NoError(t, w.DeleteEndpoint(t.Context(), e.ID))
		require.Error(t, w.DeleteEndpoint(ctx, e.ID))
		require.Equal(t, []string{
			"endpoint.created [jane@example.com]",
			"endpoint.changed [jane@example.com] url, events",
			"endpoint.changed [jane@example.com] rate",
			"endpoint.disabled [jane@example.com] user",
			"endpoint.enabled [jane@example.com]",
			"endpoint.rotated [jane@example.com]",
			"endpoint.rotated [jane@example.com] signs from " + later.Format(time.RFC3339),
			"recovery.begun [jane@example.com] running: events until " + later.Add(-time.Hour).Format(time.RFC3339),
			"recovery.ended [] stopped: 0 sent again, 0 skipped",
			"endpoint.deleted []",
		}, w.operations(t, alotwebhook.OperationFilter{OrganizationID: "org_1", EndpointID: e.ID}))
		page, _, err := w.Operations(t.Context(), alotwebhook.OperationFilter{})
		require.NoError(t, err)
		for _, o := range page {
			require.True(t, o.Handled, "nobody wants to be told")
			require.Equal(t, "org_1", o.OrganizationID)
			require.Regexp(t, `^op_[0-9a-z]{26}$`, o.ID)
		}
		require.True(t, page[0].At.Equal(time.Now().Truncate(time.Millisecond)))
	})
}

// outage answers with 503 until it is mended.
type outage struct {
	mu     sync.Mutex
	mended bool
}

func (f *outage) respond(*http.Request, int) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mended {
		return status(http.StatusOK), nil
	}
	return status(http.StatusServiceUnavailable), nil
}

func (f *outage) mend(mended bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mended = mended
}

// emitFor emits an event every ten minutes for that long.
func (w *world) emitFor(t *testing.T, d time.Duration) {
	t.Helper()
	for range int(d / (10 * time.Minute)) {
		w.emit(t)
		time.Sleep(10 * time.Minute)
	}
}

func TestFailingIsToldOfTwiceBeforeItIsDisabled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h heard
		w := newWorld(t, alotwebhook.Config{OnOperation: h.on}, &receivers{respond: (&outage{}).respond})
		w.endpoint(t, "a.example.com")
		defer w.run(t)()
		began := time.Now()
		w.emitFor(t, 6*24*time.Hour)
		require.Equal(t, []string{"endpoint.created", "endpoint.failing", "endpoint.failing", "endpoint.disabled"}, h.types())
		for i, after := range map[int]time.Duration{1: time.Hour, 2: 60 * time.Hour, 3: 5 * 24 * time.Hour} {
			require.InDelta(t, after, h.got()[i].At.Sub(began), float64(11*time.Minute))
			require.Empty(t, h.got()[i].Actor)
		}
		require.Equal(t, "since "+began.UTC().Format(time.RFC3339), h.got()[2].Note)
		require.Equal(t, "failing", h.got()[3].Note)
	})
}

func TestRecoveredIsToldOfOnceAfterAWarning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h heard
		var f outage
		w := newWorld(t, alotwebhook.Config{OnOperation: h.on}, &receivers{respond: f.respond})
		e := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		w.emitFor(t, 50*time.Minute)
		f.mend(true)
		w.emitFor(t, time.Hour)
		require.Equal(t, []string{"endpoint.created"}, h.types(), "nobody was warned")
		for range 2 {
			f.mend(false)
			w.emitFor(t, 3*time.Hour)
			f.mend(true)
			w.emitFor(t, 3*time.Hour)
		}
		require.Equal(t, []string{"endpoint.created", "endpoint.failing", "endpoint.recovered", "endpoint.failing", "endpoint.recovered"}, h.types())
		stored, err := w.Endpoint(t.Context(), e.ID)
		require.NoError(t, err)
		require.Zero(t, stored.Warned)
	})
}

func TestEnablingEndsTheWarnings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h heard
		var f outage
		w := newWorld(t, alotwebhook.Config{OnOperation: h.on, DisableAfter: 24 * time.Hour, WarnFailing: 13 * time.Hour}, &receivers{respond: f.respond})
		e := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		w.emitFor(t, 25*time.Hour)
		require.Equal(t, []string{"endpoint.created", "endpoint.failing", "endpoint.disabled"}, h.types(), "half of DisableAfter is less than WarnFailing")
		f.mend(true)
		_, err := w.EnableEndpoint(t.Context(), e.ID, alotwebhook.EnableOptions{})
		require.NoError(t, err)
		w.emitFor(t, time.Hour)
		require.Equal(t, []string{"endpoint.created", "endpoint.failing", "endpoint.disabled", "endpoint.enabled"}, h.types())
	})
}

func TestNobodyIsWarnedIfWarnFailingIsNegative(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h heard
		w := newWorld(t, alotwebhook.Config{OnOperation: h.on, WarnFailing: -1}, &receivers{respond: (&outage{}).respond})
		w.endpoint(t, "a.example.com")
		defer w.run(t)()
		w.emitFor(t, 4*24*time.Hour)
		require.Equal(t, []string{"endpoint.created"}, h.types())
	})
}

// losing loses the first changes of an endpoint that has succeeded or failed: as a process does
// that is killed once the outcome is stored.
type losing struct {
	alotwebhook.Store
	mu   sync.Mutex
	lose int
}

func (s *losing) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lose > 0 && e.Version > 0 {
		s.lose--
		return errors.New("killed")
	}
	return s.Store.PutEndpoint(ctx, e, ops...)
}

func TestWhatIsToldFollowsFromWhatIsStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h heard
		var f outage
		store := &losing{Store: memory.New(), lose: 3}
		w := newWorldOn(t, store, alotwebhook.Config{OnOperation: h.on}, &receivers{respond: f.respond})
		w.endpoint(t, "a.example.com")
		defer w.run(t)()
		w.emitFor(t, 3*time.Hour)
		require.Equal(t, []string{"endpoint.created", "endpoint.failing"}, h.types())
		store.mu.Lock()
		store.lose = 2
		store.mu.Unlock()
		f.mend(true)
		w.emitFor(t, time.Hour)
		require.Equal(t, []string{"endpoint.created", "endpoint.failing", "endpoint.recovered"}, h.types())
	})
}

// A process that only emits stores operations, and one that runs tells of them: again and again
// until it is heard, and across restarts.
func TestOperationsAreToldByAnotherProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		h := heard{err: errors.New("nobody at home")}
		cfg := alotwebhook.Config{OnOperation: h.on}
		web := newWorldOn(t, store, cfg, &receivers{})
		first := newWorldOn(t, store, cfg, &receivers{})
		stop := first.run(t)
		e := web.endpoint(t, "a.example.com")
		time.Sleep(20 * time.Second)
		require.Greater(t, len(h.got()), 2)
		stop()
		h.fail(nil)
		second := newWorldOn(t, store, cfg, &receivers{})
		defer second.run(t)()
		time.Sleep(time.Minute)
		last := h.got()[len(h.got())-1]
		require.Equal(t, e.ID, last.EndpointID)
		require.Equal(t, len(h.got()), last.Claims)
		told := len(h.got())
		time.Sleep(24 * time.Hour)
		require.Len(t, h.got(), told, "it was heard")
		_, err := second.RotateSecret(t.Context(), e.ID, "", time.Time{})
		require.NoError(t, err)
		synctest.Wait()
		require.Len(t, h.got(), told+1, "what the process itself does is told at once")
	})
}

func TestOperationsAsEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		net := &receivers{}
		h := heard{err: errors.New("again")}
		w := newWorld(t, alotwebhook.Config{OnOperation: h.on, HostOrganization: "host", CustomerOperations: true}, net)
		for organization, host := range map[string]string{"host": "ops.example.com", "org_1": "a.example.com", "org_2": "b.example.com"} {
			_, err := w.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
				OrganizationID: organization, URL: "https://" + host + "/hook", EventTypes: []string{"endpoint.rotated"}, Secret: "a secret of some length",
			})
			require.NoError(t, err)
		}
		defer w.run(t)()
		time.Sleep(time.Second)
		e := w.endpoint(t, "c.example.com")
		_, err := w.RotateSecret(alotwebhook.WithActor(t.Context(), "jane"), e.ID, "the next secret of it", time.Time{})
		require.NoError(t, err)
		time.Sleep(time.Hour)
		require.Greater(t, len(h.got()), 5, "it was forwarded several times")
		byHost := map[string]request{}
		for _, r := range net.requests() {
			require.NotContains(t, byHost, r.host, "it was sent twice")
			byHost[r.host] = r
		}
		require.Len(t, byHost, 2, "another customer hears of nothing")
		var ids []string
		for host, organization := range map[string]string{"ops.example.com": "host", "a.example.com": "org_1"} {
			event, err := alotwebhook.ParseEvent([]byte(byHost[host].body))
			require.NoError(t, err)
			require.Equal(t, "endpoint.rotated", event.Type)
			require.Equal(t, organization, event.OrganizationID)
			ids = append(ids, event.ID)
			o, err := alotwebhook.DecodeData[alotwebhook.Operation](event)
			require.NoError(t, err)
			require.Equal(t, alotwebhook.Operation{
				ID: o.ID, Type: alotwebhook.OpEndpointRotated, At: event.Timestamp, OrganizationID: "org_1", EndpointID: e.ID, Actor: "jane",
			}, o)
			var keys map[string]any
			require.NoError(t, json.Unmarshal(event.Data, &keys))
			require.Len(t, keys, 6)
			require.NotContains(t, string(event.Data), "secret")
		}
		require.NotEqual(t, ids[0], ids[1], "each organization has an event of its own")
	})
}

func TestExhaustedDeliveriesAreToldOfByChoice(t *testing.T) {
	t.Parallel()
	for name, on := range map[string]bool{"on": true, "off": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var h heard
				w := newWorld(t, alotwebhook.Config{
					OnOperation: h.on, ExhaustedOperations: on, CustomerOperations: true, WarnFailing: -1,
				}, &receivers{respond: (&outage{}).respond})
				e := w.endpoint(t, "a.example.com", "candidate.completed", "delivery.exhausted")
				defer w.run(t)()
				event := w.emit(t)
				time.Sleep(24 * time.Hour)
				if !on {
					require.Equal(t, []string{"endpoint.created"}, h.types())
					return
				}
				require.Equal(t, []string{"endpoint.created", "delivery.exhausted"}, h.types(), "that of such an event tells of no other")
				require.Equal(t, alotwebhook.DeliveryID(event.ID, e.ID), h.got()[1].DeliveryID)
				require.Equal(t, "status", h.got()[1].Note)
				var failed int
				for d, err := range w.Deliveries(t.Context(), alotwebhook.Filter{State: alotwebhook.StateFailed}) {
					require.NoError(t, err)
					require.Equal(t, 3, d.AttemptCount)
					failed++
				}
				require.Equal(t, 2, failed)
			})
		})
	}
}

func TestRecoveryTellsOfItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f outage
		w := newWorld(t, alotwebhook.Config{WarnFailing: -1}, &receivers{respond: f.respond})
		e := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		w.emitFor(t, time.Hour)
		time.Sleep(time.Hour) // all of them have failed for good
		f.mend(true)
		_, err := w.Recover(alotwebhook.WithActor(t.Context(), "jane"), e.ID, time.Time{})
		require.NoError(t, err)
		until := time.Now().UTC().Format(time.RFC3339)
		time.Sleep(time.Hour)
		changed, err := w.Endpoint(t.Context(), e.ID)
		require.NoError(t, err)
		changed.Disabled = true
		_, err = w.UpdateEndpoint(t.Context(), changed)
		require.NoError(t, err)
		w.emit(t)
		at := time.Now().UTC().Format(time.RFC3339)
		_, err = w.EnableEndpoint(alotwebhook.WithActor(t.Context(), "joe"), e.ID, alotwebhook.EnableOptions{Discard: true})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Equal(t, []string{
			"endpoint.created []",
			"recovery.begun [jane] running: events until " + until, "recovery.ended [] done: 6 sent again, 0 skipped",
			"endpoint.disabled [] user",
			"recovery.begun [joe] discarding: events until " + at, "endpoint.enabled [joe]", "recovery.ended [joe] discarded: 1 deliveries",
		}, w.operations(t, alotwebhook.OperationFilter{}))
	})
}

func TestCatalogueHasOperationsIfCustomersHearOfThem(t *testing.T) {
	t.Parallel()
	names := func(d *alotwebhook.Dispatcher) (names []string) {
		for _, kind := range d.EventTypes() {
			names = append(names, kind.Name)
		}
		return names
	}
	subscribe := func(d *alotwebhook.Dispatcher) error {
		_, err := d.CreateEndpoint(t.Context(), alotwebhook.Endpoint{OrganizationID: "org_1", URL: "https://a.example.com", EventTypes: []string{"endpoint.failing"}})
		return err
	}
	plain := newWorld(t, alotwebhook.Config{}, &receivers{}).Dispatcher
	require.Len(t, names(plain), 4)
	require.ErrorIs(t, subscribe(plain), alotwebhook.ErrInvalid)
	host := newWorld(t, alotwebhook.Config{HostOrganization: "host"}, &receivers{}).Dispatcher
	require.Equal(t, names(plain), names(host))
	require.NoError(t, subscribe(host))
	customers := newWorld(t, alotwebhook.Config{CustomerOperations: true}, &receivers{}).Dispatcher
	require.NoError(t, subscribe(customers))
	want := names(plain)
	for _, kind := range []alotwebhook.OperationType{
		alotwebhook.OpEndpointCreated, alotwebhook.OpEndpointChanged, alotwebhook.OpEndpointRotated, alotwebhook.OpEndpointDeleted,
		alotwebhook.OpEndpointFailing, alotwebhook.OpEndpointDisabled, alotwebhook.OpEndpointEnabled, alotwebhook.OpEndpointRecovered,
		alotwebhook.OpDeliveryExhausted, alotwebhook.OpRecoveryBegun, alotwebhook.OpRecoveryEnded, alotwebhook.OpPaused, alotwebhook.OpResumed,
	} {
		want = append(want, string(kind))
	}
	require.Equal(t, want, names(customers))
	for _, kind := range customers.EventTypes()[4:] {
		require.NotEmpty(t, kind.Description)
		event, err := alotwebhook.NewEvent(kind.Name, "org_1", kind.Example)
		require.NoError(t, err)
		o, err := alotwebhook.DecodeData[alotwebhook.Operation](event)
		require.NoError(t, err)
		require.Equal(t, kind.Name, string(o.Type))
	}
	own := append(alotwebhook.DefaultEventTypes(), alotwebhook.EventType{Name: "endpoint.failing", Description: "ours"})
	mixed := newWorld(t, alotwebhook.Config{CustomerOperations: true, EventTypes: own}, &receivers{}).Dispatcher
	require.Len(t, names(mixed), 17)
	require.Equal(t, "ours", mixed.EventTypes()[4].Description)
	_, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{HostOrganization: "a\nb"})
	var field *alotwebhook.FieldError
	require.ErrorAs(t, err, &field)
	require.Equal(t, "HostOrganization", field.Field)
}
