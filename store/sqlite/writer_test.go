package sqlite_test

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

// commits counts the transactions in a write-ahead log. Source:
// https://sqlite.org/fileformat2.html#the_write_ahead_log.
func commits(t *testing.T, path string) (n int) {
	t.Helper()
	wal, err := os.ReadFile(path + "-wal")
	require.NoError(t, err)
	const header, frameHeader = 32, 24
	page := int(binary.BigEndian.Uint32(wal[8:]))
	salts := wal[16:24]
	for at := header; at+frameHeader+page <= len(wal); at += frameHeader + page {
		frame := wal[at:]
		if bytes.Equal(frame[8:16], salts) && binary.BigEndian.Uint32(frame[4:]) != 0 {
			n++
		}
	}
	return n
}

// While another connection holds the write lock, calls gather; then they share
// commits.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s := open(t, path)
	putEndpoint(t, s, 1, "org_1")
	before := commits(t, path)
	lock := inTx(t, hostHandle(t, path))
	_, err := lock.Exec("DELETE FROM alotwebhook_migrations WHERE 0")
	require.NoError(t, err)

	const calls = 60
	for _, err := range enqueueTogether(t, s, lock, calls, func(*alotwebhook.Event, int) {}) {
		require.NoError(t, err)
	}
	require.Less(t, commits(t, path)-before, calls/2)
	require.Len(t, claim(t, s, 100, nil), calls)
}

// enqueueTogether makes calls of one event each while the lock is held. All but
// the first wait for the writer when the lock is given up.
func enqueueTogether(t *testing.T, s *sqlite.Store, lock *sql.Tx, calls int, change func(e *alotwebhook.Event, i int)) []error {
	t.Helper()
	errs := make([]error, calls)
	var wg sync.WaitGroup
	for i := range calls {
		event := newEvent(t, "org_1")
		change(&event, i)
		wg.Go(func() { errs[i] = s.Enqueue(t.Context(), []alotwebhook.Event{event}) })
		if i == 0 {
			require.Eventually(t, s.Writing, patience, time.Millisecond)
		}
	}
	require.Eventually(t, func() bool { return s.Waiting() == calls-1 }, patience, time.Millisecond)
	require.NoError(t, lock.Rollback())
	wg.Wait()
	return errs
}

func TestOneOfAGroupFails(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s := open(t, path)
	putEndpoint(t, s, 1, "org_1")
	lock := inTx(t, hostHandle(t, path))
	_, err := lock.Exec("DELETE FROM alotwebhook_migrations WHERE 0")
	require.NoError(t, err)
	const calls = 20
	errs := enqueueTogether(t, s, lock, calls, func(e *alotwebhook.Event, i int) {
		if i%5 == 0 {
			e.ID = "evt_short"
		}
	})
	for i, err := range errs {
		if i%5 == 0 {
			require.ErrorContains(t, err, "evt_short")
			continue
		}
		require.NoError(t, err)
	}
	require.Len(t, claim(t, s, 100, nil), calls*4/5)
}

// Nothing that the writer does reads a whole table that grows.
func TestPlansScanNothing(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s, err := sqlite.Open(t.Context(), path)
	require.NoError(t, err)
	fleet(t, s, 20)
	enqueue(t, s, 300, 0, 20)
	claimed := claim(t, s, 200, nil)
	finish(t, s, claimed[:100])
	fail := alotwebhook.Outcome{DeliveryID: claimed[100].DeliveryID, Token: claimed[100].Token, State: alotwebhook.StatePending, NextAttemptIn: time.Hour,
		Attempt: alotwebhook.Attempt{Number: 1, StartedAt: time.Now(), StatusCode: 500, Reason: alotwebhook.ReasonStatus}}
	_, err = s.Finish(t.Context(), []alotwebhook.Outcome{fail})
	require.NoError(t, err)
	_, err = s.Redeliver(t.Context(), []string{claimed[0].DeliveryID, fail.DeliveryID})
	require.NoError(t, err)
	require.NoError(t, s.EnqueueTo(t.Context(), endpointID(1), newEvent(t, "org_1")))
	require.NoError(t, s.DeleteEndpoint(t.Context(), endpointID(2)))
	_, err = s.Purge(t.Context(), alotwebhook.PurgeRequest{Payloads: time.Nanosecond, History: time.Nanosecond})
	require.NoError(t, err)
	require.NoError(t, s.Close())

	scan := regexp.MustCompile(`^SCAN (alotwebhook_\w+|[a-z])\b`)
	db := hostHandle(t, path)
	statements := s.Statements()
	require.Greater(t, len(statements), 20)
	for _, query := range statements {
		args := make([]any, strings.Count(query, "?")) // more than it needs where they are numbered
		plan, err := db.Query("EXPLAIN QUERY PLAN "+query, args...)
		require.NoError(t, err, query)
		for plan.Next() {
			var id, parent, unused int
			var detail string
			require.NoError(t, plan.Scan(&id, &parent, &unused, &detail))
			if !strings.Contains(query, "alotwebhook_changes") { // one row
				require.False(t, scan.MatchString(detail), "%s\nin %s", detail, query)
			}
		}
		require.NoError(t, plan.Close())
	}
}
