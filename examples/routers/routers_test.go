package routers_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
	"github.com/alot/alotwebhook/examples/routers"
	"github.com/alot/alotwebhook/webhooktest"
)

const secret alotwebhook.Secret = "your-signing-secret"

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode) // otherwise gin prints its routes
	os.Exit(m.Run())
}

var all = map[string]func(*routers.Service) http.Handler{
	"net/http": routers.Mux, "chi": routers.Chi, "gin": routers.Gin, "echo": routers.Echo, "echo v5": routers.Echo5,
}

// acts counts how often each event was handled.
type acts struct {
	mu   sync.Mutex
	seen map[string]int
	fail error
}

func (a *acts) act(_ context.Context, e alotwebhook.Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fail != nil {
		return a.fail
	}
	a.seen[e.ID]++
	return nil
}

func (a *acts) times(id string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen[id]
}

func newReceiver(t *testing.T, cfg alotwebhook.ReceiverConfig) *alotwebhook.Receiver {
	t.Helper()
	v, err := alotwebhook.NewVerifier(secret)
	require.NoError(t, err)
	cfg.Logger = slog.New(slog.DiscardHandler)
	return alotwebhook.NewReceiver(v, &cfg)
}

func newService(t *testing.T, cfg alotwebhook.ReceiverConfig) (*routers.Service, *acts) {
	t.Helper()
	a := &acts{seen: map[string]int{}}
	return &routers.Service{Receiver: newReceiver(t, cfg), Handled: dedupe.NewMemory(nil), Act: a.act}, a
}

func onEach(t *testing.T, test func(t *testing.T, router func(*routers.Service) http.Handler)) {
	t.Helper()
	for name, router := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, router)
		})
	}
}

func TestBattery(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, router func(*routers.Service) http.Handler) {
		s, a := newService(t, alotwebhook.ReceiverConfig{})
		webhooktest.Battery{Secret: secret, Handled: a.times}.CheckReceiver(t, router(s))
	})
}

func TestBatteryOverHTTP(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, router func(*routers.Service) http.Handler) {
		s, a := newService(t, alotwebhook.ReceiverConfig{})
		server := httptest.NewServer(router(s))
		t.Cleanup(server.Close)
		for _, f := range (webhooktest.Battery{Secret: secret, URL: server.URL + routers.Path, Handled: a.times}).Check(t.Context(), server.Client().Do) {
			require.True(t, f.OK(), f)
		}
	})
}

func TestAFailedEventIsHandledWhenItComesAgain(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, router func(*routers.Service) http.Handler) {
		s, a := newService(t, alotwebhook.ReceiverConfig{})
		h := router(s)
		e := webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, nil)
		for _, c := range []struct {
			fail   error
			status int
		}{{errors.New("broken"), 500}, {alotwebhook.RetryAfter(errors.New("later"), time.Minute), 503}, {nil, 200}, {errors.New("not asked"), 200}} {
			a.fail = c.fail
			w := httptest.NewRecorder()
			h.ServeHTTP(w, webhooktest.NewRequest(t, routers.Path, e, secret))
			require.Equal(t, c.status, w.Code)
		}
		require.Equal(t, 1, a.times(e.ID))
	})
}

// BodyTimeout works with each router's own ResponseWriter.
func TestBodyTimeout(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, router func(*routers.Service) http.Handler) {
		s, _ := newService(t, alotwebhook.ReceiverConfig{BodyTimeout: 50 * time.Millisecond})
		server := httptest.NewServer(router(s))
		t.Cleanup(server.Close)
		e := webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, nil)
		r := webhooktest.NewRequest(t, server.URL+routers.Path, e, secret)
		body, rest := io.Pipe() // the body never ends
		t.Cleanup(func() { require.NoError(t, rest.Close()) })
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(e.Payload()[:10]), body))
		resp, err := server.Client().Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusRequestTimeout, resp.StatusCode)
	})
}

// A router's own handler reads the bytes that were signed, also through the router's JSON
// binding.
func TestHandlersReadTheSameBytes(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t, alotwebhook.ReceiverConfig{})
	e := webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, nil)
	var bound struct{ ID string }

	g := gin.New()
	g.POST(routers.Path, func(c *gin.Context) {
		receiver.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			c.Request = r
			require.NoError(t, c.ShouldBindJSON(&bound))
		})).ServeHTTP(c.Writer, c.Request)
	})
	g.ServeHTTP(httptest.NewRecorder(), webhooktest.NewRequest(t, routers.Path, e, secret))
	require.Equal(t, e.ID, bound.ID)

	var body []byte
	ec := echo.New()
	ec.POST(routers.Path, func(c echo.Context) (err error) {
		body, err = io.ReadAll(c.Request().Body)
		return err
	}, echo.WrapMiddleware(receiver.Middleware))
	ec.ServeHTTP(httptest.NewRecorder(), webhooktest.NewRequest(t, routers.Path, e, secret))
	require.Equal(t, string(e.Payload()), string(body))
}

// A Receiver is mounted without its Middleware, as the comments say.
func TestReceiverAlone(t *testing.T) {
	t.Parallel()
	a := &acts{seen: map[string]int{}}
	receiver := newReceiver(t, alotwebhook.ReceiverConfig{Deduper: dedupe.NewMemory(nil)})
	alotwebhook.On(receiver, alotwebhook.EventCandidateCompleted, func(ctx context.Context, e alotwebhook.Event, _ alotwebhook.CandidateCompleted) error {
		return a.act(ctx, e)
	})
	g := gin.New()
	g.Any(routers.Path, gin.WrapH(receiver))
	ec := echo.New()
	ec.Any(routers.Path, echo.WrapHandler(receiver))
	for name, h := range map[string]http.Handler{"gin": g, "echo": ec} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			webhooktest.Battery{Secret: secret, Handled: a.times}.CheckReceiver(t, h)
		})
	}
}
