package sqlite_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	modernc "modernc.org/sqlite"

	"github.com/alot/alotwebhook"
)

// cutOff ends the context of TestTxOutlivesTheContextOfAnEmit from within a statement.
var cutOff atomic.Pointer[context.CancelFunc]

func init() {
	modernc.MustRegisterScalarFunction("cut_off", 0, func(*modernc.FunctionContext, []driver.Value) (driver.Value, error) {
		(*cutOff.Load())()
		return nil, nil
	})
}

// SQLite rolls the whole transaction back if a statement that writes is interrupted, and what
// is executed in it afterwards is committed at once. A host that goes on without its event has
// to keep its rows.
func TestTxOutlivesTheContextOfAnEmit(t *testing.T) {
	t.Parallel()
	skipUnderRaceDetector(t)
	db := hostHandle(t, newPath(t))
	s := onHandle(t, db)
	for n := range 9 { // two statements: eight deliveries and one
		putEndpoint(t, s, n, "org_1")
	}
	for _, statement := range []string{
		"CREATE TABLE candidates (name TEXT)",
		`CREATE TRIGGER slow AFTER INSERT ON alotwebhook_queue BEGIN
			SELECT cut_off();
			SELECT count(*) FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c LIMIT 100000) SELECT n FROM c);
		END`,
	} {
		_, err := db.Exec(statement)
		require.NoError(t, err)
	}
	insert := func(tx *sql.Tx, name string) {
		_, err := tx.Exec("INSERT INTO candidates VALUES (?)", name)
		require.NoError(t, err)
	}
	for _, commit := range []bool{true, false} {
		ctx, cancel := context.WithCancel(t.Context())
		cutOff.Store(&cancel)
		event := newEvent(t, "org_1")
		tx := inTx(t, db)
		insert(tx, "before")
		require.ErrorIs(t, s.Tx(tx).Enqueue(ctx, []alotwebhook.Event{event}), context.Canceled)
		insert(tx, "after")
		if commit {
			require.NoError(t, tx.Commit())
		} else {
			require.NoError(t, tx.Rollback())
		}
		_, err := s.Event(t.Context(), event.ID)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
		var names string
		require.NoError(t, db.QueryRow("SELECT group_concat(name) FROM candidates").Scan(&names))
		require.Equal(t, "before,after", names)
	}
}
