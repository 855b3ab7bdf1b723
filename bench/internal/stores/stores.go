// Package stores opens the stores that the benchmarks measure. They are empty at first, and
// are removed when they are closed.
package stores

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
	"github.com/alot/alotwebhook/store/sqlite"
)

// Names returns the names that [New] accepts.
func Names() []string { return []string{"memory", "postgres", "sqlite"} }

// Store is a store to measure.
type Store struct {
	alotwebhook.Store
	// Place is where other processes find the store; zero for one in memory.
	Place Place
	close func() error
}

// Close closes the store and removes its data.
func (s *Store) Close() error { return s.close() }

// Place says where a store is.
type Place struct {
	Kind   string // "sqlite" or "postgres"
	At     string // a path, or a connection string
	Schema string // in PostgreSQL
	Notify bool   // in PostgreSQL, whether processes notify each other
}

// New returns an empty store. For PostgreSQL it uses the server in ALOT_TEST_POSTGRES or, if
// that is not set, a temporary one with fsync on.
func New(ctx context.Context, name string) (*Store, error) {
	switch name {
	case "memory":
		return &Store{Store: memory.New(), close: func() error { return nil }}, nil
	case "sqlite":
		dir, err := os.MkdirTemp("", "alotwebhook-bench-")
		if err != nil {
			return nil, err
		}
		return Open(ctx, Place{Kind: name, At: filepath.Join(dir, "bench.db")}, func() error { return os.RemoveAll(dir) })
	case "postgres":
		dsn, stop := os.Getenv(postgrestest.EnvDSN), func() {}
		if dsn == "" {
			cluster, err := postgrestest.Start("shared_buffers=1GB", "max_wal_size=4GB")
			if err != nil {
				return nil, err
			}
			dsn, stop = cluster.DSN(), cluster.Close
		}
		place := Place{Kind: name, At: dsn, Schema: fmt.Sprintf("bench_%d", time.Now().UnixNano())}
		return Open(ctx, place, func() error {
			defer stop()
			return dropSchema(place)
		})
	}
	return nil, fmt.Errorf("unknown store %q", name)
}

// Open opens the store at a place, and creates it if it does not exist. Close calls cleanUp
// at its end.
func Open(ctx context.Context, p Place, cleanUp func() error) (*Store, error) {
	switch p.Kind {
	case "sqlite":
		store, err := sqlite.Open(ctx, p.At)
		if err != nil {
			return nil, errors.Join(err, cleanUp())
		}
		return &Store{store, p, func() error { return errors.Join(store.Close(), cleanUp()) }}, nil
	case "postgres":
		pool, err := pgxpool.New(ctx, p.At)
		if err != nil {
			return nil, errors.Join(err, cleanUp())
		}
		closer := func() error {
			pool.Close()
			return cleanUp()
		}
		store, err := postgres.New(ctx, pool, &postgres.Options{Schema: p.Schema, Migrate: true, Notify: p.Notify})
		if err != nil {
			return nil, errors.Join(err, closer())
		}
		return &Store{store, p, closer}, nil
	}
	return nil, fmt.Errorf("no store at %+v", p)
}

// Pin begins a transaction in another session of PostgreSQL. Its snapshot keeps every row
// that exists now, even when it is deleted, until unpin is called.
func (s *Store) Pin(ctx context.Context) (unpin func() error, err error) {
	conn, err := pgx.Connect(ctx, s.Place.At)
	if err != nil {
		return nil, err
	}
	unpin = func() error { return conn.Close(context.WithoutCancel(ctx)) }
	_, err = conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM "+s.Place.Schema+".queue LIMIT 1")
	if err != nil {
		return nil, errors.Join(err, unpin())
	}
	return unpin, nil
}

func dropSchema(p Place) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	pool, err := pgxpool.New(ctx, p.At)
	if err != nil {
		return err
	}
	defer pool.Close()
	_, err = pool.Exec(ctx, "DROP SCHEMA IF EXISTS "+p.Schema+" CASCADE")
	return err
}
