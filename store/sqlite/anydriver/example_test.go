package anydriver_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // any driver: of your program, for example github.com/glebarez/go-sqlite

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite/anydriver"
)

// The handle is the host's own, and so is the choice of its driver.
func ExampleNew() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "app.db")+"?_pragma=busy_timeout(10000)&_txlock=immediate")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	store, err := anydriver.New(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	dispatcher, err := alotwebhook.NewDispatcher(store, nil)
	if err != nil {
		log.Fatal(err)
	}

	event, err := alotwebhook.NewEvent("candidate.completed", "org_123", map[string]any{"sessionId": "sess_1", "score": 82})
	if err != nil {
		log.Fatal(err)
	}
	if err := dispatcher.Emit(ctx, event); err != nil {
		log.Fatal(err)
	}
	stored, err := store.Event(ctx, event.ID)
	fmt.Println(string(stored.Data), err)
	// Output: {"score":82,"sessionId":"sess_1"} <nil>
}
