package anydriver_test

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

// patience bounds every wait. It is a last resort for what will never come, and no
// measure of how fast anything is.
const patience = 10 * time.Minute

// locked returns a store of one endpoint, and a transaction of somebody else that holds
// the write lock of its file.
func locked(t *testing.T) (s *sqlite.Store, path string, lock *sql.Tx) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "webhooks.db")
	s, err := sqlite.Open(t.Context(), path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	// After it has answered a call, the writer prepares the statements that are new to it,
	// and is at work for that. The third call has no new ones: from here on, the writer is
	// at work for the calls of the test alone.
	for i := range 3 {
		require.NoError(t, s.PutEndpoint(t.Context(), alotwebhook.Endpoint{
			ID: endpointID(i + 1), OrganizationID: fmt.Sprintf("org_%d", i+1), URL: "https://hooks.example.com/alot",
			EventTypes: []string{completed}, Secret: "It's a Secret to Everybody", CreatedAt: time.Now(),
		}))
	}
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	lock, err = db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = lock.Exec("DELETE FROM alotwebhook_migrations WHERE 0")
	require.NoError(t, err)
	return s, path, lock
}

// requireDue requires that so many deliveries are due.
func requireDue(t *testing.T, s *sqlite.Store, n int) {
	t.Helper()
	r, err := s.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 100, Lease: time.Minute})
	require.NoError(t, err)
	require.Len(t, r.Deliveries, n)
}

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
	s, path, lock := locked(t)
	before := commits(t, path)
	const calls = 60
	for _, err := range enqueueTogether(t, s, lock, calls, func(*alotwebhook.Event, int) {}) {
		require.NoError(t, err)
	}
	require.Less(t, commits(t, path)-before, calls/2)
	requireDue(t, s, calls)
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
	s, _, lock := locked(t)
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
	requireDue(t, s, calls*4/5)
}
