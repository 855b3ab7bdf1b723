package alotwebhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
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

// request is a request as a fake receiver saw it.
type request struct {
	at   time.Time
	host string
	head http.Header
	body string
}

// receivers is a transport in memory that takes the place of all receivers. It remembers
// each request and passes it to respond; without respond the status is 204.
type receivers struct {
	mu      sync.Mutex
	seen    []request
	respond func(r *http.Request, n int) (*http.Response, error) // n counts the requests to a host, from 1
	byHost  map[string]int
}

func (f *receivers) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.seen = append(f.seen, request{at: time.Now(), host: r.URL.Host, head: r.Header.Clone(), body: string(body)})
	if f.byHost == nil {
		f.byHost = map[string]int{}
	}
	f.byHost[r.URL.Host]++
	n := f.byHost[r.URL.Host]
	f.mu.Unlock()
	if f.respond == nil {
		return status(http.StatusNoContent), nil
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	return f.respond(r, n)
}

func (f *receivers) requests() []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]request(nil), f.seen...)
}

func status(code int, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: code, Header: h, Body: http.NoBody}
}

// hang returns only when the attempt is given up.
func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// world is a dispatcher with its store and fake receivers.
type world struct {
	*alotwebhook.Dispatcher
	store alotwebhook.Store
	net   *receivers
}

func newWorld(t testing.TB, cfg alotwebhook.Config, net *receivers) *world {
	t.Helper()
	return newWorldOn(t, memory.New(), cfg, net)
}

func newWorldOn(t testing.TB, store alotwebhook.Store, cfg alotwebhook.Config, net *receivers) *world {
	t.Helper()
	cfg.WrapTransport = func(http.RoundTripper) http.RoundTripper { return net }
	if cfg.PollInterval == 0 {
		cfg.PollInterval = time.Minute // the tests let days pass, and must not poll all the time
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	d, err := alotwebhook.NewDispatcher(store, &cfg)
	require.NoError(t, err)
	return &world{Dispatcher: d, store: store, net: net}
}

// run starts the dispatcher. The returned function stops it, and fails the test unless
// Run returns nil.
func (w *world) run(t testing.TB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		require.NoError(t, <-ended)
	}
}

func (w *world) endpoint(t testing.TB, host string, types ...string) alotwebhook.Endpoint {
	t.Helper()
	if len(types) == 0 {
		types = []string{"candidate.completed"}
	}
	e, err := w.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_1", URL: "https://" + host + "/hook", EventTypes: types, Secret: "s3cret of " + alotwebhook.Secret(host),
	})
	require.NoError(t, err)
	return e
}

// endpointOf registers an endpoint of an organization.
func (w *world) endpointOf(t testing.TB, organization, host string) {
	t.Helper()
	_, err := w.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: organization, URL: "https://" + host + "/hook", EventTypes: []string{"candidate.completed"}, Secret: "a secret of some length",
	})
	require.NoError(t, err)
}

// emitTo emits an event of an organization.
func (w *world) emitTo(t testing.TB, organization string) alotwebhook.Event {
	t.Helper()
	event, err := alotwebhook.NewEvent("candidate.completed", organization, json.RawMessage(`{"score":82}`))
	require.NoError(t, err)
	require.NoError(t, w.Emit(t.Context(), event))
	return event
}

// bodyOf reads the body of a request.
func bodyOf(r *http.Request) []byte {
	body, _ := io.ReadAll(r.Body)
	return body
}

func newEvent(t testing.TB) alotwebhook.Event {
	t.Helper()
	e, err := alotwebhook.NewEvent("candidate.completed", "org_1", json.RawMessage(`{"score":82}`))
	require.NoError(t, err)
	return e
}

func (w *world) emit(t testing.TB) alotwebhook.Event {
	t.Helper()
	e := newEvent(t)
	require.NoError(t, w.Emit(t.Context(), e))
	return e
}

func (w *world) delivery(t testing.TB, event alotwebhook.Event, endpoint alotwebhook.Endpoint) alotwebhook.Delivery {
	t.Helper()
	d, err := w.Delivery(t.Context(), alotwebhook.DeliveryID(event.ID, endpoint.ID))
	require.NoError(t, err)
	return d
}

func TestDeliver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{}, &receivers{})
		endpoint := w.endpoint(t, "a.example.com")
		w.endpoint(t, "b.example.com", "candidate.invited")
		defer w.run(t)()
		event := w.emit(t)
		synctest.Wait()

		require.Len(t, w.net.requests(), 1, "only the endpoint that subscribed gets the event")
		r := w.net.requests()[0]
		require.Equal(t, "a.example.com", r.host)
		require.Equal(t, string(event.Payload()), r.body)
		require.Equal(t, "application/json", r.head.Get("Content-Type"))
		require.Equal(t, "candidate.completed", r.head.Get("X-Alot-Event"))
		require.Equal(t, alotwebhook.DeliveryID(event.ID, endpoint.ID), r.head.Get("X-Alot-Delivery"))
		require.Equal(t, "1", r.head.Get("X-Alot-Attempt"))
		require.Equal(t, "alotwebhook/1", r.head.Get("User-Agent"))
		require.NoError(t, alotwebhook.Verify([]byte(r.body), r.head.Get(alotwebhook.SignatureHeader), "s3cret of a.example.com"))

		time.Sleep(10 * time.Millisecond) // until the outcome is stored
		d := w.delivery(t, event, endpoint)
		require.Equal(t, alotwebhook.StateDelivered, d.State)
		require.Len(t, d.Attempts, 1)
		require.Equal(t, http.StatusNoContent, d.Attempts[0].StatusCode)
		require.Empty(t, d.Attempts[0].Reason)
	})
}

func TestEmitTwiceDeliversOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{}, &receivers{})
		w.endpoint(t, "a.example.com")
		defer w.run(t)()
		event := w.emit(t)
		require.NoError(t, w.Emit(t.Context(), event, event))
		time.Sleep(time.Hour)
		require.NoError(t, w.Emit(t.Context(), event))
		time.Sleep(time.Hour)
		require.Len(t, w.net.requests(), 1)
	})
}

// An event that this process emits is delivered at once, without waiting for a poll.
func TestEmitWakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{}, &receivers{})
		w.endpoint(t, "a.example.com")
		defer w.run(t)()
		time.Sleep(time.Hour)
		start := time.Now()
		w.emit(t)
		synctest.Wait()
		require.Len(t, w.net.requests(), 1)
		require.Equal(t, start, w.net.requests()[0].at)
	})
}

// transaction is an Enqueuer that stores its events when it is committed.
type transaction struct {
	store  alotwebhook.Store
	events []alotwebhook.Event
}

func (tx *transaction) Enqueue(_ context.Context, events []alotwebhook.Event) error {
	tx.events = append(tx.events, events...)
	return nil
}

func (tx *transaction) commit(t testing.TB) {
	require.NoError(t, tx.store.Enqueue(t.Context(), tx.events))
}

// A store stores outside every transaction, whatever becomes of the host's.
func TestEmitToRefusesWhatIsNoTransaction(t *testing.T) {
	t.Parallel()
	store := memory.New()
	d, err := alotwebhook.NewDispatcher(store, nil)
	require.NoError(t, err)
	for name, q := range map[string]alotwebhook.Enqueuer{
		"the dispatcher's store": store,
		"another store":          memory.New(),
		"a store in a wrapper":   struct{ alotwebhook.Store }{store},
		"nil":                    nil,
		"a nil store":            (*memory.Store)(nil),
		"a nil transaction":      (*transaction)(nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event := newEvent(t)
			err := d.EmitTo(t.Context(), q, event)
			requireField(t, err, "q")
			require.ErrorContains(t, err, "store.Tx(tx)")
			require.ErrorIs(t, d.EmitTo(t.Context(), q), alotwebhook.ErrInvalid, "also without an event")
			_, err = d.Event(t.Context(), event.ID)
			require.ErrorIs(t, err, alotwebhook.ErrNotFound)
		})
	}
}

func TestEmitToIsSentSoonAfterTheCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{}, &receivers{})
		w.endpoint(t, "a.example.com")
		defer w.run(t)()
		tx := &transaction{store: w.store}
		require.NoError(t, w.EmitTo(t.Context(), tx, newEvent(t)))
		time.Sleep(20 * time.Millisecond)
		require.Empty(t, w.net.requests())
		tx.commit(t)
		committed := time.Now()
		time.Sleep(time.Second)
		require.Len(t, w.net.requests(), 1)
		require.Less(t, w.net.requests()[0].at.Sub(committed), 50*time.Millisecond)

		rolledBack := &transaction{store: w.store}
		require.NoError(t, w.EmitTo(t.Context(), rolledBack, newEvent(t)))
		time.Sleep(time.Hour)
		require.Len(t, w.net.requests(), 1)
	})
}

// What else is sent between EmitTo and the commit says nothing about the commit.
func TestEmitToIsSentSoonAmongOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{}, &receivers{})
		w.endpoint(t, "a.example.com")
		w.endpointOf(t, "org_2", "b.example.com")
		defer w.run(t)()
		tx := &transaction{store: w.store}
		require.NoError(t, w.EmitTo(t.Context(), tx, newEvent(t)))
		for range 20 {
			time.Sleep(time.Millisecond)
			w.emitTo(t, "org_2")
		}
		time.Sleep(10 * time.Millisecond)
		tx.commit(t)
		committed := time.Now()
		time.Sleep(time.Minute)
		all := w.net.requests()
		require.Len(t, all, 21)
		require.Equal(t, "a.example.com", all[20].host)
		require.Less(t, all[20].at.Sub(committed), 50*time.Millisecond)
	})
}

func TestEmitRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alotwebhook.Config{MaxPayload: 2048}, &receivers{})
	valid := newEvent(t)
	for name, c := range map[string]struct {
		change func(*alotwebhook.Event)
		field  string
	}{
		"no type":           {func(e *alotwebhook.Event) { e.Type = "" }, "type"},
		"unknown type":      {func(e *alotwebhook.Event) { e.Type = "candidate.hired" }, "type"},
		"no organization":   {func(e *alotwebhook.Event) { e.OrganizationID = "" }, "organizationId"},
		"long organization": {func(e *alotwebhook.Event) { e.OrganizationID = strings.Repeat("o", 256) }, "organizationId"},
		"organization CRLF": {func(e *alotwebhook.Event) { e.OrganizationID = "org\r\n1" }, "organizationId"},
		"no data":           {func(e *alotwebhook.Event) { e.Data = nil }, "data"},
		"data not JSON":     {func(e *alotwebhook.Event) { e.Data = json.RawMessage(`{"a":}`) }, "data"},
		"two values":        {func(e *alotwebhook.Event) { e.Data = json.RawMessage(`{} {}`) }, "data"},
		"data not UTF-8":    {func(e *alotwebhook.Event) { e.Data = json.RawMessage("\"\xff\"") }, "data"},
		"too large":         {func(e *alotwebhook.Event) { e.Data = json.RawMessage(`"` + strings.Repeat("x", 2048) + `"`) }, "data"},
		"no id":             {func(e *alotwebhook.Event) { e.ID = "" }, "id"},
		"foreign id":        {func(e *alotwebhook.Event) { e.ID = "msg_" + e.ID[4:] }, "id"},
		"short id":          {func(e *alotwebhook.Event) { e.ID = e.ID[:20] }, "id"},
		"upper-case id":     {func(e *alotwebhook.Event) { e.ID = "evt_" + strings.ToUpper(e.ID[4:]) }, "id"},
		"id not a UUIDv7":   {func(e *alotwebhook.Event) { e.ID = "evt_00000000000000000000000000" }, "id"},
		"no timestamp":      {func(e *alotwebhook.Event) { e.Timestamp = time.Time{} }, "timestamp"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := valid
			c.change(&bad)
			err := w.Emit(t.Context(), bad)
			var field *alotwebhook.FieldError
			require.ErrorAs(t, err, &field)
			require.Equal(t, c.field, field.Field)
			require.ErrorIs(t, err, alotwebhook.ErrInvalid)
			require.NotContains(t, err.Error(), "xxxx", "no payload in an error")

			good := newEvent(t)
			err = w.Emit(t.Context(), good, bad)
			require.ErrorContains(t, err, "events[1]."+c.field)
			_, err = w.Event(t.Context(), good.ID)
			require.ErrorIs(t, err, alotwebhook.ErrNotFound, "nothing of a refused batch is stored")
		})
	}
	require.NoError(t, w.Emit(t.Context()), "nothing to emit is no error")
}

func TestRunEndsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{}, &receivers{})
		stop := w.run(t)
		synctest.Wait()
		require.ErrorIs(t, w.Run(t.Context()), alotwebhook.ErrDispatcherClosed)
		stop()
		require.ErrorIs(t, w.Run(t.Context()), alotwebhook.ErrDispatcherClosed)
		for range 20 {
			canceled, cancel := context.WithCancel(t.Context())
			cancel()
			require.NoError(t, w.Shutdown(canceled), "nothing was cut off")
		}

		idle := newWorld(t, alotwebhook.Config{}, &receivers{})
		require.NoError(t, idle.Shutdown(t.Context()))
		require.ErrorIs(t, idle.Run(t.Context()), alotwebhook.ErrDispatcherClosed)
		idle.emit(t) // it can still store events, for other processes
	})
}

// endingStore waits in its helpers' calls until they are cut off, as a database does that is
// slow while a run ends. It also counts the claims that are made after an end.
type endingStore struct {
	alotwebhook.Store
	alotwebhook.Tallier
	waiting chan string
	ended   atomic.Bool
	late    atomic.Int64
}

func (s *endingStore) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	if s.ended.Load() {
		s.late.Add(1)
	}
	return s.Store.Claim(ctx, c)
}

func (s *endingStore) wait(ctx context.Context, call string) error {
	if s.waiting == nil {
		return nil
	}
	s.waiting <- call
	<-ctx.Done()
	return fmt.Errorf("statement: %w", ctx.Err())
}

func (s *endingStore) Recoveries(ctx context.Context, f alotwebhook.RecoveryFilter) ([]alotwebhook.Recovery, string, error) {
	if err := s.wait(ctx, "recoveries"); err != nil {
		return nil, "", err
	}
	return s.Store.Recoveries(ctx, f)
}

func (s *endingStore) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	if err := s.wait(ctx, "purge"); err != nil {
		return alotwebhook.PurgeResult{}, err
	}
	return s.Store.Purge(ctx, p)
}

func (s *endingStore) Notify() {}

func (s *endingStore) Listen(ctx context.Context, _ func()) error { return s.wait(ctx, "listen") }

// A call of the store that the end of a run cuts off is no failure of the store, and nothing
// in the log says so.
func TestTheEndOfARunIsNoFailureOfTheStore(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *world, context.CancelFunc){
		"Run's context": func(_ *testing.T, _ *world, cancel context.CancelFunc) { cancel() },
		"Shutdown":      func(t *testing.T, w *world, _ context.CancelFunc) { require.NoError(t, w.Shutdown(t.Context())) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log lockedBuffer
				m := memory.New()
				store := &endingStore{Store: m, Tallier: m, waiting: make(chan string, 10)}
				w := newWorldOn(t, store, alotwebhook.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, &receivers{})
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				ended := make(chan error, 1)
				go func() { ended <- w.Run(ctx) }()
				time.Sleep(2 * time.Hour) // until all of them wait
				end(t, w, cancel)
				require.NoError(t, <-ended)
				close(store.waiting)
				var waited []string
				for call := range store.waiting {
					waited = append(waited, call)
				}
				require.ElementsMatch(t, []string{"recoveries", "purge", "listen"}, waited)
				require.Empty(t, log.String())
			})
		})
	}
}

// Run and Shutdown that meet: either Run does nothing, or Shutdown waits for its end. No
// claim is made after Shutdown has returned.
func TestRunAndShutdownAtOnce(t *testing.T) {
	t.Parallel()
	for range 2000 {
		m := memory.New()
		store := &endingStore{Store: m, Tallier: m}
		w := newWorldOn(t, store, alotwebhook.Config{}, &receivers{})
		begin, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			<-begin
			ended <- w.Run(context.Background())
		}()
		close(begin)
		require.NoError(t, w.Shutdown(t.Context()))
		store.ended.Store(true)
		if err := <-ended; err != nil {
			require.ErrorIs(t, err, alotwebhook.ErrDispatcherClosed)
		}
		require.Zero(t, store.late.Load())
	}
}

// slowly responds with 204 after d.
func slowly(d time.Duration) func(*http.Request, int) (*http.Response, error) {
	return func(r *http.Request, _ int) (*http.Response, error) {
		select {
		case <-time.After(d):
			return status(http.StatusNoContent), nil
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

func TestShutdownLetsAttemptsFinish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{}, &receivers{respond: slowly(10 * time.Second)})
		endpoint := w.endpoint(t, "a.example.com")
		ended := make(chan error, 1)
		go func() { ended <- w.Run(t.Context()) }()
		event := w.emit(t)
		synctest.Wait()
		require.NoError(t, w.Shutdown(t.Context()))
		require.NoError(t, <-ended)
		require.Equal(t, alotwebhook.StateDelivered, w.delivery(t, event, endpoint).State)
	})
}

// The function that is told of an operation may end the process. Attempts finish all the same.
func TestShutdownInOnOperation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var w *world
		w = newWorld(t, alotwebhook.Config{
			OnOperation: func(ctx context.Context, _ alotwebhook.Operation) error { return w.Shutdown(ctx) },
		}, &receivers{respond: slowly(10 * time.Second)})
		endpoint := w.endpoint(t, "a.example.com")
		event := w.emit(t)
		began := time.Now()
		require.NoError(t, w.Run(t.Context()))
		require.Less(t, time.Since(began), 11*time.Second)
		d := w.delivery(t, event, endpoint)
		require.Equal(t, 1, len(w.net.requests()))
		require.Equal(t, alotwebhook.StateDelivered, d.State)
		ops, err := w.store.ClaimOperations(t.Context(), 1, time.Minute)
		require.NoError(t, err)
		require.Empty(t, ops, "it was taken")
	})
}

// A delivery whose attempt is cut off by the end of a run is released: other processes can
// send it at once, and the attempt is not counted.
func TestAttemptThatIsCutOffIsNotCounted(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *world, context.CancelFunc){
		"Run's context": func(_ *testing.T, _ *world, cancel context.CancelFunc) { cancel() },
		"Shutdown's context": func(t *testing.T, w *world, _ context.CancelFunc) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, w.Shutdown(ctx), context.DeadlineExceeded)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				net := &receivers{respond: slowly(10 * time.Second)}
				w := newWorld(t, alotwebhook.Config{ShutdownTimeout: time.Second}, net)
				endpoint := w.endpoint(t, "a.example.com")
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				ended := make(chan error, 1)
				go func() { ended <- w.Run(ctx) }()
				event := w.emit(t)
				synctest.Wait()
				end(t, w, cancel)
				require.NoError(t, <-ended)
				d := w.delivery(t, event, endpoint)
				require.Equal(t, alotwebhook.StatePending, d.State)
				require.Zero(t, d.AttemptCount)

				other := newWorldOn(t, w.store, alotwebhook.Config{}, net)
				start := time.Now()
				defer other.run(t)()
				time.Sleep(time.Second)
				require.Len(t, net.requests(), 2)
				require.Equal(t, start, net.requests()[1].at, "released, not left to its lease")
				require.Equal(t, "1", net.requests()[1].head.Get("X-Alot-Attempt"))
				time.Sleep(time.Minute)
			})
		})
	}
}

func TestIdleDispatcherLeaksNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // synctest fails if a goroutine is left
		w := newWorld(t, alotwebhook.Config{}, &receivers{})
		w.endpoint(t, "a.example.com")
		stop := w.run(t)
		for range 100 {
			w.emit(t)
		}
		time.Sleep(24 * time.Hour)
		stop()
	})
}

// wire is a store that is a Notifier. Its first calls of Listen fail.
type wire struct {
	alotwebhook.Store
	words chan struct{}
	fails int
}

func (w *wire) Notify() { w.words <- struct{}{} }

func (w *wire) Listen(ctx context.Context, heard func()) error {
	if w.fails--; w.fails >= 0 {
		return errDown
	}
	for {
		heard()
		select {
		case <-w.words:
		case <-ctx.Done():
			return nil
		}
	}
}

// A process hears of an emit in another process at once. It does so even after Listen has
// failed, and logs the beginning and the end of that failure.
func TestNotifierWakesOtherProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &wire{Store: memory.New(), words: make(chan struct{}, 10), fails: 3}
		var mu sync.Mutex
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&lockedWriter{mu: &mu, w: &log}, nil))
		emitting := newWorldOn(t, store, alotwebhook.Config{}, &receivers{})
		delivering := newWorldOn(t, store, alotwebhook.Config{Logger: logger}, &receivers{})
		emitting.endpoint(t, "a.example.com")
		defer delivering.run(t)()
		time.Sleep(90*time.Second + 7*time.Millisecond) // not at the time of a poll
		emitted := time.Now()
		emitting.emit(t)
		time.Sleep(time.Minute)
		require.Len(t, delivering.net.requests(), 1)
		require.Equal(t, emitted, delivering.net.requests()[0].at)
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, 1, strings.Count(log.String(), "the store fails"), log.String())
		require.Equal(t, 1, strings.Count(log.String(), "has recovered"), log.String())
	})
}
