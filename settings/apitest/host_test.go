package apitest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/feed"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
	"github.com/alot/alotwebhook/store/sqlite"
)

// patience bounds every wait. It is a last resort for what will never come, and
// no measure of how fast anything is.
const patience = 10 * time.Minute

func TestMain(m *testing.M) { postgrestest.Main(m) }

// stores are the stores that the tests run over.
var stores = map[string]func(testing.TB) alotwebhook.Store{
	"memory": func(testing.TB) alotwebhook.Store { return memory.New() },
	"sqlite": func(t testing.TB) alotwebhook.Store {
		store, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "webhooks.db"))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, store.Close()) })
		return store
	},
	"postgres": func(t testing.TB) alotwebhook.Store {
		pool := postgrestest.Pool(t)
		store, err := postgres.New(context.Background(), pool, &postgres.Options{Schema: postgrestest.Schema(t, pool), Migrate: true})
		require.NoError(t, err)
		return store
	},
}

// onEveryStore runs a test over each of the stores.
func onEveryStore(t *testing.T, test func(t *testing.T, h *host)) {
	t.Helper()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newHost(t, open(t)))
		})
	}
}

// host mounts the API.
type host struct {
	t          testing.TB
	store      *flaky
	dispatcher *alotwebhook.Dispatcher
	handler    http.Handler
	doc        *openapi3.T
	seen       map[string]bool // the responses so far, as "createEndpoint 201"
}

func newHost(t testing.TB, store alotwebhook.Store) *host {
	h := &host{t: t, store: &flaky{Store: store}, doc: document(t), seen: map[string]bool{}}
	h.restart()
	return h
}

// restart makes a new dispatcher and a new API over the same store, as another process
// has them.
func (h *host) restart() { h.restartWith(alotwebhook.Config{}) }

func (h *host) restartWith(cfg alotwebhook.Config) {
	h.t.Helper()
	logger := slog.New(slog.DiscardHandler)
	cfg.Logger, cfg.AllowHTTP, cfg.AllowNets = logger, true, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	var err error
	h.dispatcher, err = alotwebhook.NewDispatcher(h.store, &cfg)
	require.NoError(h.t, err)
	h.handler, err = settings.NewAPI(h.dispatcher, &settings.Options{
		Organization: func(r *http.Request) (string, error) { return r.Header.Get("X-Organization"), nil },
		May:          func(r *http.Request, a settings.Action) bool { return r.Header.Get("X-Lacks") != string(a) },
		Logger:       logger,
	})
	require.NoError(h.t, err)
}

// run runs the dispatcher until the test ends.
func (h *host) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.dispatcher.Run(ctx) }()
	h.t.Cleanup(func() {
		cancel()
		require.NoError(h.t, <-done)
	})
}

// flaky is a store whose methods fail while broken is set, and that does not come to an end
// of discarding while endless is.
type flaky struct {
	alotwebhook.Store
	broken, endless atomic.Bool
}

// Unwrap lets the dispatcher find what else the store can do.
func (f *flaky) Unwrap() alotwebhook.Store { return f.Store }

func (f *flaky) Discard(ctx context.Context, endpointID string, before time.Time, limit int) (int, error) {
	if f.endless.Load() {
		return limit, f.err()
	}
	return f.Store.Discard(ctx, endpointID, before, limit)
}

var errBroken = errors.New("the database is gone")

func (f *flaky) err() error {
	if f.broken.Load() {
		return errBroken
	}
	return nil
}

func (f *flaky) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	if err := f.err(); err != nil {
		return alotwebhook.Endpoint{}, err
	}
	return f.Store.Endpoint(ctx, id)
}

func (f *flaky) Endpoints(ctx context.Context, filter alotwebhook.EndpointFilter) ([]alotwebhook.Endpoint, string, error) {
	if err := f.err(); err != nil {
		return nil, "", err
	}
	return f.Store.Endpoints(ctx, filter)
}

func (f *flaky) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	return errors.Join(f.err(), f.Store.PutEndpoint(ctx, e, ops...))
}

func (f *flaky) Operations(ctx context.Context, filter alotwebhook.OperationFilter) ([]alotwebhook.Operation, string, error) {
	if err := f.err(); err != nil {
		return nil, "", err
	}
	return f.Store.Operations(ctx, filter)
}

func (f *flaky) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	if err := f.err(); err != nil {
		return alotwebhook.Delivery{}, err
	}
	return f.Store.Delivery(ctx, id)
}

func (f *flaky) Deliveries(ctx context.Context, filter alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	if err := f.err(); err != nil {
		return nil, "", err
	}
	return f.Store.Deliveries(ctx, filter)
}

func (f *flaky) Feed(ctx context.Context, filter feed.Filter) (feed.Page, error) {
	if err := f.err(); err != nil {
		return feed.Page{}, err
	}
	return f.Store.(feed.Feeder).Feed(ctx, filter)
}

// reply is a response of the API, with its body as text and decoded.
type reply struct {
	status int
	header http.Header
	text   string
	json   map[string]any
}

// do sends a request and validates its response, which must have the status want. The
// organization is org_a, unless a header says otherwise; X-Lacks is the action that the
// request may not do. The headers are name and value in turn.
func (h *host) do(want int, method, target, body string, header ...string) reply {
	h.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("X-Organization", "org_a")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	require.Equal(h.t, want, w.Code, "%s %s: %s", method, target, w.Body)
	r.Body = io.NopCloser(strings.NewReader(body))
	if body == "" {
		r.Body = http.NoBody
	}
	got := reply{status: w.Code, header: w.Result().Header, text: w.Body.String()}
	route := operation(h.t, h.doc, method, r.URL.Path)
	validate(h.t, route, r, got.status, got.header, w.Body.Bytes())
	h.seen[fmt.Sprint(route.Operation.OperationID, " ", got.status)] = true
	if got.text != "" {
		got.json = decode(h.t, w.Body.Bytes()).(map[string]any)
	}
	return got
}

func decode(t testing.TB, body []byte) (v any) {
	t.Helper()
	require.NoError(t, json.NewDecoder(bytes.NewReader(body)).Decode(&v), "%s", body)
	return v
}

// str returns a string of the response, by its key.
func (r reply) str(key string) string {
	s, _ := r.json[key].(string)
	return s
}

// fields returns the fields that a problem names.
func (r reply) fields() (names []string) {
	errs, _ := r.json["errors"].([]any)
	for _, e := range errs {
		names = append(names, e.(map[string]any)["field"].(string))
	}
	return names
}

const published = `{"url": "https://yourapp.example.com/alot/webhook", "events": ["candidate.completed"], "secret": "your-signing-secret"}`

// create registers an endpoint and returns its path.
func (h *host) create(body string, header ...string) string {
	h.t.Helper()
	return "/v1/webhooks/" + h.do(201, "POST", "/v1/webhooks", body, header...).str("id")
}

// fail emits n events of org_a and makes their deliveries fail. It returns the ids of
// the events, oldest first.
func (h *host) fail(n int) (ids []string) {
	h.t.Helper()
	for range n {
		event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, "org_a", map[string]string{"candidateName": "Jane Smith"})
		require.NoError(h.t, err)
		require.NoError(h.t, h.dispatcher.Emit(h.t.Context(), event))
		ids = append(ids, event.ID)
	}
	for claimed := 0; claimed < n; {
		got, err := h.store.Claim(h.t.Context(), alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 100, Lease: time.Minute})
		require.NoError(h.t, err)
		require.NotEmpty(h.t, got.Deliveries)
		claimed += len(got.Deliveries)
		var outcomes []alotwebhook.Outcome
		for _, c := range got.Deliveries {
			outcomes = append(outcomes, alotwebhook.Outcome{
				DeliveryID: c.DeliveryID, Token: c.Token, State: alotwebhook.StateFailed,
				Attempt: alotwebhook.Attempt{
					Number: c.Attempt, StartedAt: time.Now(), Duration: 84 * time.Millisecond,
					StatusCode: 503, Reason: alotwebhook.ReasonStatus, Detail: "The endpoint answered 503.",
				},
			})
		}
		lost, err := h.store.Finish(h.t.Context(), outcomes)
		require.NoError(h.t, err)
		require.Empty(h.t, lost)
	}
	return ids
}

// wait reads a delivery or a recovery until it has the status.
func (h *host) wait(path, status string) reply {
	h.t.Helper()
	return h.waitFor(path, func(got reply) bool { return got.str("status") == status })
}

// waitFor reads until the thing is as wanted. It polls, as a client of the API has to.
func (h *host) waitFor(path string, wanted func(reply) bool) reply {
	h.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		got := h.do(200, "GET", path, "")
		if wanted(got) {
			return got
		}
		require.True(h.t, time.Now().Before(deadline), got.text)
	}
}
