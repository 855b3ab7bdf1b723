package sqlite_test

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

// inTx begins a transaction on the host's handle.
func inTx(t *testing.T, db *sql.DB) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	return tx
}

// hosts runs a test on handles with many connections and with one.
func hosts(t *testing.T, f func(t *testing.T, db *sql.DB, s *sqlite.Store)) {
	for name, conns := range map[string]int{"many": 0, "one": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := hostHandle(t, newPath(t))
			db.SetMaxOpenConns(conns)
			_, err := db.Exec("CREATE TABLE candidates (name TEXT)")
			require.NoError(t, err)
			s := onHandle(t, db)
			putEndpoint(t, s, 1, "org_1")
			f(t, db, s)
		})
	}
}

func TestTxCommitsWithTheHost(t *testing.T) {
	t.Parallel()
	hosts(t, func(t *testing.T, db *sql.DB, s *sqlite.Store) {
		event := newEvent(t, "org_1")
		tx := inTx(t, db)
		require.NoError(t, s.Tx(tx).Enqueue(t.Context(), []alotwebhook.Event{event}))
		_, err := tx.Exec("INSERT INTO candidates VALUES ('Jane Smith')")
		require.NoError(t, err)
		require.NoError(t, tx.Commit())
		claimed := claim(t, s, 10, nil)
		require.Len(t, claimed, 1)
		require.Equal(t, event.ID, claimed[0].EventID)
	})
}

func TestTxRollsBackWithTheHost(t *testing.T) {
	t.Parallel()
	hosts(t, func(t *testing.T, db *sql.DB, s *sqlite.Store) {
		event := newEvent(t, "org_1")
		tx := inTx(t, db)
		require.NoError(t, s.Tx(tx).Enqueue(t.Context(), []alotwebhook.Event{event}))
		require.NoError(t, tx.Rollback())
		require.Empty(t, claim(t, s, 10, nil))
		_, err := s.Event(t.Context(), event.ID)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	})
}

// The host may go on after an error and commit; nothing of the batch is then stored.
func TestTxStoresAllOrNothing(t *testing.T) {
	t.Parallel()
	hosts(t, func(t *testing.T, db *sql.DB, s *sqlite.Store) {
		good, bad := newEvent(t, "org_1"), newEvent(t, "org_1")
		bad.ID = "evt_short"
		tx := inTx(t, db)
		require.ErrorContains(t, s.Tx(tx).Enqueue(t.Context(), []alotwebhook.Event{good, bad}), "evt_short")
		_, err := tx.Exec("INSERT INTO candidates VALUES ('Jane Smith')")
		require.NoError(t, err)
		require.NoError(t, tx.Commit())
		require.Empty(t, claim(t, s, 10, nil))
	})
}

func TestTxThatHasEnded(t *testing.T) {
	t.Parallel()
	hosts(t, func(t *testing.T, db *sql.DB, s *sqlite.Store) {
		tx := inTx(t, db)
		require.NoError(t, tx.Commit())
		err := s.Tx(tx).Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_1")})
		require.ErrorIs(t, err, sql.ErrTxDone)
		require.ErrorContains(t, err, "has ended")
		require.ErrorContains(t, s.Tx(nil).Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_1")}), "nil")
	})
}

// An event stored by an earlier transaction, and one of this very transaction, count once.
func TestTxKnowsWhatIsStored(t *testing.T) {
	t.Parallel()
	hosts(t, func(t *testing.T, db *sql.DB, s *sqlite.Store) {
		old, fresh := newEvent(t, "org_1"), newEvent(t, "org_1")
		require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{old}))
		tx := inTx(t, db)
		for range 2 {
			require.NoError(t, s.Tx(tx).Enqueue(t.Context(), []alotwebhook.Event{old, fresh, fresh}))
		}
		require.NoError(t, tx.Commit())
		require.Len(t, claim(t, s, 10, nil), 2)
	})
}

// A store remembers who gets the events of hosts' transactions. Other processes register,
// change and delete endpoints meanwhile.
func TestTxKnowsEndpointsOfOtherProcesses(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := hostHandle(t, path)
	s, elsewhere := onHandle(t, db), onHandle(t, hostHandle(t, path))
	otherHandle := hostHandle(t, path) // the store has prepared nothing on this one
	emit := func(want ...alotwebhook.Endpoint) {
		t.Helper()
		for _, handle := range []*sql.DB{db, db, otherHandle} {
			for n := 1; n <= 2; n++ {
				events := make([]alotwebhook.Event, n)
				var ids, got []string
				for i := range events {
					events[i] = newEvent(t, "org_1")
					for _, e := range want {
						ids = append(ids, alotwebhook.DeliveryID(events[i].ID, e.ID))
					}
				}
				for range 2 { // the second time, nothing is stored
					tx := inTx(t, handle)
					require.NoError(t, s.Tx(tx).Enqueue(t.Context(), events))
					require.NoError(t, tx.Commit())
				}
				for _, c := range claim(t, s, 100, nil) {
					got = append(got, c.DeliveryID)
				}
				require.ElementsMatch(t, ids, got)
			}
		}
	}
	put := func(e *alotwebhook.Endpoint) {
		t.Helper()
		require.NoError(t, elsewhere.PutEndpoint(t.Context(), *e))
		e.Version++
	}
	emit()
	a, b := putEndpoint(t, elsewhere, 1, "org_1"), putEndpoint(t, elsewhere, 2, "org_2")
	a.Version, b.Version = 1, 1
	emit(a)
	b.OrganizationID = "org_1"
	put(&b)
	emit(a, b)
	a.EventTypes = []string{alotwebhook.EventCandidateInvited}
	put(&a)
	emit(b)
	require.NoError(t, elsewhere.DeleteEndpoint(t.Context(), b.ID))
	emit()
	a.EventTypes = []string{completed}
	put(&a)
	emit(a)
}

// The first event of a type stores the type, too, which a rollback takes back.
func TestTxRollsBackANewType(t *testing.T) {
	t.Parallel()
	hosts(t, func(t *testing.T, db *sql.DB, s *sqlite.Store) {
		for range 3 {
			tx := inTx(t, db)
			for range 2 {
				require.NoError(t, s.Tx(tx).Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_1")}))
			}
			require.NoError(t, tx.Rollback())
		}
		event := newEvent(t, "org_1")
		tx := inTx(t, db)
		require.NoError(t, s.Tx(tx).Enqueue(t.Context(), []alotwebhook.Event{event}))
		require.NoError(t, tx.Commit())
		claimed := claim(t, s, 10, nil)
		require.Len(t, claimed, 1)
		require.Equal(t, completed, claimed[0].EventType)
		require.Equal(t, event.ID, claimed[0].EventID)
	})
}

// A host's open transaction makes the store wait, and a caller may stop waiting.
func TestCallerStopsWaiting(t *testing.T) {
	t.Parallel()
	db := hostHandle(t, newPath(t))
	db.SetMaxOpenConns(1)
	s := onHandle(t, db)
	tx := inTx(t, db)
	holds := make(chan error, 1)
	go func() { // the writer is held up with this one
		holds <- s.Enqueue(context.WithoutCancel(t.Context()), []alotwebhook.Event{newEvent(t, "org_1")})
	}()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(sql.ErrConnDone)
	require.ErrorIs(t, s.Enqueue(ctx, []alotwebhook.Event{newEvent(t, "org_1")}), sql.ErrConnDone)
	require.NoError(t, tx.Rollback())
	require.NoError(t, <-holds)
}

// Whoever stops reading in the middle learns that, and not what became of the
// statements.
func TestReaderStops(t *testing.T) {
	t.Parallel()
	s, _ := backlog(t, 3, 200)
	for range 500 {
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			time.Sleep(rand.N(time.Millisecond)) // a random instant
			cancel()
		}()
		_, _, err := s.Deliveries(ctx, alotwebhook.Filter{Limit: 50})
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
		<-stopped
	}
}

// A transaction that has read cannot write once another has, whatever its busy timeout. The
// error names the cure, which is not to wait.
func TestTxThatHasReadNamesTheCure(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s := onHandle(t, db)
	read := func(tx *sql.Tx) {
		var n int
		require.NoError(t, tx.QueryRow("SELECT count(*) FROM alotwebhook_migrations").Scan(&n))
	}

	stale := inTx(t, db)
	read(stale)
	require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_1")}))
	err = s.Tx(stale).Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_1")})
	require.ErrorContains(t, err, "another transaction has written since this one first read")
	require.ErrorContains(t, err, "_txlock=immediate")
	require.NotContains(t, err.Error(), "keep transactions short")
	require.NoError(t, stale.Rollback())

	// With the cure it waits for the other one, and then reads what is there now.
	immediate, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(600000)&_txlock=immediate")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, immediate.Close()) })
	for range 20 {
		enqueued := make(chan error, 1)
		go func() {
			enqueued <- s.Enqueue(context.Background(), []alotwebhook.Event{newEvent(t, "org_1")})
		}()
		tx := inTx(t, immediate)
		read(tx)
		require.NoError(t, s.Tx(tx).Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_1")}))
		require.NoError(t, tx.Commit())
		require.NoError(t, <-enqueued)
	}
}
