// Package postgres is an [alotwebhook.Store] on PostgreSQL 14 and later: for hosts
// of several processes, and for hosts that emit in their own transactions.
//
//	if err := postgres.Migrate(ctx, pool, nil); err != nil { … }
//	store, err := postgres.New(ctx, pool, nil)
//	…
//	err = dispatcher.EmitTo(ctx, store.Tx(tx), event) // commits or rolls back with tx
//
// # The pool
//
// The pool stays the host's. One connection of it is enough. The store leaves
// nothing in a session, neither settings nor locks, so PgBouncer in transaction
// mode may stand between. ([Options.Notify] listens on a connection beside the
// pool.) Every statement works in each of pgx's query modes. If your pooler does
// not know prepared statements, choose [pgx.QueryExecModeExec] or the simple
// protocol in the pool's configuration.
//
// Every transaction of the store's own takes one or two round trips, reads
// committed rows whatever the session's default is, and ends a statement that takes
// longer than 10 seconds. Making a partition ends after 1 second; [Migrate] takes as long
// as its context allows.
//
// # Tables
//
// The table queue holds the unfinished deliveries and nothing else: its size is the
// backlog, not the history. One statement takes a delivery out of it and writes its
// history. The table owners has a row for each Store that claims, and slots, 256 rows, says
// from which endpoints each of them does. Events, deliveries and attempts have a partition for each day. The
// processes that claim make the partitions of the days to come, and [Store.Purge]
// drops those that have passed their time. Where a publication covers all tables, set its
// publish_via_partition_root: a subscriber lacks the partitions of each new day.
//
// No index exists for lists alone, since each delivery would pay for it. A list goes
// by the indexes that deliveries need anyway, endpoint by endpoint. If a filter asks
// for something that no index covers, such as a type, a page shows the matches among
// a few thousand deliveries, and the next page goes on behind these.
//
// # What a process remembers
//
// A claim writes nothing. The Stores that claim part the endpoints among them, and each
// remembers what it has claimed and not finished. So Finish has to be called on the Store
// whose Claim gave the delivery. About once a second a claim extends the lease of its Store,
// gives endpoints to one that has joined, and takes over those of one whose lease has run out,
// an eighth and a second later than that of its last claim. A claim with a Limit of 0 hands
// over all endpoints at once. The leases of deliveries that are under way then are written into
// their rows, and the deliveries stay with the Store that sends them.
//
// Nor does a claim search the queue. Each Store remembers which of its endpoints have due
// deliveries, and where in the queue each of them goes on. Other processes add
// deliveries, too. So the Store surveys the queue: it steps through the endpoints that
// have unfinished deliveries, not through the deliveries. As long as that takes
// milliseconds, it does so before every claim that would return nothing, and
// otherwise for at most a twentieth of the time. If a pinned snapshot makes surveys
// slow, one begins every 30 seconds all the same. Only the work of the server in several
// surveys counts, and not the time that one of them had to wait, as for a lock.
//
// A delivery whose transaction is committed more than a second after the emit may be
// passed over by the next claims. The next survey finds it.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/alot/alotwebhook"
)

// DefaultSchema is the schema of the tables when [Options.Schema] is empty.
const DefaultSchema = "alotwebhook"

// minServer is the oldest version of PostgreSQL that works, 14, as the setting
// server_version_num spells it.
const minServer = 140000

// Options are the options of a [Store]; nil works and means every default.
type Options struct {
	// Schema is the schema of the tables. Stores of different schemas share nothing.
	// It has at most 63 bytes, of UTF-8 without a NUL: PostgreSQL would cut off the others.
	// Defaults to [DefaultSchema].
	Schema string
	// Migrate makes [New] call the function [Migrate] first. Leave it false where the
	// process's role is not to change the schema. Defaults to false.
	Migrate bool
	// Notify makes processes tell each other when they emit, so that an idle process
	// sends within milliseconds instead of waiting for its dispatcher's PollInterval.
	// It costs at most ten NOTIFY a second in each process that emits, and in each
	// process that delivers a connection beside the pool's. PgBouncer in transaction
	// mode cannot provide that connection. Defaults to false.
	Notify bool
	// Logger receives problems that make no call fail, such as a notification that
	// was not sent. Defaults to [slog.Default].
	Logger *slog.Logger
}

// Store is an [alotwebhook.Store] on PostgreSQL. It has no resources of its own
// beside the pool's, and needs no closing.
type Store struct {
	pool     *pgxpool.Pool
	schema   string // as the host gave it
	quoted   string // as SQL quotes it
	database string // its name
	home     string // the same, as SQL quotes it
	logger   *slog.Logger

	claiming      chan struct{} // a mutex that a context can give up on: holds one element while nobody claims
	partitionsDue time.Time     // when to check for missing partitions; guarded by claiming
	maxDefault    int64         // maxDefault
	sparseFrom    int64         // sparseFrom
	endpoints     endpointCache // guarded by claiming
	rows          []row         // what the last claim read, for the memory; guarded by claiming
	owns          ownership     // guarded by claiming, but for the id
	held          *held
	lanes         *lanes
	audiences     audienceCache
	recent        recent
	walks         walks
	prepares      bool // the pool's connections keep prepared statements
	// expiring holds the keys of endpoints that have parked deliveries to expire, as far as
	// a purge has found and not dealt with them.
	expiring struct {
		sync.Mutex
		keys []int64
	}

	rebuildPatience time.Duration // rebuildPatience

	notifies      bool
	silence       time.Duration // listenSilence
	notifications notifications
}

var _ alotwebhook.Store = (*Store)(nil)

// New returns a store on the pool. It returns an error if the server does not
// respond, is older than PostgreSQL 14, takes no writes or does not keep UTF-8, or if
// the pool's connections do not speak it; if the pool prepares statements and a pooler does not
// know them; if the schema is missing, its version is not the
// one that this code knows, or tables of it are missing; and if the role may not use it. The error says what to do. A nil pool, or a schema's name that is none, is an
// [*alotwebhook.FieldError].
func New(ctx context.Context, pool *pgxpool.Pool, opts *Options) (*Store, error) {
	if err := checkInput(pool, opts); err != nil {
		return nil, err
	}
	s := newStore(pool, opts)
	if err := s.checkPooler(ctx); err != nil {
		return nil, s.explain("look for a pooler", err)
	}
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

// checkInput refuses a pool and options with which nothing works.
func checkInput(pool *pgxpool.Pool, opts *Options) error {
	if pool == nil {
		return &alotwebhook.FieldError{Field: "pool", Problem: "is nil; give the pool that pgxpool.New returned, after a look at its error"}
	}
	return checkSchemaName(cmp.Or(opts, &Options{}).Schema)
}

func newStore(pool *pgxpool.Pool, opts *Options) *Store {
	opts = cmp.Or(opts, &Options{})
	s := &Store{
		pool:       pool,
		schema:     cmp.Or(opts.Schema, DefaultSchema),
		logger:     cmp.Or(opts.Logger, slog.Default()),
		claiming:   make(chan struct{}, 1),
		maxDefault: maxDefault,
		sparseFrom: sparseFrom,

		rebuildPatience: rebuildPatience,

		endpoints: endpointCache{},
		held:      newHeld(),
		lanes:     newLanes(),
		notifies:  opts.Notify,
		silence:   listenSilence,
		prepares:  pool.Config().ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement,
	}
	s.quoted = quoted(s.schema)
	s.claiming <- struct{}{}
	return s
}

// server holds what a server says about itself.
type server struct {
	version           int  // server_version_num, such as 150004
	standby, readOnly bool // readOnly is the session's default
	encoding          string
	database          string
}

func (s *Store) checkServer(ctx context.Context) error {
	return s.within(ctx, func(conn *pgxpool.Conn) error {
		var v server
		err := conn.QueryRow(ctx, `
			SELECT current_setting('server_version_num')::int, pg_is_in_recovery(),
				current_setting('default_transaction_read_only') = 'on', current_setting('server_encoding'), current_database()`,
		).Scan(&v.version, &v.standby, &v.readOnly, &v.encoding, &v.database)
		if err != nil {
			return err
		}
		s.database, s.home = v.database, literal(v.database)
		return v.check()
	})
}

// check refuses a server on which the store cannot work.
func (v server) check() error {
	switch {
	case v.version < minServer:
		return fmt.Errorf("the server is PostgreSQL %d: 14 or later is needed", v.version/10000)
	case v.standby:
		return noWrites{errors.New("the server is a standby, which takes no writes: connect to the primary (target_session_attrs=read-write)")}
	case v.readOnly:
		return errors.New("the session is read-only: unset default_transaction_read_only, or connect to the primary")
	case v.encoding != "UTF8":
		return fmt.Errorf("the database is encoded as %s: payloads need UTF8", v.encoding)
	}
	return nil
}

// checkTimeout bounds each statement with which New looks at the schema.
const checkTimeout = "10s"

func (s *Store) checkSchema(ctx context.Context) error {
	return s.inTx(ctx, checkTimeout, checkTimeout, func(tx pgx.Tx) error {
		version, err := s.schemaVersion(ctx, tx)
		switch {
		case err != nil:
			return err
		case version == 0:
			return fmt.Errorf("schema %q has no tables: call postgres.Migrate, or set Options.Migrate", s.schema)
		case version < SchemaVersion:
			return fmt.Errorf("schema %q is at version %d and this code needs %d: call postgres.Migrate, or set Options.Migrate", s.schema, version, SchemaVersion)
		}
		if err := s.checkTables(ctx, tx); err != nil {
			return err
		}
		return s.checkRights(ctx, tx)
	})
}

// tables are those that the code works with, beside migrations.
var tables = append([]string{"endpoints", "urls", "queue", "owners", "slots", "firsts", "recoveries", "tallies", "operations", "pauses"}, partitioned[:]...)

// checkTables returns an error that names the tables that somebody has dropped.
func (s *Store) checkTables(ctx context.Context, q queryRower) error {
	var missing []string
	// $1 is the schema's name, $2 are the tables' names.
	err := q.QueryRow(ctx, `
		SELECT coalesce(array_agg(t), '{}') FROM unnest($2::text[]) AS t
		WHERE to_regclass($1::text || '.' || t) IS NULL`, s.quoted, tables).Scan(&missing)
	if err != nil || len(missing) == 0 {
		return err
	}
	return fmt.Errorf("schema %q lacks %s, which its version has: somebody has dropped that. Restore it from a backup; "+
		"postgres.Migrate makes tables anew only after the whole schema is dropped", s.schema, strings.Join(missing, ", "))
}

// checkRights returns an error that names the first table on which the role lacks
// rights.
func (s *Store) checkRights(ctx context.Context, q queryRower) error {
	for _, table := range tables {
		var may bool
		// $1 is the table's name.
		err := q.QueryRow(ctx, `
			SELECT bool_and(has_table_privilege($1, p))
			FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p`, s.quoted+"."+table).Scan(&may)
		if err != nil {
			return err
		}
		if !may {
			return fmt.Errorf("the role may not select, insert, update and delete in %s.%s: grant it these rights; docs/sending.md lists them all", s.schema, table)
		}
	}
	return nil
}

var errNotMade = errors.New("alotwebhook: postgres: the store is nil or zero; make the store with New, and look at the error that it returns")

// made refuses a store that New has not made, as when the error of that was ignored.
func (s *Store) made() error {
	if s == nil || s.pool == nil {
		return errNotMade
	}
	return nil
}

// Schema returns the name of the schema that the store works in.
func (s *Store) Schema() string { return s.schema }

// Place names the database and the schema: see [alotwebhook.Enqueuer].
func (s *Store) Place() string {
	if s.made() != nil {
		return ""
	}
	return fmt.Sprintf("the PostgreSQL database %q, schema %q", s.database, s.schema)
}

// sql puts names into a statement: that of the database where it says {home}, and that of the schema
// where it says {s}.
func (s *Store) sql(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "{home}", s.home), "{s}", s.quoted)
}

// literal quotes a text so that it means the same whatever standard_conforming_strings is. It has no
// brace, in which something could be put.
func literal(s string) string {
	return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`, `{`, `\x7b`).Replace(s) + "'"
}
