package otelwebhook_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/otelwebhook"
)

// fake is a dispatcher whose figures the test says.
type fake struct {
	health alotwebhook.Health
	stats  func(context.Context) (alotwebhook.Stats, error)
	asked  atomic.Int64

	recoveries func(context.Context, alotwebhook.RecoveryFilter) ([]alotwebhook.Recovery, string, error)
	pauses     func() ([]alotwebhook.Pause, error)
}

func (f *fake) Health() alotwebhook.Health { return f.health }

func (f *fake) Recoveries(ctx context.Context, filter alotwebhook.RecoveryFilter) ([]alotwebhook.Recovery, string, error) {
	if f.recoveries == nil {
		return nil, "", nil
	}
	return f.recoveries(ctx, filter)
}

func (f *fake) Pauses(context.Context) ([]alotwebhook.Pause, error) {
	if f.pauses == nil {
		return nil, nil
	}
	return f.pauses()
}

func (f *fake) Stats(ctx context.Context) (alotwebhook.Stats, error) {
	f.asked.Add(1)
	if f.stats == nil {
		return alotwebhook.Stats{}, nil
	}
	return f.stats(ctx)
}

func (s told) watch(t testing.TB, d otelwebhook.Dispatcher) metric.Registration {
	t.Helper()
	registration, err := s.Watch(d)
	require.NoError(t, err)
	return registration
}

func TestHealth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newTold(t, otelwebhook.Options{})
		d := &fake{health: alotwebhook.Health{
			Running: true, InFlight: 3, Waiting: 70, Slots: 256, WaitingSlots: 4096, Unrecorded: 5,
			Stuck: 90 * time.Second,
		}}
		s.watch(t, d)
		require.Equal(t, []point{{"", 0, 1}}, s.points(t, "alotwebhook.dispatcher.running"))
		require.Equal(t, []point{{"alotwebhook.attempt.state=in_flight", 0, 3}, {"alotwebhook.attempt.state=waiting", 0, 70}}, s.points(t, "alotwebhook.attempts.active"))
		require.Equal(t, []point{{"alotwebhook.attempt.state=in_flight", 0, 256}, {"alotwebhook.attempt.state=waiting", 0, 4096}}, s.points(t, "alotwebhook.attempts.limit"))
		require.Equal(t, []point{{"", 0, 5}}, s.points(t, "alotwebhook.attempts.unrecorded"))
		require.Equal(t, []point{{"", 0, 90}}, s.points(t, "alotwebhook.claimer.stuck"))
		failing := []point{{"alotwebhook.store.operation=claim", 0, 0}, {"alotwebhook.store.operation=finish", 0, 0}, {"alotwebhook.store.operation=stats", 0, 0}}
		require.Equal(t, failing, s.points(t, "alotwebhook.store.failing"))

		require.Equal(t, []point{{"", 0, 0}}, s.points(t, "alotwebhook.proxy.failing"))
		d.health.ProxyReason, d.health.ProxySince = alotwebhook.ReasonProxyUnreachable, time.Now().Add(-time.Minute)
		require.Equal(t, []point{{"", 0, 60}}, s.points(t, "alotwebhook.proxy.failing"))

		d.health.ClaimError = errDisk
		failing[0].value = 1
		require.Equal(t, failing, s.points(t, "alotwebhook.store.failing"))
		d.health.StoreAway = true
		failing[1].value = 1
		require.Equal(t, failing, s.points(t, "alotwebhook.store.failing"))

		d.health.Running = false
		require.Equal(t, []point{{"", 0, 0}}, s.points(t, "alotwebhook.dispatcher.running"))
		require.Empty(t, s.points(t, "alotwebhook.attempts.limit"))
	})
}

// TestClaimAge: it counts from the newest claim that succeeded, and grows while claims fail.
func TestClaimAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newTold(t, otelwebhook.Options{})
		d := &fake{health: alotwebhook.Health{Running: true}}
		s.watch(t, d)
		requireAge := func(seconds float64) {
			t.Helper()
			require.Equal(t, []point{{"", 0, seconds}}, s.points(t, "alotwebhook.claim.age"))
		}
		time.Sleep(30 * time.Second)
		requireAge(30) // none yet

		d.health.ClaimedAt = time.Now().Add(-2 * time.Second)
		requireAge(2)
		told := claim(1, nil)
		told.Began, told.Took = time.Now().Add(-2*time.Second), time.Second
		s.Claimed(told)
		requireAge(1)

		time.Sleep(10 * time.Second)
		told.Began, told.Err = time.Now(), errDisk
		s.Claimed(told)
		d.health.ClaimedAt, d.health.ClaimError = time.Now(), errDisk
		requireAge(11)
		d.health.Running = false
		require.Empty(t, s.points(t, "alotwebhook.claim.age"), "nobody claims in a process that only emits")
	})
}

func TestStats(t *testing.T) {
	t.Parallel()
	s := newTold(t, otelwebhook.Options{})
	s.watch(t, &fake{stats: func(context.Context) (alotwebhook.Stats, error) {
		return alotwebhook.Stats{
			Pending: 11, Parked: 12, OldestDue: 1500 * time.Millisecond, OldestDueFailing: time.Hour, FailingEndpoints: 13, DisabledEndpoints: 14,
		}, nil
	}})
	require.Equal(t, []point{{"alotwebhook.delivery.state=parked", 0, 12}, {"alotwebhook.delivery.state=pending", 0, 11}}, s.points(t, "alotwebhook.queue.deliveries"))
	require.Equal(t, []point{{"alotwebhook.endpoint.state=failing", 0, 3600}, {"alotwebhook.endpoint.state=healthy", 0, 1.5}}, s.points(t, "alotwebhook.queue.oldest_due"))
	require.Equal(t, []point{{"alotwebhook.endpoint.state=disabled", 0, 14}, {"alotwebhook.endpoint.state=failing", 0, 13}}, s.points(t, "alotwebhook.endpoint.count"))
}

// TestQueueIsCountedOnce in an interval, however often and by however many it is scraped.
func TestQueueIsCountedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var options []sdkmetric.Option
		var scrapers [8]told // each with a reader of its own
		for i := range scrapers {
			scrapers[i].reader = sdkmetric.NewManualReader()
			options = append(options, sdkmetric.WithReader(scrapers[i].reader))
		}
		telemetry, err := otelwebhook.New(&otelwebhook.Options{MeterProvider: sdkmetric.NewMeterProvider(options...)})
		require.NoError(t, err)
		d := &fake{stats: func(context.Context) (alotwebhook.Stats, error) {
			time.Sleep(time.Second)
			return alotwebhook.Stats{Pending: 1}, nil
		}}
		_, err = telemetry.Watch(d)
		require.NoError(t, err)
		scrape := func() {
			var all sync.WaitGroup
			var found [len(scrapers)]map[string]metricdata.Metrics
			for i := range scrapers {
				all.Go(func() { found[i], _ = scrapers[i].collectWithin(t.Context()) })
			}
			all.Wait()
			for i := range found {
				require.Len(t, pointsOf(t, found[i]["alotwebhook.queue.deliveries"]), 2)
			}
		}
		scrape()
		time.Sleep(15*time.Second - time.Nanosecond)
		scrape()
		require.EqualValues(t, 1, d.asked.Load())
		time.Sleep(time.Nanosecond)
		scrape()
		require.EqualValues(t, 2, d.asked.Load())
	})
}

// TestFailingStats: what is not known is absent, not 0, and everything else is there.
func TestFailingStats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newTold(t, otelwebhook.Options{StatsInterval: time.Second})
		var err error
		s.watch(t, &fake{stats: func(context.Context) (alotwebhook.Stats, error) { return alotwebhook.Stats{}, err }})
		require.Len(t, s.points(t, "alotwebhook.queue.deliveries"), 2)
		err = errDisk
		time.Sleep(time.Second)
		for _, name := range []string{"alotwebhook.queue.deliveries", "alotwebhook.queue.oldest_due", "alotwebhook.endpoint.count"} {
			require.Empty(t, s.points(t, name))
		}
		require.Contains(t, s.points(t, "alotwebhook.store.failing"), point{"alotwebhook.store.operation=stats", 0, 1})
		require.Len(t, s.points(t, "alotwebhook.dispatcher.running"), 1)
		err = nil
		time.Sleep(time.Second)
		require.Len(t, s.points(t, "alotwebhook.queue.deliveries"), 2)
	})
}

// TestSlowStats: a scrape waits no longer than it may, and what comes late serves the next.
func TestSlowStats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newTold(t, otelwebhook.Options{})
		answer := make(chan alotwebhook.Stats)
		d := &fake{stats: func(context.Context) (alotwebhook.Stats, error) { return <-answer, nil }} // it heeds no context
		s.watch(t, d)
		began := time.Now()
		require.Empty(t, s.points(t, "alotwebhook.queue.deliveries"))
		require.Equal(t, 5*time.Second, time.Since(began))
		require.Empty(t, s.points(t, "alotwebhook.queue.deliveries"))
		require.EqualValues(t, 1, d.asked.Load(), "it is never asked twice at a time")
		answer <- alotwebhook.Stats{Pending: 9}
		synctest.Wait()
		require.Contains(t, s.points(t, "alotwebhook.queue.deliveries"), point{"alotwebhook.delivery.state=pending", 0, 9})
		require.EqualValues(t, 1, d.asked.Load())
	})
}

// TestScrapeThatIsCutOff: the context of a scrape ends its waiting, not the question.
func TestScrapeThatIsCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newTold(t, otelwebhook.Options{})
		s.watch(t, &fake{stats: func(ctx context.Context) (alotwebhook.Stats, error) {
			select {
			case <-time.After(3 * time.Second):
				return alotwebhook.Stats{Pending: 9}, nil
			case <-ctx.Done():
				return alotwebhook.Stats{}, ctx.Err()
			}
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		found, _ := s.collectWithin(ctx)
		require.NotContains(t, found, "alotwebhook.queue.deliveries")
		require.Equal(t, time.Second, time.Since(began))
		time.Sleep(3 * time.Second)
		require.Len(t, s.points(t, "alotwebhook.queue.deliveries"), 2)
	})
}

// TestStatsThatTakesTooLong is told by its context.
func TestStatsThatTakesTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newTold(t, otelwebhook.Options{StatsTimeout: 2 * time.Second})
		ended := make(chan error, 1)
		s.watch(t, &fake{stats: func(ctx context.Context) (alotwebhook.Stats, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return alotwebhook.Stats{}, ctx.Err()
		}})
		require.Empty(t, s.points(t, "alotwebhook.queue.deliveries"))
		require.ErrorIs(t, <-ended, context.DeadlineExceeded)
	})
}

// recoveries serves two recoveries a page.
func recoveries(all map[alotwebhook.RecoveryState][]alotwebhook.Recovery) func(context.Context, alotwebhook.RecoveryFilter) ([]alotwebhook.Recovery, string, error) {
	return func(_ context.Context, f alotwebhook.RecoveryFilter) ([]alotwebhook.Recovery, string, error) {
		rest := all[f.State]
		if f.Cursor == "more" {
			return rest[2:], "", nil
		}
		if len(rest) > 2 {
			return rest[:2], "more", nil
		}
		return rest, "", nil
	}
}

func TestRecoveries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ago := func(d time.Duration) alotwebhook.Recovery {
			return alotwebhook.Recovery{UpdatedAt: time.Now().Add(-d)}
		}
		all := map[alotwebhook.RecoveryState][]alotwebhook.Recovery{}
		s := newTold(t, otelwebhook.Options{StatsInterval: time.Second})
		s.watch(t, &fake{recoveries: recoveries(all)})
		require.Equal(t, []point{{"", 0, 0}}, s.points(t, "alotwebhook.recovery.active"))
		require.Equal(t, []point{{"", 0, 0}}, s.points(t, "alotwebhook.recovery.idle"))

		all[alotwebhook.RecoveryRunning] = []alotwebhook.Recovery{ago(time.Second), ago(-time.Hour), ago(time.Minute)}
		all[alotwebhook.RecoveryDiscarding] = []alotwebhook.Recovery{ago(2 * time.Second)}
		all[alotwebhook.RecoveryCanceling] = []alotwebhook.Recovery{ago(3 * time.Second)}
		time.Sleep(time.Second)
		require.Equal(t, []point{{"", 0, 5}}, s.points(t, "alotwebhook.recovery.active"))
		require.Equal(t, []point{{"", 0, 61}}, s.points(t, "alotwebhook.recovery.idle"), "of the slowest of all pages")

		all[alotwebhook.RecoveryRunning], all[alotwebhook.RecoveryDiscarding] = []alotwebhook.Recovery{ago(-time.Hour)}, nil
		all[alotwebhook.RecoveryCanceling] = nil
		time.Sleep(time.Second)
		require.Equal(t, []point{{"", 0, 0}}, s.points(t, "alotwebhook.recovery.idle"), "a clock that is ahead makes no negative time")
	})
}

// TestFailingRecoveries: like Stats.
func TestFailingRecoveries(t *testing.T) {
	t.Parallel()
	s := newTold(t, otelwebhook.Options{})
	s.watch(t, &fake{recoveries: func(context.Context, alotwebhook.RecoveryFilter) ([]alotwebhook.Recovery, string, error) {
		return nil, "", errDisk
	}})
	require.Empty(t, s.points(t, "alotwebhook.recovery.active"))
	require.Empty(t, s.points(t, "alotwebhook.recovery.idle"))
	require.Len(t, s.points(t, "alotwebhook.queue.deliveries"), 2)
}

// TestPauses: how many there are, and how long the oldest has lasted. Like Stats, they are absent
// while they cannot be read.
func TestPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var list []alotwebhook.Pause
		var fails error
		s := newTold(t, otelwebhook.Options{StatsInterval: time.Second})
		s.watch(t, &fake{pauses: func() ([]alotwebhook.Pause, error) { return list, fails }})
		require.Equal(t, []point{{"", 0, 0}}, s.points(t, "alotwebhook.pause.active"))
		require.Equal(t, []point{{"", 0, 0}}, s.points(t, "alotwebhook.pause.age"))

		list = []alotwebhook.Pause{{At: time.Now()}, {OrganizationID: "org_1", At: time.Now().Add(-time.Hour)}}
		time.Sleep(time.Second)
		require.Equal(t, []point{{"", 0, 2}}, s.points(t, "alotwebhook.pause.active"))
		require.Equal(t, []point{{"", 0, 3601}}, s.points(t, "alotwebhook.pause.age"))

		fails = errDisk
		time.Sleep(time.Second)
		require.Empty(t, s.points(t, "alotwebhook.pause.active"))
	})
}

func TestUnregister(t *testing.T) {
	t.Parallel()
	s := newTold(t, otelwebhook.Options{})
	first := s.watch(t, &fake{})
	_, err := s.Watch(&fake{})
	require.ErrorContains(t, err, "being watched already")
	require.NoError(t, first.Unregister())
	require.Empty(t, s.points(t, "alotwebhook.dispatcher.running"))
	s.watch(t, &fake{health: alotwebhook.Health{Running: true}})
	require.Equal(t, []point{{"", 0, 1}}, s.points(t, "alotwebhook.dispatcher.running"))
	require.NoError(t, first.Unregister())
	_, err = s.Watch(&fake{})
	require.ErrorContains(t, err, "being watched already", "what is unregistered twice lets nobody in twice")
}

func TestNobodyToWatch(t *testing.T) {
	t.Parallel()
	s := newTold(t, otelwebhook.Options{})
	for _, nobody := range []otelwebhook.Dispatcher{nil, (*alotwebhook.Dispatcher)(nil)} {
		_, err := s.Watch(nobody)
		var field *alotwebhook.FieldError
		require.True(t, errors.As(err, &field))
		require.Equal(t, "d", field.Field)
	}
	s.watch(t, &fake{})
}
