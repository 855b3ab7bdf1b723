// Package postgres is an [alotwebhook.Store] on PostgreSQL 14 and later: what
// several processes share, and what lets a host emit in its own transaction.
//
//	if err := postgres.Migrate(ctx, pool, nil); err != nil { … }
//	store, err := postgres.New(ctx, pool, nil)
//	…
//	err = dispatcher.EmitTo(ctx, store.Tx(tx), event) // commits or rolls back with tx
//
// # The pool
//
// The pool stays the host's. The store keeps nothing in a session: no settings,
// no locks, no listening (which [Options.Notify] does on a connection beside the
// pool), so that PgBouncer in transaction mode may stand between. Every statement works under each of pgx's query modes; choose
// [pgx.QueryExecModeExec] or the simple protocol in the pool's configuration where
// the pooler knows no prepared statements. One connection is enough. Every
// transaction of the store's own is one or two round trips, reads committed rows
// whatever the session's default, and limits itself to 10 seconds a statement.
//
// # What is where
//
// The table queue holds unfinished deliveries only, so that its size is the
// backlog and not the history. A delivery leaves it in the statement that
// writes its history. Events, deliveries and attempts are partitioned by day, made
// ahead by whichever process claims, and dropped by [Store.Purge].
//
// Lists have no index of their own, which every delivery would pay for. They go
// by those that delivering needs, endpoint by endpoint, and where a filter asks
// for something that these do not know, such as a type, a page is what was found
// in a stretch of a few thousand deliveries.
//
// # What a process remembers
//
// A claim does not search the queue. Each Store remembers which endpoints have
// something due and where in the queue each of them goes on, and looks through
// the endpoints, not through their deliveries, for what others brought in: on
// every claim that finds nothing, and otherwise as often as that costs at most a
// twentieth of the time. A delivery whose transaction committed more than a
// second after it was emitted may be passed over at first; such a look finds it.
// That takes milliseconds on a healthy database. Should a pinned snapshot make
// looking slow, it is done every 30 seconds at least.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/jackc/pgx/v5/pgxpool"
)

// DefaultSchema is the schema used when [Options.Schema] is empty.
const DefaultSchema = "alotwebhook"

// minServer is PostgreSQL 14, in the form of server_version_num.
const minServer = 140000

// Options of a [Store]; nil works.
type Options struct {
	// Schema is where the tables are. Stores of different schemas know nothing
	// of each other. Defaults to [DefaultSchema].
	Schema string
	// Migrate makes [New] call the function [Migrate] first. Leave it out where
	// the process should not have the right to.
	Migrate bool
	// Notify has processes tell each other that something was emitted, so that
	// an idle one sees it within milliseconds instead of its dispatcher's
	// PollInterval. It costs one NOTIFY per process and tenth of a second at
	// most, and a connection beside the pool's in each process that delivers,
	// which PgBouncer in transaction mode cannot give. Defaults to false.
	Notify bool
	// Logger hears of what is wrong but does not make a call fail, such as a
	// partition that cannot be made. Defaults to [slog.Default].
	Logger *slog.Logger
}

// Store is an [alotwebhook.Store] on PostgreSQL. It holds no resources beside
// the pool's and needs no closing.
type Store struct {
	pool   *pgxpool.Pool
	schema string
	quoted string
	logger *slog.Logger

	claiming      chan struct{} // holds a token while nobody claims
	partitionsDue time.Time     // guarded by claiming
	endpoints     endpointCache // guarded by claiming
	lanes         *lanes

	notifies bool
	words    words
}

var _ alotwebhook.Store = (*Store)(nil)

// New returns a store on the pool. It checks what can be known now: that the
// server answers, is PostgreSQL 14 or later, takes writes and keeps UTF-8, that
// the schema is there and of the version this code knows, and that the role may
// use it. A nil pool is an [*alotwebhook.FieldError].
func New(ctx context.Context, pool *pgxpool.Pool, opts *Options) (*Store, error) {
	if err := checkPool(pool); err != nil {
		return nil, err
	}
	s := newStore(pool, opts)
	if err := s.checkServer(ctx); err != nil {
		return nil, s.explain("check the server", err)
	}
	if opts != nil && opts.Migrate {
		if err := Migrate(ctx, pool, opts); err != nil {
			return nil, err
		}
	}
	if err := s.checkSchema(ctx); err != nil {
		return nil, s.explain("check the schema", err)
	}
	return s, nil
}

func checkPool(pool *pgxpool.Pool) error {
	if pool == nil {
		return &alotwebhook.FieldError{Field: "pool", Problem: "is nil; give the pool that pgxpool.New returned, after a look at its error"}
	}
	return nil
}

func newStore(pool *pgxpool.Pool, opts *Options) *Store {
	opts = cmp.Or(opts, &Options{})
	s := &Store{
		pool:      pool,
		schema:    cmp.Or(opts.Schema, DefaultSchema),
		logger:    cmp.Or(opts.Logger, slog.Default()),
		claiming:  make(chan struct{}, 1),
		endpoints: endpointCache{},
		lanes:     newLanes(),
		notifies:  opts.Notify,
	}
	s.quoted = quoted(s.schema)
	s.claiming <- struct{}{}
	return s
}

// server is what a server says about itself.
type server struct {
	version           int
	standby, readOnly bool
	encoding          string
}

func (s *Store) checkServer(ctx context.Context) error {
	var v server
	err := s.pool.QueryRow(ctx, `
		SELECT current_setting('server_version_num')::int, pg_is_in_recovery(),
			current_setting('default_transaction_read_only') = 'on', current_setting('server_encoding')`,
	).Scan(&v.version, &v.standby, &v.readOnly, &v.encoding)
	if err != nil {
		return err
	}
	return v.check()
}

func (v server) check() error {
	switch {
	case v.version < minServer:
		return fmt.Errorf("the server is PostgreSQL %d: 14 or later is needed", v.version/10000)
	case v.standby:
		return errors.New("the server is a standby, which takes no writes: connect to the primary (target_session_attrs=read-write)")
	case v.readOnly:
		return errors.New("the session is read-only: unset default_transaction_read_only, or connect to the primary")
	case v.encoding != "UTF8":
		return fmt.Errorf("the database is encoded as %s: payloads need UTF8", v.encoding)
	}
	return nil
}

func (s *Store) checkSchema(ctx context.Context) error {
	version, err := s.schemaVersion(ctx, s.pool)
	switch {
	case err != nil:
		return err
	case version == 0:
		return fmt.Errorf("schema %q has no tables: call postgres.Migrate, or set Options.Migrate", s.schema)
	case version < SchemaVersion:
		return fmt.Errorf("schema %q is at version %d and this code needs %d: call postgres.Migrate, or set Options.Migrate", s.schema, version, SchemaVersion)
	case version > SchemaVersion:
		return s.newerSchema(version)
	}
	return s.checkRights(ctx)
}

// checkRights names the first table that the role may not use.
func (s *Store) checkRights(ctx context.Context) error {
	for _, table := range append([]string{"endpoints", "queue", "recoveries", "tallies"}, partitioned[:]...) {
		var may bool
		err := s.pool.QueryRow(ctx, `
			SELECT bool_and(has_table_privilege($1, p))
			FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p`, s.quoted+"."+table).Scan(&may)
		if err != nil {
			return err
		}
		if !may {
			return fmt.Errorf("the role may not select, insert, update and delete in %s.%s: grant that", s.schema, table)
		}
	}
	return nil
}

// Schema returns the name of the schema that the store works in.
func (s *Store) Schema() string { return s.schema }

// sql puts the schema's name into a statement.
func (s *Store) sql(text string) string { return strings.ReplaceAll(text, "{s}", s.quoted) }
