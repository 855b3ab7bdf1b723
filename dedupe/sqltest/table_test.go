package sqltest

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
)

func TestCreateTableAtOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, dialect dedupe.Dialect, open func() *sql.DB) {
		var group sync.WaitGroup
		for range 4 {
			s, err := dedupe.NewSQL(open(), dialect, nil)
			require.NoError(t, err)
			for range 3 {
				group.Go(func() {
					if err := s.CreateTable(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
		}
		group.Wait()
	})
}

func TestSchemaIsWhatCreateTableMakes(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, dialect dedupe.Dialect, open func() *sql.DB) {
		db := open()
		_, err := db.ExecContext(t.Context(), dedupe.Schema(dialect))
		require.NoError(t, err)
		s, err := dedupe.NewSQL(db, dialect, nil)
		require.NoError(t, err)
		require.NoError(t, s.Complete(t.Context(), claimed(t, s, "a", time.Minute)))
		require.NoError(t, s.CreateTable(t.Context()))
		require.Equal(t, 1, count(t, db, "alotwebhook_handled"))
	})
}

func TestNewSQLRefusesAnotherDialect(t *testing.T) {
	t.Parallel()
	_, err := dedupe.NewSQL(openSQLite(t, ":memory:"), "mysql", nil)
	require.ErrorIs(t, err, alotwebhook.ErrInvalid)
	require.ErrorContains(t, err, `dialect is "mysql"`)
}

// Each process has its own handle.
func TestHandlesShareTheTable(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, dialect dedupe.Dialect, open func() *sql.DB) {
		a, b := newSQL(t, open(), dialect, nil), newSQL(t, open(), dialect, nil)
		c := claimed(t, a, "evt", time.Minute)
		other, err := b.Claim(t.Context(), "evt", time.Minute)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.DedupeInProgress, other.State)
		require.NoError(t, a.Complete(t.Context(), c))
		other, err = b.Claim(t.Context(), "evt", time.Minute)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.DedupeDone, other.State)
	})
}

// The sums of the database's clock and the longest times fit into its columns, and what is left of such
// a lease into a Duration, also if a row has a later end than any that this version writes.
func TestTheLongestTimes(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, dialect dedupe.Dialect, open func() *sql.DB) {
		const years = 100 * 365 * 24 * time.Hour
		db := open()
		s := newSQL(t, db, dialect, &dedupe.SQLConfig{Retention: math.MaxInt64})
		held := claimed(t, s, "evt", math.MaxInt64)
		inProgress := func() time.Duration {
			c, err := s.Claim(t.Context(), "evt", math.MaxInt64)
			require.NoError(t, err)
			require.Equal(t, alotwebhook.DedupeInProgress, c.State)
			return c.Wait
		}
		require.InDelta(t, years, inProgress(), float64(time.Hour))
		_, err := db.ExecContext(t.Context(), "UPDATE alotwebhook_handled SET expires_at = 9223372036854775807")
		require.NoError(t, err)
		require.Equal(t, years, inProgress())
		require.NoError(t, s.Complete(t.Context(), held))
		purged, err := s.Purge(t.Context())
		require.NoError(t, err)
		require.Zero(t, purged, "the retention has just begun")
	})
}

func TestPurge(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, dialect dedupe.Dialect, open func() *sql.DB) {
		db := open()
		s := newSQL(t, db, dialect, &dedupe.SQLConfig{Retention: time.Hour})
		age := func(by time.Duration) {
			_, err := db.ExecContext(t.Context(), fmt.Sprintf("UPDATE alotwebhook_handled SET expires_at = expires_at - %d", by.Milliseconds()))
			require.NoError(t, err)
		}
		require.NoError(t, s.Complete(t.Context(), claimed(t, s, "done", time.Minute)))
		claimed(t, s, "left behind", time.Minute)
		old := claimed(t, s, "late", time.Minute)

		expiry := func() (at int64) {
			require.NoError(t, db.QueryRow("SELECT expires_at FROM alotwebhook_handled WHERE event_key = 'twice'").Scan(&at))
			return at
		}
		twice := claimed(t, s, "twice", time.Minute)
		require.NoError(t, s.Complete(t.Context(), twice))
		first := expiry()
		age(time.Second)
		require.NoError(t, s.Complete(t.Context(), twice))
		require.Equal(t, first-1000, expiry(), "to complete again writes nothing")

		age(59 * time.Minute)
		purged, err := s.Purge(t.Context())
		require.NoError(t, err)
		require.Zero(t, purged, "the retention has a minute left, and the row is kept an hour longer")
		require.NoError(t, s.Complete(t.Context(), old), "the lease has run out, but the row is there")
		age(40 * time.Minute)
		c, err := s.Claim(t.Context(), "done", time.Minute)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.DedupeDone, c.State, "the retention is over, but the row is there")
		age(22 * time.Minute)
		purged, err = s.Purge(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 3, purged)
		age(2 * time.Hour)

		// Claim purges by itself.
		for i := range 100 {
			require.NoError(t, s.Complete(t.Context(), claimed(t, s, fmt.Sprint("new", i), time.Minute)))
		}
		require.Equal(t, 100, count(t, db, "alotwebhook_handled"), "the late row is gone")
	})
}

// If the database cannot tell whether an event was handled, the error leads to 503, so
// that the sender repeats the event.
func TestErrorsWithoutTheTable(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, dialect dedupe.Dialect, open func() *sql.DB) {
		s, err := dedupe.NewSQL(open(), dialect, nil)
		require.NoError(t, err)
		_, err = s.Claim(t.Context(), "evt_1", time.Minute)
		require.ErrorContains(t, err, "alotwebhook: cannot claim evt_1 in alotwebhook_handled: ")
		c := alotwebhook.DedupeClaim{Key: "evt_1", State: alotwebhook.DedupeClaimed, Token: 1}
		require.ErrorContains(t, s.Complete(t.Context(), c), "alotwebhook: cannot complete evt_1 in alotwebhook_handled: ")
		require.ErrorContains(t, s.Release(t.Context(), c), "alotwebhook: cannot release evt_1 in alotwebhook_handled: ")
		_, err = s.Purge(t.Context())
		require.ErrorContains(t, err, "alotwebhook: cannot purge in alotwebhook_handled: ")

		err = alotwebhook.Once(t.Context(), s, "evt_1", 0, func(context.Context) error { panic("handled without a claim") })
		require.Equal(t, 503, alotwebhook.StatusCode(err))
	})
}

// Whoever forgot to create the table reads it in the log of a Receiver that has no
// configuration but its Deduper and its Logger.
func TestAMissingTableIsNamed(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, dialect dedupe.Dialect, open func() *sql.DB) {
		handled, err := dedupe.NewSQL(open(), dialect, nil)
		require.NoError(t, err)
		verifier, err := alotwebhook.NewVerifier("secret")
		require.NoError(t, err)
		var log bytes.Buffer
		receiver := alotwebhook.NewReceiver(verifier, &alotwebhook.ReceiverConfig{
			Deduper: handled, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		alotwebhook.On(receiver, "candidate.invited", func(context.Context, alotwebhook.Event, json.RawMessage) error { return nil })
		e, err := alotwebhook.NewEvent("candidate.invited", "org_1", map[string]any{})
		require.NoError(t, err)
		h := http.Header{alotwebhook.SignatureHeader: {alotwebhook.Sign(e.Payload(), "secret")}}
		require.Equal(t, 503, alotwebhook.StatusCode(receiver.Receive(t.Context(), e.Payload(), h)))
		require.Contains(t, log.String(), "alotwebhook_handled")
		require.Contains(t, log.String(), "call CreateTable at the start, or put dedupe.Schema into your migrations")
	})
}

// brokenHandler panics over every record.
type brokenHandler struct{ slog.Handler }

func (brokenHandler) Enabled(context.Context, slog.Level) bool  { return true }
func (brokenHandler) Handle(context.Context, slog.Record) error { panic("no log") }

// A user of the database who may not delete rows lets the table grow for ever.
func TestAPurgeThatFailsIsLogged(t *testing.T) {
	t.Parallel()
	db := openSQLite(t, filepath.Join(t.TempDir(), "customer.db"))
	var log bytes.Buffer
	s := newSQL(t, db, dedupe.SQLite, &dedupe.SQLConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, s.Complete(t.Context(), claimed(t, s, "old", time.Minute)))
	_, err := db.ExecContext(t.Context(), "UPDATE alotwebhook_handled SET expires_at = 0")
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "CREATE TRIGGER keep BEFORE DELETE ON alotwebhook_handled BEGIN SELECT RAISE(ABORT, 'no rights to delete'); END")
	require.NoError(t, err)
	brokenLog := newSQL(t, db, dedupe.SQLite, &dedupe.SQLConfig{Logger: slog.New(brokenHandler{})})
	for i := range 200 {
		require.NoError(t, s.Complete(t.Context(), claimed(t, s, fmt.Sprint(i), time.Minute)), "the claims hold all the same")
		require.NoError(t, brokenLog.Complete(t.Context(), claimed(t, brokenLog, fmt.Sprint("other", i), time.Minute)), "and whatever the log does")
	}
	require.Contains(t, log.String(), "expired rows were not deleted")
	require.Contains(t, log.String(), "no rights to delete")
}
