package sqltest

import (
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
)

// Whatever the database's default isolation is, events that come at the same time do not hinder each
// other, and each is handled once.
func TestEventsAtOnceDoNotHinderEachOther(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, dialect dedupe.Dialect, open func() *sql.DB) {
		const processes, events = 6, 30
		var handled atomic.Int64
		var group sync.WaitGroup
		tell := func(err error) {
			if err != nil {
				t.Error(err)
			}
		}
		for process := range processes {
			s := newSQL(t, open(), dialect, nil)
			group.Go(func() {
				for i := range events {
					for range 2 { // the sender repeats it
						c, err := s.Claim(t.Context(), fmt.Sprint(process, "/", i), time.Hour)
						if err == nil && c.State == alotwebhook.DedupeClaimed {
							handled.Add(1)
							err = s.Complete(t.Context(), c) // not by Once, which bounds its time
						}
						tell(err)
					}
					shared, err := s.Claim(t.Context(), fmt.Sprint("shared/", i), time.Hour)
					if err == nil && shared.State == alotwebhook.DedupeClaimed {
						err = s.Release(t.Context(), shared)
					}
					tell(err)
				}
				_, err := s.Purge(t.Context())
				tell(err)
			})
		}
		group.Wait()
		require.EqualValues(t, processes*events, handled.Load())
	})
}

// The host repeats its own transaction, whose other statements may have to run again.
func TestATransactionOfTheHostIsNotRepeated(t *testing.T) {
	t.Parallel()
	dsn := newSchema(t, repeatableRead)
	open := func() *sql.DB { return handle(t, "pgx", dsn) }
	s := newSQL(t, open(), dedupe.PostgreSQL, nil)
	c := claimed(t, s, "evt", time.Minute)
	tx, err := open().BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	_, err = tx.ExecContext(t.Context(), "SELECT 1") // it sees the table as of now
	require.NoError(t, err)
	require.NoError(t, s.Complete(t.Context(), c))
	require.ErrorContains(t, s.Tx(tx).Complete(t.Context(), c), "40001")
}
