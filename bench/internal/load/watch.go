package load

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"time"

	"github.com/alot/alotwebhook/bench/internal/stores"
)

// figures describe a database at one moment. They are not known while somebody locks the
// queue.
type figures struct {
	Known                 bool
	Pending, Due, Hanging float64            // deliveries; those of receivers that hang
	Live, Dead            float64            // rows of the queue
	Table                 float64            // KiB of the queue
	Indexes               map[string]float64 // KiB, by the name of the index
	File, WAL             float64            // KiB of files
	Longest               float64            // seconds of the longest transaction since the last time
}

// watcher observes a database.
type watcher interface {
	// second is called once a second.
	second(ctx context.Context)
	figures(ctx context.Context) figures
	close() error
}

// newWatcher also makes the host's own table.
func newWatcher(ctx context.Context, s *stores.Store) (watcher, error) {
	if s.Place.Kind == "postgres" {
		return newPostgresWatcher(ctx, s)
	}
	return newSQLiteWatcher(ctx, s)
}

// lockTimeout is how long an observer waits for a lock.
const lockTimeout = "SET lock_timeout = '500ms'"

type postgresWatcher struct {
	store   *stores.Store
	longest float64
}

func newPostgresWatcher(ctx context.Context, s *stores.Store) (watcher, error) {
	for _, statement := range []string{
		"SET application_name = '" + observer + "'", lockTimeout,
		"CREATE TABLE " + hostTable(s.Place) + " (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL)",
	} {
		if err := exec(ctx, s, statement); err != nil {
			return nil, err
		}
	}
	return &postgresWatcher{store: s}, nil
}

func exec(ctx context.Context, s *stores.Store, statement string) error {
	rows, err := s.Query(ctx, statement)
	if err != nil {
		return err
	}
	rows.Close()
	return rows.Err()
}

func (w *postgresWatcher) close() error { return nil }

// row returns the only row of a question.
func (w *postgresWatcher) row(ctx context.Context, query string, args []any, into ...any) error {
	rows, err := w.store.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
	}
	rows.Close()
	return rows.Err()
}

func (w *postgresWatcher) second(ctx context.Context) {
	var longest float64
	err := w.row(ctx, `SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8
		FROM pg_stat_activity
		WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> $1`, []any{observer}, &longest)
	if err == nil {
		w.longest = max(w.longest, longest)
	}
}

func (w *postgresWatcher) figures(ctx context.Context) figures {
	f := figures{Longest: w.longest}
	w.longest = 0
	schema := w.store.Place.Schema
	queue := schema + ".queue"
	err := w.row(ctx, `SELECT count(*)::float8, (count(*) FILTER (WHERE q.next_at <= clock_timestamp()))::float8,
			(count(*) FILTER (WHERE e.organization_id LIKE 'hang-%'))::float8
		FROM `+queue+` q JOIN `+schema+`.endpoints e ON e.key = q.endpoint`, nil, &f.Pending, &f.Due, &f.Hanging)
	if err == nil {
		err = w.row(ctx, `SELECT n_live_tup::float8, n_dead_tup::float8, pg_relation_size(relid) / 1024.0::float8
			FROM pg_stat_all_tables WHERE relid = $1::text::regclass`, []any{queue}, &f.Live, &f.Dead, &f.Table)
	}
	if err == nil {
		f.Indexes, err = w.indexes(ctx, queue)
	}
	f.Known = err == nil
	return f
}

func (w *postgresWatcher) indexes(ctx context.Context, table string) (map[string]float64, error) {
	rows, err := w.store.Query(ctx, `SELECT c.relname, pg_relation_size(c.oid) / 1024.0::float8
		FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = $1::text::regclass`, table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	sizes := map[string]float64{}
	for rows.Next() {
		var name string
		var size float64
		if err := rows.Scan(&name, &size); err != nil {
			return nil, err
		}
		sizes[name] = size
	}
	return sizes, rows.Err()
}

type sqliteWatcher struct {
	db   *sql.DB
	path string
}

func newSQLiteWatcher(ctx context.Context, s *stores.Store) (watcher, error) {
	db, err := sql.Open("sqlite", "file:"+s.Place.At+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, "CREATE TABLE "+hostTable(s.Place)+" (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &sqliteWatcher{db, s.Place.At}, nil
}

func (w *sqliteWatcher) second(context.Context) {}

func (w *sqliteWatcher) close() error { return w.db.Close() }

func (w *sqliteWatcher) figures(ctx context.Context) figures {
	f := figures{File: kib(w.path), WAL: kib(w.path + "-wal")}
	err := w.db.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(q.next_at <= ?), 0), coalesce(sum(e.organization LIKE 'hang-%'), 0)
		FROM alotwebhook_queue q JOIN alotwebhook_endpoints e ON e.ref = q.endpoint`, time.Now().UnixMicro()).
		Scan(&f.Pending, &f.Due, &f.Hanging)
	f.Known = err == nil
	return f
}

// kib returns the size of a file; 0 if there is none.
func kib(path string) float64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return float64(info.Size()) / 1024
}
