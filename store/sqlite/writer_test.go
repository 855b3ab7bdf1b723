package sqlite_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/stretchr/testify/require"
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

// While the lock is held elsewhere, calls gather; then they share a commit,
// and one that fails fails alone.
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
	errs := make([]error, calls)
	var wg sync.WaitGroup
	for i := range calls {
		event := newEvent(t, "org_1")
		wg.Go(func() { errs[i] = s.Enqueue(t.Context(), []alotwebhook.Event{event}) })
	}
	time.Sleep(50 * time.Millisecond) // nothing shows that a call waits; those that come later only add commits
	require.NoError(t, lock.Rollback())
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Less(t, commits(t, path)-before, calls/2)
	require.Len(t, claim(t, s, 100, nil), calls)
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
	errs := make([]error, calls)
	var wg sync.WaitGroup
	for i := range calls {
		event := newEvent(t, "org_1")
		if i%5 == 0 {
			event.ID = "evt_short"
		}
		wg.Go(func() { errs[i] = s.Enqueue(t.Context(), []alotwebhook.Event{event}) })
	}
	time.Sleep(50 * time.Millisecond) // so that they gather; the result is the same if they do not
	require.NoError(t, lock.Rollback())
	wg.Wait()
	for i, err := range errs {
		if i%5 == 0 {
			require.ErrorContains(t, err, "evt_short")
			continue
		}
		require.NoError(t, err)
	}
	require.Len(t, claim(t, s, 100, nil), calls*4/5)
}
