package dedupe

import "strings"

// Dialect is the SQL that a database understands.
type Dialect string

const (
	// SQLite is for SQLite 3.35 and later, with any driver. The handle should
	// wait for locks, and begin its transactions with the write lock: otherwise
	// writers that meet get errors. With modernc.org/sqlite, append
	// "?_pragma=busy_timeout(10000)&_txlock=immediate" to the file's name.
	SQLite Dialect = "sqlite"
	// PostgreSQL is for PostgreSQL 12 and later, with any driver.
	PostgreSQL Dialect = "postgresql"
)

// statements are the SQL statements of a dialect. Times are milliseconds since 1970
// by the database's clock. The column expires_at is the end of the lease or, once
// the key is done, of the retention. A row is deleted an hour after it has expired,
// so that a handler that outlived its lease still finds the row and can complete it.
//
// A claim that meets its own token has it: lib/pq has a statement run twice if the
// connection ends before the answer to the first run.
type statements struct {
	create                                     []string
	claim, look, complete, own, release, purge string
}

var dialects = map[Dialect]*statements{
	SQLite: newStatements(map[string]string{
		"{boolean}":     "INTEGER",
		"{options}":     " WITHOUT ROWID",
		"{now}":         "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
		"{skip locked}": "",
		"$":             "?", // SQLite's own form is ?1; not every driver takes $1
	}),
	PostgreSQL: newStatements(map[string]string{
		"{boolean}":     "BOOLEAN",
		"{options}":     "",
		"{now}":         "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
		"{skip locked}": " FOR UPDATE SKIP LOCKED", // processes that purge at the same time do not wait for each other
	}),
}

// newStatements writes the statements of a dialect, with its words in place of the
// words in braces.
func newStatements(words map[string]string) *statements {
	var pairs []string
	for from, to := range words {
		pairs = append(pairs, from, to)
	}
	in := strings.NewReplacer(pairs...).Replace
	return &statements{
		create: []string{
			in(`CREATE TABLE IF NOT EXISTS alotwebhook_handled (
	event_key  TEXT NOT NULL PRIMARY KEY,
	token      BIGINT NOT NULL,
	done       {boolean} NOT NULL,
	expires_at BIGINT NOT NULL
){options}`),
			`CREATE INDEX IF NOT EXISTS alotwebhook_handled_expires_at ON alotwebhook_handled (expires_at)`,
		},
		claim: in(`INSERT INTO alotwebhook_handled AS h (event_key, token, done, expires_at)
VALUES ($1, $2, FALSE, {now} + $3)
ON CONFLICT (event_key) DO UPDATE SET token = excluded.token, expires_at = excluded.expires_at
WHERE NOT h.done AND (h.expires_at <= {now} OR h.token = excluded.token)
RETURNING token`),
		look: in(`SELECT done, expires_at - {now} FROM alotwebhook_handled WHERE event_key = $1`),
		complete: in(`UPDATE alotwebhook_handled SET done = TRUE, expires_at = {now} + $3
WHERE event_key = $1 AND token = $2 AND NOT done`),
		own: in(`SELECT COUNT(*) FROM alotwebhook_handled WHERE event_key = $1 AND token = $2`),
		release: in(`DELETE FROM alotwebhook_handled
WHERE event_key = $1 AND token = $2 AND NOT done`),
		purge: in(`DELETE FROM alotwebhook_handled WHERE event_key IN (
	SELECT event_key FROM alotwebhook_handled WHERE expires_at < {now} - 3600000
	ORDER BY expires_at LIMIT $1{skip locked})`),
	}
}
