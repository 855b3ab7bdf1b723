package alotwebhook_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
	"github.com/alot/alotwebhook/internal/proxytest"
	"github.com/alot/alotwebhook/store/memory"
)

// brokenSealer panics with what it was given.
type brokenSealer struct{ seals, opens atomic.Bool }

func (s *brokenSealer) Seal(_ string, secret alotwebhook.Secret) (alotwebhook.Secret, error) {
	if s.seals.Load() {
		panic(string(secret))
	}
	return secret, nil
}

func (s *brokenSealer) Open(_ string, sealed alotwebhook.Secret) (alotwebhook.Secret, error) {
	if s.opens.Load() {
		panic(string(sealed))
	}
	return sealed, nil
}

// requirePanicLogged fails unless the log has the panic once with its stack, and nothing of its value.
func requirePanicLogged(t *testing.T, log, what, value string) {
	t.Helper()
	require.Equal(t, 1, strings.Count(log, what+" panicked\""), log)
	require.Contains(t, log, "panic_test.go", "the stack")
	require.NotContains(t, log, value)
}

// A panic of a goroutine of the dispatcher's would end the host's whole process.
func TestPanicsOfAnAttemptFailItAlone(t *testing.T) {
	t.Parallel()
	once := func() func() bool {
		var n atomic.Int64
		return func() bool { return n.Add(1) == 1 }
	}
	for name, c := range map[string]struct {
		set  func(cfg *alotwebhook.Config, net *receivers)
		what string
	}{
		"transport": {func(_ *alotwebhook.Config, net *receivers) {
			first := once()
			net.respond = func(*http.Request, int) (*http.Response, error) {
				if first() {
					panic("a payload")
				}
				return status(http.StatusNoContent), nil
			}
		}, "Config.WrapTransport"},
		"transport that aborts": {func(_ *alotwebhook.Config, net *receivers) {
			first := once()
			net.respond = func(*http.Request, int) (*http.Response, error) {
				if first() {
					panic(http.ErrAbortHandler)
				}
				return status(http.StatusNoContent), nil
			}
		}, "Config.WrapTransport"},
		"transport that ends its goroutine": {func(_ *alotwebhook.Config, net *receivers) {
			first := once()
			net.respond = func(*http.Request, int) (*http.Response, error) {
				if first() {
					runtime.Goexit()
				}
				return status(http.StatusNoContent), nil
			}
		}, "Config.WrapTransport"},
		"schedule that ends its goroutine": {func(cfg *alotwebhook.Config, net *receivers) {
			var calls atomic.Int64
			cfg.Retry = func() backoff.BackOff {
				if calls.Add(1) == 2 { // the first is that of NewDispatcher
					runtime.Goexit()
				}
				return backoff.NewConstantBackOff(time.Second)
			}
			first := once()
			net.respond = func(*http.Request, int) (*http.Response, error) {
				if first() {
					return status(http.StatusInternalServerError), nil
				}
				return status(http.StatusNoContent), nil
			}
		}, "Config.Retry"},
		"schedule": {func(cfg *alotwebhook.Config, net *receivers) {
			var calls atomic.Int64
			cfg.Retry = func() backoff.BackOff {
				if calls.Add(1) == 2 { // the first is that of NewDispatcher
					panic("a payload")
				}
				return backoff.NewConstantBackOff(time.Second)
			}
			first := once()
			net.respond = func(*http.Request, int) (*http.Response, error) {
				if first() {
					return status(http.StatusInternalServerError), nil
				}
				return status(http.StatusNoContent), nil
			}
		}, "Config.Retry"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log lockedBuffer
				net := &receivers{}
				cfg := alotwebhook.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}
				c.set(&cfg, net)
				w := newWorld(t, cfg, net)
				e := w.endpoint(t, "a.test")
				stop := w.run(t)
				event := w.emit(t)
				time.Sleep(time.Hour)
				stop()
				d := w.delivery(t, event, e)
				require.Equal(t, alotwebhook.StateDelivered, d.State)
				require.Len(t, d.Attempts, 2)
				require.NotEmpty(t, d.Attempts[0].Reason)
				require.NotContains(t, d.Attempts[0].Detail, "a payload")
				requirePanicLogged(t, log.String(), c.what, "a payload")
			})
		})
	}
}

// A function may end its goroutine, as the FailNow of a test does. The others must be called yet.
func TestObserversAndOperationsOutliveTheirGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		var claims, told atomic.Int64
		w := newWorld(t, alotwebhook.Config{
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Observer: &alotwebhook.Observer{Claimed: func(alotwebhook.ClaimReport) {
				if claims.Add(1) == 1 {
					runtime.Goexit()
				}
			}},
			OnOperation: func(context.Context, alotwebhook.Operation) error {
				if told.Add(1) == 1 {
					runtime.Goexit()
				}
				return nil
			},
		}, &receivers{})
		w.endpoint(t, "a.test")
		stop := w.run(t)
		time.Sleep(time.Minute)
		stop()
		require.Greater(t, claims.Load(), int64(1))
		require.EqualValues(t, 2, told.Load(), "it comes again")
		require.Equal(t, 1, strings.Count(log.String(), "the observer panicked"))
		require.Contains(t, log.String(), "runtime.Goexit")
	})
}

func TestPanicsOfTheSealerFailTheCallAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		sealer, net := &brokenSealer{}, &receivers{}
		w := newWorld(t, alotwebhook.Config{Sealer: sealer, Logger: slog.New(slog.NewTextHandler(&log, nil))}, net)
		e := w.endpoint(t, "a.test")
		sealer.opens.Store(true)
		stop := w.run(t)
		event := w.emit(t)
		time.Sleep(time.Hour)
		stop()
		d := w.delivery(t, event, e)
		require.Equal(t, alotwebhook.StatePending, d.State, "it waits for a sealer that works")
		require.Zero(t, d.AttemptCount)
		require.Empty(t, net.requests())
		e, err := w.Endpoint(t.Context(), e.ID)
		require.NoError(t, err)
		require.Zero(t, e.FailingSince, "the receiver has no part in it")

		sealer.seals.Store(true)
		_, err = w.RotateSecret(t.Context(), e.ID, "s3cret of the next one", time.Time{})
		require.ErrorContains(t, err, "secret not sealed: Config.Sealer panicked")
		require.NotContains(t, err.Error(), "s3cret")
		require.Contains(t, log.String(), "panic_test.go", "the stack")
		require.NotContains(t, log.String(), "s3cret")
	})
}

func TestNewDispatcherRefusesFunctionsThatPanic(t *testing.T) {
	t.Parallel()
	for field, cfg := range map[string]alotwebhook.Config{
		"Retry":         {Retry: func() backoff.BackOff { panic("no") }},
		"WrapTransport": {WrapTransport: func(http.RoundTripper) http.RoundTripper { panic("no") }},
	} {
		cfg.Logger = slog.New(slog.DiscardHandler)
		_, err := alotwebhook.NewDispatcher(memory.New(), &cfg)
		requireField(t, err, field)
		require.ErrorContains(t, err, "panic", field)
	}
}

// Package net calls it in a goroutine of its own, where nobody else could catch the panic.
func TestPanicOfTheResolverFailsTheAttempt(t *testing.T) {
	t.Parallel()
	runUntilFailed(t, alotwebhook.Config{
		Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { panic("a resolver") }},
	}, "Config.Resolver panicked")
}

// runUntilFailed runs a dispatcher until its only delivery has failed, and requires the line in the log.
func runUntilFailed(t *testing.T, cfg alotwebhook.Config, line string) {
	t.Helper()
	var log lockedBuffer
	cfg.Retry, cfg.Logger = alotwebhook.Schedule(), slog.New(slog.NewTextHandler(&log, nil))
	d, err := alotwebhook.NewDispatcher(memory.New(), &cfg)
	require.NoError(t, err)
	e, err := d.CreateEndpoint(t.Context(), alotwebhook.Endpoint{OrganizationID: "org_1", URL: "https://a.example.com/", EventTypes: []string{"candidate.completed"}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	event, err := alotwebhook.NewEvent("candidate.completed", "org_1", nil)
	require.NoError(t, err)
	require.NoError(t, d.Emit(t.Context(), event))
	require.Eventually(t, func() bool {
		got, err := d.Delivery(t.Context(), alotwebhook.DeliveryID(event.ID, e.ID))
		return err == nil && got.State == alotwebhook.StateFailed && got.LastReason != ""
	}, time.Minute, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
	require.Contains(t, log.String(), line)
}

// tracing is a transport whose hook panics, in whichever goroutine it is called.
type tracing struct{ next http.RoundTripper }

func (t tracing) RoundTrip(r *http.Request) (*http.Response, error) {
	return t.next.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { panic("a hook") },
	})))
}

func TestPanicOfAHookFailsTheAttempt(t *testing.T) {
	t.Parallel()
	runUntilFailed(t, alotwebhook.Config{
		WrapTransport: func(next http.RoundTripper) http.RoundTripper { return tracing{next} },
		Resolver:      proxytest.Resolver(nil),
	}, "Config.WrapTransport panicked")
}

// brokenHandler panics over every record.
type brokenHandler struct{ slog.Handler }

func (brokenHandler) Enabled(context.Context, slog.Level) bool  { return true }
func (brokenHandler) Handle(context.Context, slog.Record) error { panic(errors.New("disk full")) }
func (h brokenHandler) WithAttrs([]slog.Attr) slog.Handler      { panic("attrs") }
func (h brokenHandler) WithGroup(string) slog.Handler           { panic("group") }

func TestPanicsOfTheLoggerEndNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{Logger: slog.New(brokenHandler{})}, &receivers{respond: func(*http.Request, int) (*http.Response, error) {
			return status(http.StatusGone), nil // which is logged, as is each attempt
		}})
		e := w.endpoint(t, "a.test")
		stop := w.run(t)
		w.emit(t)
		time.Sleep(time.Hour)
		stop()
		e, err := w.Endpoint(t.Context(), e.ID)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.DisabledGone, e.DisabledReason)
		w.Logger().With("a", 1).WithGroup("g").Info("b")
	})
}

// lazySealer returns nothing, and no error.
type lazySealer struct{ seals, opens atomic.Bool }

func (s *lazySealer) Seal(_ string, secret alotwebhook.Secret) (alotwebhook.Secret, error) {
	if s.seals.Load() {
		return "", nil
	}
	return secret, nil
}

func (s *lazySealer) Open(_ string, sealed alotwebhook.Secret) (alotwebhook.Secret, error) {
	if s.opens.Load() {
		return "", nil
	}
	return sealed, nil
}

// Anybody can sign with an empty secret, so nothing is.
func TestNothingIsSignedWithAnEmptySecret(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sealer, net := &lazySealer{}, &receivers{}
		w := newWorld(t, alotwebhook.Config{Sealer: sealer}, net)
		e := w.endpoint(t, "a.test")
		sealer.opens.Store(true)
		stop := w.run(t)
		event := w.emit(t)
		time.Sleep(time.Hour)
		stop()
		require.Empty(t, net.requests())
		require.Equal(t, alotwebhook.StatePending, w.delivery(t, event, e).State)
		sealer.opens.Store(false)
		sealer.seals.Store(true)
		_, err := w.RotateSecret(t.Context(), e.ID, "", time.Time{})
		require.ErrorContains(t, err, "Config.Sealer returned an empty text")
		_, err = w.CreateEndpoint(t.Context(), onceEndpoint())
		require.ErrorContains(t, err, "Config.Sealer returned an empty text")
	})
}

// panickingDeduper panics in the method that is named.
type panickingDeduper struct {
	alotwebhook.Deduper
	in string
}

func (d panickingDeduper) Claim(ctx context.Context, key string, lease time.Duration) (alotwebhook.DedupeClaim, error) {
	if d.in == "Claim" {
		panic("no")
	}
	return d.Deduper.Claim(ctx, key, lease)
}

func (d panickingDeduper) Complete(ctx context.Context, c alotwebhook.DedupeClaim) error {
	if d.in == "Complete" {
		panic("no")
	}
	return d.Deduper.Complete(ctx, c)
}

func TestPanicsOfTheDeduper(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int{"Claim": http.StatusServiceUnavailable, "Complete": http.StatusOK} {
		d := deskWith(t, alotwebhook.ReceiverConfig{Deduper: panickingDeduper{dedupe.NewMemory(nil), in}}, nothing)
		require.Equal(t, want, statusOf(d, payload), in)
		require.Len(t, d.failures, 1)
		require.ErrorContains(t, d.failures[0].err, "Deduper panicked")
		require.Contains(t, d.log.String(), "panic_test.go", "the stack")
	}
}

// What only looks on cannot keep an event from its handler, or a response from the sender.
func TestPanicsOfHooksOfTheReceiver(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	v, err := alotwebhook.NewVerifier(receiverSecret)
	require.NoError(t, err)
	handled := 0
	r := alotwebhook.NewReceiver(v, &alotwebhook.ReceiverConfig{
		Logger:  slog.New(slog.NewTextHandler(&log, nil)),
		OnMatch: func(int) { panic("a payload") },
		OnError: func(*http.Request, alotwebhook.Event, int, error) { panic("a payload") },
		Unknown: func(context.Context, alotwebhook.Event) error { handled++; return nil },
	})
	require.Equal(t, http.StatusNoContent, statusOf(r, payload))
	require.Equal(t, http.StatusUnauthorized, responseOf(r, httptest.NewRequest(http.MethodPost, "/", nil)).StatusCode)
	require.Equal(t, 1, handled)
	requirePanicLogged(t, log.String(), "ReceiverConfig.OnMatch", "a payload")
	requirePanicLogged(t, log.String(), "ReceiverConfig.OnError", "a payload")
}
