package otelwebhook_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/otelwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

var (
	soon   = alotwebhook.Schedule(10 * time.Millisecond) // a second attempt
	silent = slog.New(slog.DiscardHandler)
)

var errMoody = errors.New("the store is moody")

// moody is a store that fails at what the test says.
type moody struct {
	*memory.Store
	enqueue, claim, finish, purge atomic.Bool
}

func (s *moody) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	if s.enqueue.Load() {
		return errMoody
	}
	return s.Store.Enqueue(ctx, events)
}

func (s *moody) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	if s.claim.Load() {
		return alotwebhook.ClaimResult{}, errMoody
	}
	return s.Store.Claim(ctx, c)
}

func (s *moody) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	if s.finish.Load() {
		return nil, errMoody
	}
	return s.Store.Finish(ctx, outcomes)
}

func (s *moody) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	if s.purge.Load() {
		return alotwebhook.PurgeResult{}, errMoody
	}
	return s.Store.Purge(ctx, p)
}

// inTransaction stands for the transaction of a host.
type inTransaction struct{ alotwebhook.Enqueuer }

// shop is a host in which everything happens that a dispatcher can tell of.
type shop struct {
	*alotwebhook.Dispatcher
	store         *moody
	failing, gone string // ids of endpoints
}

const (
	bigShop   = "org_big"
	smallShop = "org_small"
)

// openShop starts a dispatcher whose metrics go to a provider.
func openShop(t testing.TB, meters *sdkmetric.MeterProvider) *shop {
	t.Helper()
	s := &shop{store: &moody{Store: memory.New()}}
	telemetry, err := otelwebhook.New(&otelwebhook.Options{
		MeterProvider: meters, Attributes: otelwebhook.ByOrganization, StatsInterval: 100 * time.Millisecond,
	})
	require.NoError(t, err)
	config := alotwebhook.Config{
		Observer: telemetry.Observer(), Retry: soon, Logger: silent,
		AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		PayloadRetention: time.Millisecond, HistoryRetention: time.Millisecond, ParkedRetention: time.Hour, ChangesPerMinute: -1,
	}
	s.addEndpoints(t, config)
	config.DenyNets = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}
	s.Dispatcher, err = alotwebhook.NewDispatcher(s.store, &config)
	require.NoError(t, err)
	watch, err := telemetry.Watch(s.Dispatcher)
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background()) }()
	t.Cleanup(func() {
		require.NoError(t, s.Shutdown(context.Background()))
		require.NoError(t, <-ended)
		require.NoError(t, watch.Unregister())
	})
	return s
}

// addEndpoints registers one endpoint of each kind, by a dispatcher that allows all of them.
func (s *shop) addEndpoints(t testing.TB, config alotwebhook.Config) {
	t.Helper()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(map[string]int{"/ok": 200, "/failing": 500, "/gone": 410}[r.URL.Path])
	}))
	t.Cleanup(receiver.Close)
	config.Observer = nil
	desk, err := alotwebhook.NewDispatcher(s.store, &config)
	require.NoError(t, err)
	add := func(organization, url string) string {
		e, err := desk.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
			OrganizationID: organization, URL: url, EventTypes: []string{alotwebhook.EventCandidateCompleted},
		})
		require.NoError(t, err)
		return e.ID
	}
	add(bigShop, receiver.URL+"/ok")
	add(smallShop, receiver.URL+"/ok")
	add(smallShop, strings.Replace(receiver.URL, "127.0.0.1", "127.0.0.2", 1)+"/refused")
	s.failing = add(smallShop, receiver.URL+"/failing")
	s.gone = add(smallShop, receiver.URL+"/gone")
}

// day has everything happen once.
func (s *shop) day(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	_, err := s.EnableEndpoint(ctx, s.gone, alotwebhook.EnableOptions{}) // it will be disabled again
	require.NoError(t, err)
	for range 20 {
		require.NoError(t, s.Emit(ctx, completed(t, bigShop)))
	}
	require.NoError(t, s.EmitTo(ctx, inTransaction{s.store}, completed(t, smallShop)))
	during(&s.store.enqueue, func() { require.ErrorIs(t, s.Emit(ctx, completed(t, bigShop)), errMoody) })
	during(&s.store.claim, func() {
		await(t, func() bool { return s.Dispatcher.Health().ClaimError != nil })
	})
	during(&s.store.finish, func() {
		require.NoError(t, s.Emit(ctx, completed(t, bigShop)))
		await(t, func() bool { return s.Dispatcher.Health().StoreAway })
	})
	await(t, func() bool { return !s.Dispatcher.Health().StoreAway })
	during(&s.store.purge, func() {
		_, err := s.Purge(ctx)
		require.ErrorIs(t, err, errMoody)
	})
	_, err = s.Purge(ctx)
	require.NoError(t, err)
	if _, err = s.Recover(ctx, s.failing, time.Time{}); !errors.Is(err, alotwebhook.ErrRecovering) {
		require.NoError(t, err)
	}
}

func completed(t testing.TB, organization string) alotwebhook.Event {
	t.Helper()
	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, organization, map[string]any{"sessionId": "sess_1"})
	require.NoError(t, err)
	return event
}

// during has the store fail at something while f runs.
func during(fails *atomic.Bool, f func()) {
	fails.Store(true)
	defer fails.Store(false)
	f()
}

// await waits until something is so, however long that takes.
func await(t testing.TB, isSo func() bool) {
	t.Helper()
	for !isSo() {
		time.Sleep(time.Millisecond)
	}
}
