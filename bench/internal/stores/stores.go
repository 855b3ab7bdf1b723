// Package stores opens the stores that the benchmarks measure. They are empty at first, and
// are removed when they are closed.
package stores

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	// server is the temporary server of this store; nil without one.
	server *postgrestest.Cluster
	// admin is a connection for questions to PostgreSQL, beside the store's; nil without
	// PostgreSQL.
	admin *pgx.Conn
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
		return NewPostgres(ctx, serverSettings...)
	}
	return nil, fmt.Errorf("unknown store %q", name)
}

// serverSettings keep checkpoints out of what is measured: one would fall into the turn of one
// contender, which then pays for all. fsync is on.
var serverSettings = []string{"shared_buffers=1GB", "max_wal_size=16GB", "checkpoint_timeout=1h"}

// NewPostgres returns an empty store in PostgreSQL, as [New] does. settings are lines for the
// postgresql.conf of a temporary server.
func NewPostgres(ctx context.Context, settings ...string) (*Store, error) {
	place := Place{Kind: "postgres", At: os.Getenv(postgrestest.EnvDSN), Schema: fmt.Sprintf("bench_%d", time.Now().UnixNano())}
	var server *postgrestest.Cluster
	cleanUp := func() error { return dropSchema(place) }
	if place.At == "" {
		var err error
		if server, err = postgrestest.Start(settings...); err != nil {
			return nil, err
		}
		place.At = server.DSN()
		cleanUp = func() error { server.Close(); return nil }
	}
	s, err := Open(ctx, place, cleanUp)
	if err != nil {
		return nil, err
	}
	s.server = server
	if s.admin, err = pgx.Connect(ctx, place.At); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	closeStore := s.close
	s.close = func() error {
		return errors.Join(s.admin.Close(context.WithoutCancel(ctx)), closeStore())
	}
	return s, nil
}

// Used says how much the server of a database has used so far.
type Used struct {
	CPU   time.Duration // processor time; 0 if there is no server
	WAL   int64         // bytes of write-ahead log
	Known bool          // false if there is a server whose processor time cannot be read
}

// Used returns what the store's server has used. It is not called by two goroutines at once,
// nor with Settle.
func (s *Store) Used(ctx context.Context) (Used, error) {
	u := Used{Known: true}
	if s.admin == nil {
		return u, nil
	}
	err := s.admin.QueryRow(ctx, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").Scan(&u.WAL)
	if err != nil || s.server == nil {
		u.Known = false
		return u, err
	}
	if u.CPU, err = s.server.CPU(); err != nil {
		return Used{WAL: u.WAL}, nil // not on this system
	}
	return u, nil
}

// Settle vacuums and analyzes what was stored. Autovacuum would do so by itself, in the turn
// of some contender.
func (s *Store) Settle(ctx context.Context) error {
	if s.admin == nil {
		return nil
	}
	_, err := s.admin.Exec(ctx, "VACUUM (ANALYZE)")
	return err
}

// Version returns the version of the database's server, such as 15.2; "" if there is none.
func (s *Store) Version(ctx context.Context) (version string, err error) {
	if s.admin == nil {
		return "", nil
	}
	err = s.admin.QueryRow(ctx, "SHOW server_version").Scan(&version)
	version, _, _ = strings.Cut(version, " ") // what packagers add
	return version, err
}

// Query returns the rows of a question to PostgreSQL, beside the store's connections. It is
// not called by two goroutines at once.
func (s *Store) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if s.admin == nil {
		return nil, errors.New("this store is not in PostgreSQL")
	}
	return s.admin.Query(ctx, sql, args...)
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
		return &Store{Store: store, Place: p, close: func() error { return errors.Join(store.Close(), cleanUp()) }}, nil
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
		return &Store{Store: store, Place: p, close: closer}, nil
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
