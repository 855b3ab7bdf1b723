package postgres

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// Ids begin with their time. What stays in the queue while all around it is delivered, such
// as the backlog of an endpoint that hangs, keeps a page of the primary key for every few of
// its rows: the index grows with the time that has passed. PostgreSQL gives back only pages
// that are empty. So the index is built anew once it is mostly air, which costs the
// deliveries nothing, as another key would.

const (
	// sparseFrom is the size in bytes from which an index of the queue may be sparse.
	sparseFrom = 16 << 20
	// sparseRow is how many bytes of an index there are for each row of the queue, at least,
	// if it is sparse. A new one has less than 50.
	sparseRow = 256
	// rebuildPatience is how long a rebuild waits for other transactions, before it begins and
	// each time afterwards. Nobody waits behind it, but autovacuum does not come to the queue
	// meanwhile.
	rebuildPatience = 5 * time.Second
	// rebuildStatement bounds the work for one index, rebuildTimeout that for all.
	rebuildStatement, rebuildTimeout = 2 * time.Minute, 5 * time.Minute
)

// sparseIndexesSQL returns the names of the queue's indexes of at least $2 bytes, with at least
// $3 bytes for each row that the last vacuum found, and how many rows would be too many for
// that. $1 is the queue. Before 14.4 PostgreSQL may damage an index that it builds while others
// write.
const sparseIndexesSQL = `
SELECT c.relname::text, pg_relation_size(c.oid) / $3::bigint
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_class t ON t.oid = i.indrelid
WHERE i.indrelid = to_regclass($1::text) AND i.indisvalid
	AND pg_has_role(c.relowner, 'USAGE') AND current_setting('server_version_num')::int >= 140004
	AND pg_relation_size(c.oid) >= $2::bigint
	AND t.reltuples BETWEEN 0 AND pg_relation_size(c.oid) / $3::bigint`

// leftOverSQL returns the names of indexes of the queue ($1) that a rebuild has not completed.
const leftOverSQL = `
SELECT c.relname::text
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = to_regclass($1::text) AND NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$'
	AND pg_has_role(c.relowner, 'USAGE')`

// rebuildIndexes builds the sparse indexes of the queue anew, if the role owns them, and drops
// what an earlier try has left. Claims, emits and finishes go on meanwhile.
func (s *Store) rebuildIndexes(ctx context.Context) error {
	sparse, err := s.sparseIndexes(ctx)
	if err != nil {
		return err
	}
	left, err := s.indexNames(ctx, leftOverSQL, s.quoted+".queue")
	if err != nil || len(sparse)+len(left) == 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, rebuildTimeout)
	defer cancel()
	conn, err := s.connectPatiently(ctx)
	if err != nil {
		return err
	}
	defer closeSoon(conn)
	if err = s.awaitOthers(ctx, conn); err == nil {
		err = s.dropIndexes(ctx, conn, left)
	}
	for _, name := range sparse {
		if err == nil {
			err = s.rebuildIndex(ctx, conn, name)
		}
	}
	return err
}

// sparseIndexes returns the names of the indexes to be built anew. By now there may be more rows
// than the last vacuum found, so it counts them, but no further than it has to.
func (s *Store) sparseIndexes(ctx context.Context) (names []string, err error) {
	var most int64
	err = s.runPlain(ctx, step{sql: sparseIndexesSQL, args: []any{s.quoted + ".queue", s.sparseFrom, int64(sparseRow)}, rows: func(rows pgx.Rows) error {
		var name string
		var fewer int64
		_, err := pgx.ForEachRow(rows, []any{&name, &fewer}, func() error {
			names, most = append(names, name), max(most, fewer)
			return nil
		})
		return err
	}})
	if err != nil || len(names) == 0 {
		return nil, err
	}
	var n int64
	err = s.runPlain(ctx, step{sql: `SELECT count(*) FROM (SELECT FROM {s}.queue LIMIT $1) AS q`, args: []any{most}, rows: one(new(bool), &n)})
	if n >= most {
		return nil, err
	}
	return names, err
}

func (s *Store) indexNames(ctx context.Context, sql string, args ...any) (names []string, err error) {
	err = s.runPlain(ctx, step{sql: sql, args: args, rows: func(rows pgx.Rows) (err error) {
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	}})
	return names, err
}

// connectPatiently opens a connection beside the pool, whose statements wait at most
// rebuildPatience for others. What is done there cannot be in a transaction, so no setting
// could be local to one. PgBouncer refuses a connection with such settings, which is right: the
// session would be that of others afterwards.
func (s *Store) connectPatiently(ctx context.Context) (*pgx.Conn, error) {
	return s.connect(ctx, func(config *pgx.ConnConfig) {
		if config.RuntimeParams == nil { // BeforeConnect may have put another configuration in its place
			config.RuntimeParams = map[string]string{}
		}
		config.RuntimeParams["lock_timeout"] = strconv.FormatInt(s.rebuildPatience.Milliseconds(), 10)
		config.RuntimeParams["statement_timeout"] = strconv.FormatInt(rebuildStatement.Milliseconds(), 10)
	})
}

// openSQL returns which transactions of the database are open, of those in $1 or of all.
const openSQL = `
SELECT coalesce(array_agg(l.virtualtransaction), '{}')
FROM pg_locks l
JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'virtualxid' AND l.granted AND a.datname = current_database() AND a.backend_type = 'client backend'
	AND l.pid <> pg_backend_pid() AND ($1::text[] IS NULL OR l.virtualtransaction = ANY ($1))`

// errOthers is why a rebuild is not begun: it would wait for such a transaction while each
// write keeps the new index up to date, and could not even drop that.
var errOthers = errors.New("a transaction has been open for long, such as a backup")

// awaitOthers waits until the transactions that are open have ended.
func (s *Store) awaitOthers(ctx context.Context, conn *pgx.Conn) error {
	var open []string
	for began, first := time.Now(), true; ; first = false {
		if err := conn.QueryRow(ctx, openSQL, open).Scan(&open); err != nil {
			return err
		}
		if len(open) == 0 {
			return nil
		}
		if !first && time.Since(began) >= s.rebuildPatience {
			return errOthers
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(s.rebuildPatience / 50):
		}
	}
}

// rebuildIndex builds an index anew. When that fails, it drops what there is of the new one:
// each write would have to keep it up to date.
func (s *Store) rebuildIndex(ctx context.Context, conn *pgx.Conn, name string) error {
	began := time.Now()
	_, err := conn.Exec(ctx, s.sql(`REINDEX INDEX CONCURRENTLY {s}.`+pgx.Identifier{name}.Sanitize()), pgx.QueryExecModeSimpleProtocol)
	if err == nil {
		s.logger.Info("alotwebhook: postgres: a sparse index was built anew", "index", name, "after", time.Since(began).Round(time.Millisecond))
		return nil
	}
	left, leftErr := s.indexNames(ctx, leftOverSQL, s.quoted+".queue")
	return errors.Join(err, leftErr, s.dropIndexes(ctx, conn, left))
}

// dropIndexes drops indexes that were not completed. One that another process is just building
// is locked for longer than the connection waits.
func (s *Store) dropIndexes(ctx context.Context, conn *pgx.Conn, names []string) error {
	for _, name := range names {
		_, err := conn.Exec(ctx, s.sql(`DROP INDEX CONCURRENTLY IF EXISTS {s}.`+pgx.Identifier{name}.Sanitize()), pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			return err
		}
	}
	return nil
}

// tryRebuild is rebuildIndexes for a purge, which does not fail because that cannot be done
// now.
func (s *Store) tryRebuild(ctx context.Context) error {
	if err := s.rebuildIndexes(ctx); err != nil {
		s.logger.Debug("alotwebhook: postgres: the indexes of the queue were not looked after; the next purge tries again", "error", err)
	}
	return ctx.Err()
}
