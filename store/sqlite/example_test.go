package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

// A host emits in the transaction that changes its own table: the row and the
// event are stored together, or neither is.
func ExampleStore_Tx() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "host.db")+"?_pragma=busy_timeout(10000)&_txlock=immediate")
	check(err)
	defer db.Close()
	_, err = db.ExecContext(ctx, "CREATE TABLE candidates (session_id TEXT PRIMARY KEY, score INTEGER NOT NULL)")
	check(err)

	store, err := sqlite.New(ctx, db)
	check(err)
	defer store.Close()
	dispatcher, err := alotwebhook.NewDispatcher(store, nil)
	check(err)

	errScore := errors.New("a score is at least 0")
	complete := func(sessionID string, score int) (eventID string, err error) {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return "", err
		}
		defer tx.Rollback() // does nothing after Commit
		if _, err := tx.ExecContext(ctx, "INSERT INTO candidates VALUES (?, ?)", sessionID, score); err != nil {
			return "", err
		}
		event, err := alotwebhook.NewEvent("candidate.completed", "org_123", map[string]any{"sessionId": sessionID, "score": score})
		if err != nil {
			return "", err
		}
		if err := dispatcher.EmitTo(ctx, store.Tx(tx), event); err != nil {
			return "", err
		}
		if score < 0 {
			return event.ID, errScore
		}
		return event.ID, tx.Commit()
	}

	eventID, err := complete("sess_1", 82)
	check(err)
	event, err := dispatcher.Event(ctx, eventID)
	check(err)
	fmt.Println("committed:", string(event.Data))

	eventID, err = complete("sess_2", -1)
	fmt.Println("rolled back:", err)
	_, err = dispatcher.Event(ctx, eventID)
	fmt.Println("its event is stored:", !errors.Is(err, alotwebhook.ErrNotFound))
	// Output:
	// committed: {"score":82,"sessionId":"sess_1"}
	// rolled back: a score is at least 0
	// its event is stored: false
}

// check is for examples, where an error cannot happen.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
