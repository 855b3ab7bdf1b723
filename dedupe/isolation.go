package dedupe

import (
	"context"
	"database/sql"
	"errors"

	"github.com/alot/alotwebhook/store/sqltx"
)

// runner is what statements run on: the handle or a transaction.
type runner interface {
	sqltx.Tx
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// alone runs statements that each are a transaction of their own. Where PostgreSQL isolates those of the
// database or the role as SERIALIZABLE or REPEATABLE READ, it refuses some in favour of others, even of
// other keys. These run again in one that reads what is committed, where it refuses none. The others
// cost no more round trips than they did.
func (s *SQL) alone(ctx context.Context, run func(runner) error) error {
	err := run(s.db)
	if !lostRace(err) {
		return err
	}
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after a commit
	if err := run(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// lostRace reports whether PostgreSQL has ended a transaction in favour of another one, which leaves
// nothing of it.
func lostRace(err error) bool {
	var state interface{ SQLState() string } // pgx, lib/pq
	if errors.As(err, &state) {
		return lost40(state.SQLState())
	}
	var field interface{ Field(byte) string } // bun's pgdriver
	return errors.As(err, &field) && lost40(field.Field('C'))
}

// lost40 reports whether the state is serialization_failure or deadlock_detected.
func lost40(sqlState string) bool { return sqlState == "40001" || sqlState == "40P01" }
