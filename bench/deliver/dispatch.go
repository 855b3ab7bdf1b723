package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
	"github.com/alot/alotwebhook/store/sqlite"
)

// openers open an empty store of each kind; closing it leaves nothing behind.
var openers = map[string]func(context.Context) (alotwebhook.Store, io.Closer, error){
	"memory":   openMemory,
	"sqlite":   openSQLite,
	"postgres": openPostgres,
}

func storeNames() []string { return slices.Sorted(maps.Keys(openers)) }

type closerFunc func() error

func (f closerFunc) Close() error { return f() }

func openMemory(context.Context) (alotwebhook.Store, io.Closer, error) {
	return alotwebhook.NewMemoryStore(), closerFunc(func() error { return nil }), nil
}

func openSQLite(ctx context.Context) (alotwebhook.Store, io.Closer, error) {
	dir, err := os.MkdirTemp("", "alotwebhook-bench-")
	if err != nil {
		return nil, nil, err
	}
	store, err := sqlite.Open(ctx, filepath.Join(dir, "bench.db"))
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	closer := func() error { return errors.Join(store.Close(), os.RemoveAll(dir)) }
	return store, closerFunc(closer), nil
}

// openPostgres uses the server of ALOT_TEST_POSTGRES, or a temporary one with fsync on.
func openPostgres(ctx context.Context) (alotwebhook.Store, io.Closer, error) {
	dsn, stop := os.Getenv(postgrestest.EnvDSN), func() {}
	if dsn == "" {
		cluster, err := postgrestest.Start("shared_buffers=1GB", "max_wal_size=4GB")
		if err != nil {
			return nil, nil, err
		}
		dsn, stop = cluster.DSN(), cluster.Close
	}
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		stop()
		return nil, nil, err
	}
	schema := fmt.Sprintf("bench_%d", time.Now().UnixNano())
	closer := func() error {
		_, err := pool.Exec(context.WithoutCancel(ctx), "DROP SCHEMA IF EXISTS "+schema+" CASCADE")
		pool.Close()
		stop()
		return err
	}
	store, err := postgres.New(ctx, pool, &postgres.Options{Schema: schema, Migrate: true})
	if err != nil {
		return nil, nil, errors.Join(err, closer())
	}
	return store, closerFunc(closer), nil
}

// dispatcher delivers from a store, to so many endpoints.
func dispatcher(store string, endpoints, inFlight int) contender {
	name := fmt.Sprintf("%s, %d endpoints", store, endpoints)
	return contender{name: name, prepare: func(ctx context.Context, rx *receiver, n int) (work, error) {
		s, closer, err := openers[store](ctx)
		if err != nil {
			return work{}, err
		}
		run, err := preload(ctx, s, rx.url, endpoints, inFlight, n)
		if err != nil {
			return work{}, errors.Join(err, closer.Close())
		}
		return work{run: run, close: sync.OnceValue(closer.Close)}, nil
	}}
}

// preload stores n events and returns what delivers them.
func preload(ctx context.Context, s alotwebhook.Store, url string, endpoints, inFlight, n int) (func(context.Context) error, error) {
	var attempts, failures atomic.Int64
	done := make(chan struct{})
	d, err := alotwebhook.NewDispatcher(s, &alotwebhook.Config{
		InFlight:            inFlight,
		InFlightPerEndpoint: max(1, min(inFlight, 32)),
		AllowHTTP:           true,
		AllowNets:           []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Logger:              slog.New(slog.DiscardHandler),
		OnAttempt: func(a alotwebhook.AttemptInfo) {
			if a.Attempt.Reason != "" {
				failures.Add(1)
			}
			if attempts.Add(1) == int64(n) {
				close(done)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	if err := createEndpoints(ctx, d, url, endpoints); err != nil {
		return nil, err
	}
	if err := emit(ctx, d, endpoints, n); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		if err := runUntil(ctx, d, done); err != nil {
			return err
		}
		return allDelivered(ctx, d, failures.Load())
	}, nil
}

// organization i has the one endpoint i, so that n events are n deliveries.
func organization(i int) string { return fmt.Sprintf("org_%d", i) }

func createEndpoints(ctx context.Context, d *alotwebhook.Dispatcher, url string, endpoints int) error {
	for i := range endpoints {
		_, err := d.CreateEndpoint(ctx, alotwebhook.Endpoint{
			OrganizationID: organization(i),
			URL:            fmt.Sprintf("%s/%d", url, i),
			EventTypes:     []string{"candidate.completed"},
			Secret:         benchSecret,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func emit(ctx context.Context, d *alotwebhook.Dispatcher, endpoints, n int) error {
	const batch = 1000
	events := make([]alotwebhook.Event, 0, batch)
	for i := range n {
		e, err := newEvent(organization(i % endpoints))
		if err != nil {
			return err
		}
		events = append(events, e)
		if len(events) == batch || i == n-1 {
			if err := d.Emit(ctx, events...); err != nil {
				return err
			}
			events = events[:0]
		}
	}
	return nil
}

// runUntil runs the dispatcher until done, and on until all is recorded.
func runUntil(ctx context.Context, d *alotwebhook.Dispatcher, done <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	select {
	case <-done:
		cancel()
		return <-ended
	case err := <-ended:
		return errors.Join(err, errors.New("the dispatcher ended before its work"))
	}
}

// allDelivered checks that nothing was left or failed.
func allDelivered(ctx context.Context, d *alotwebhook.Dispatcher, failures int64) error {
	stats, err := d.Stats(ctx)
	if err != nil {
		return err
	}
	if stats.Pending+failures > 0 {
		return fmt.Errorf("%d attempts failed and %d deliveries are still pending", failures, stats.Pending)
	}
	return nil
}
