package health_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/health"
	"github.com/alot/alotwebhook/store/memory"
)

// ill is a store that fails, or does not return, as the test says.
type ill struct {
	alotwebhook.Store
	fails atomic.Bool
	hangs atomic.Pointer[chan struct{}]
	asked atomic.Int64
}

func (s *ill) err() error {
	if c := s.hangs.Load(); c != nil {
		<-*c
	}
	if s.fails.Load() {
		return errors.New("password of db.internal.invalid is wrong")
	}
	return nil
}

func (s *ill) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	if err := s.err(); err != nil {
		return alotwebhook.ClaimResult{}, err
	}
	return s.Store.Claim(ctx, c)
}

func (s *ill) Finish(ctx context.Context, o []alotwebhook.Outcome) ([]string, error) {
	if err := s.err(); err != nil {
		return nil, err
	}
	return s.Store.Finish(ctx, o)
}

func (s *ill) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	s.asked.Add(1)
	if err := s.err(); err != nil {
		return alotwebhook.Endpoint{}, err
	}
	return s.Store.Endpoint(ctx, id)
}

// Unwrap leads to what the store can do besides, which never fails.
func (s *ill) Unwrap() alotwebhook.Store { return s.Store }

// process is a dispatcher over an ill store, with its handlers.
type process struct {
	*alotwebhook.Dispatcher
	store       *ill
	live, ready http.Handler
}

func newProcess(t *testing.T, opts *health.Options) *process {
	t.Helper()
	p := &process{store: &ill{Store: memory.New()}}
	var err error
	p.Dispatcher, err = alotwebhook.NewDispatcher(p.store, &alotwebhook.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	p.live, p.ready = health.Live(p.Dispatcher), health.Ready(p.Dispatcher, opts)
	return p
}

func (p *process) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	return func() { cancel(); <-ended }
}

// answer is what a handler responds with.
type answer struct {
	code              int
	Status, Problem   string
	Proxy             string
	Running           bool
	ClaimedSecondsAgo *float64
	StuckSeconds      float64
}

func ask(t *testing.T, h http.Handler) (a answer) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a))
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.NotContains(t, w.Body.String(), "db.internal.invalid", "the store's error is for the log")
	a.code = w.Code
	return a
}

func TestIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, nil)
		require.Equal(t, http.StatusOK, ask(t, p.live).code)
		before := ask(t, p.ready)
		require.Equal(t, http.StatusServiceUnavailable, before.code)
		require.Contains(t, before.Problem, "Run does not run")
		stop := p.run()
		time.Sleep(time.Hour)
		a := ask(t, p.ready)
		require.Equal(t, http.StatusOK, a.code)
		require.Equal(t, "ok", a.Status)
		require.True(t, a.Running)
		require.Less(t, *a.ClaimedSecondsAgo, 1.0)
		stop()
		require.Equal(t, http.StatusServiceUnavailable, ask(t, p.ready).code, "it has ended")
		require.Equal(t, http.StatusOK, ask(t, p.live).code)
	})
}

// The host's proxy is no reason to take the process, with its pages, out of use.
func TestProxyThatFails(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	p := &process{store: &ill{Store: memory.New()}}
	p.Dispatcher, err = alotwebhook.NewDispatcher(p.store, &alotwebhook.Config{
		Logger: slog.New(slog.DiscardHandler), Proxy: &alotwebhook.Proxy{URL: &url.URL{Scheme: "http", Host: closed.Addr().String()}, Resolves: true},
	})
	require.NoError(t, err)
	p.live, p.ready = health.Live(p.Dispatcher), health.Ready(p.Dispatcher, nil)
	_, err = p.CreateEndpoint(t.Context(), alotwebhook.Endpoint{OrganizationID: "org_1", URL: "https://example.com/", EventTypes: []string{alotwebhook.EventCandidateInvited}})
	require.NoError(t, err)
	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateInvited, "org_1", map[string]string{})
	require.NoError(t, err)
	require.NoError(t, p.Emit(t.Context(), event))
	defer p.run()()
	a := ask(t, p.ready)
	for a.Proxy == "" {
		time.Sleep(10 * time.Millisecond)
		a = ask(t, p.ready)
	}
	require.Equal(t, "proxy_unreachable", a.Proxy)
	require.Equal(t, http.StatusOK, a.code)
	require.Equal(t, http.StatusOK, ask(t, p.live).code)
}

func TestStoreThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, nil)
		stop := p.run()
		p.store.fails.Store(true)
		time.Sleep(time.Minute)
		a := ask(t, p.ready)
		require.Equal(t, http.StatusServiceUnavailable, a.code)
		require.Contains(t, a.Problem, "claim failed")
		require.Equal(t, http.StatusOK, ask(t, p.live).code, "a restart would not help")
		p.store.fails.Store(false)
		time.Sleep(time.Minute)
		require.Equal(t, http.StatusOK, ask(t, p.ready).code)
		stop()
	})
}

func TestStoreThatFailsAProcessThatOnlyEmits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, &health.Options{EmitOnly: true})
		require.Equal(t, http.StatusOK, ask(t, p.ready).code)
		p.store.fails.Store(true)
		a := ask(t, p.ready)
		require.Equal(t, http.StatusServiceUnavailable, a.code)
		require.Contains(t, a.Problem, "does not answer")
	})
}

// Orchestrator and load balancer may ask at the same time. One that gives up is no answer to the other.
func TestProbesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, &health.Options{EmitOnly: true, Timeout: time.Second})
		release := make(chan struct{})
		p.store.hangs.Store(&release)
		gone, leave := context.WithCancel(t.Context())
		left := make(chan int, 1)
		go func() {
			w := httptest.NewRecorder()
			p.ready.ServeHTTP(w, httptest.NewRequestWithContext(gone, http.MethodGet, "/", nil))
			left <- w.Code
		}()
		synctest.Wait()
		answers := make(chan answer, 3)
		for range cap(answers) {
			go func() { answers <- ask(t, p.ready) }()
		}
		synctest.Wait()
		leave()
		require.Equal(t, http.StatusServiceUnavailable, <-left)
		time.Sleep(time.Second / 2)
		close(release)
		for range cap(answers) {
			require.Equal(t, http.StatusOK, (<-answers).code)
		}
		require.EqualValues(t, 1, p.store.asked.Load())
		p.store.hangs.Store(nil)
		require.Equal(t, http.StatusOK, ask(t, p.ready).code)
		require.EqualValues(t, 2, p.store.asked.Load())
	})
}

// Whoever pauses everything while the store fails is not told of that failure until somebody resumes.
func TestPauseAfterAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, nil)
		defer p.run()()
		p.store.fails.Store(true)
		time.Sleep(time.Minute)
		require.Contains(t, ask(t, p.ready).Problem, "claim failed")
		_, err := p.Pause(t.Context(), alotwebhook.Pause{})
		require.NoError(t, err)
		p.store.fails.Store(false)
		time.Sleep(time.Minute)
		a := ask(t, p.ready)
		require.Equal(t, http.StatusOK, a.code)
		require.Less(t, *a.ClaimedSecondsAgo, 1.0, "the claimer is at work")
		require.Zero(t, p.Health().ClaimError)
	})
}

// unreadable is a store that tells nobody what is paused.
type unreadable struct{ *memory.Store }

func (unreadable) Pauses(context.Context) ([]alotwebhook.Pause, error) {
	return nil, errors.New("permission denied")
}

func TestPausesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, err := alotwebhook.NewDispatcher(unreadable{memory.New()}, &alotwebhook.Config{Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		p := &process{Dispatcher: d, ready: health.Ready(d, nil)}
		stop := p.run()
		time.Sleep(time.Minute)
		require.Contains(t, ask(t, p.ready).Problem, "claim failed")
		require.ErrorContains(t, p.Health().ClaimError, "permission denied")
		stop()
	})
}

func TestStoreThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, &health.Options{Timeout: time.Second})
		stop := p.run()
		time.Sleep(time.Second)
		release := make(chan struct{})
		p.store.hangs.Store(&release)
		asked, began := p.store.asked.Load(), time.Now()
		for range 5 {
			require.Equal(t, http.StatusServiceUnavailable, ask(t, p.ready).code)
		}
		require.Equal(t, time.Second, time.Since(began), "the first waits, the others see that it does")
		require.EqualValues(t, 1, p.store.asked.Load()-asked, "no question is put onto the others")
		time.Sleep(8 * time.Second)
		require.Equal(t, http.StatusOK, ask(t, p.live).code, "a claim may take as long")
		time.Sleep(time.Minute)
		a := ask(t, p.live)
		require.Equal(t, http.StatusServiceUnavailable, a.code)
		require.Contains(t, a.Problem, "stuck")
		require.Greater(t, a.StuckSeconds, 60.0)
		p.store.hangs.Store(nil)
		close(release)
		time.Sleep(time.Second)
		require.Equal(t, http.StatusOK, ask(t, p.live).code)
		require.Equal(t, http.StatusOK, ask(t, p.ready).code)
		stop()
	})
}

func TestMethods(t *testing.T) {
	t.Parallel()
	p := newProcess(t, nil)
	for method, code := range map[string]int{http.MethodHead: http.StatusOK, http.MethodPost: http.StatusMethodNotAllowed, http.MethodDelete: http.StatusMethodNotAllowed} {
		w := httptest.NewRecorder()
		p.live.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/", nil))
		require.Equal(t, code, w.Code, method)
	}
}
