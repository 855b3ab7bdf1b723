package sqltest

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/dedupe"
)

// answer is what a driver answers to a claim, and what a test makes of it.
type answer func(ctx context.Context, rows driver.Rows) (driver.Rows, error)

// answering is a driver whose answers to claims pass through a function.
type answering struct {
	under  driver.Driver
	dsn    string
	answer answer
}

func (a answering) Driver() driver.Driver { return a.under }

func (a answering) Connect(context.Context) (driver.Conn, error) {
	conn, err := a.under.Open(a.dsn)
	return answeringConn{conn, a.answer}, err
}

type answeringConn struct {
	driver.Conn
	answer answer
}

func (c answeringConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, options)
}

func (c answeringConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c answeringConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
	if err != nil || !strings.HasPrefix(query, "INSERT") {
		return rows, err
	}
	return c.answer(ctx, rows)
}

// lost reads an answer to its end, so that the claim is committed, and returns err in its place.
func lost(rows driver.Rows, err error) (driver.Rows, error) {
	for row := make([]driver.Value, len(rows.Columns())); ; {
		if end := rows.Next(row); end != nil && end != io.EOF {
			return nil, end
		} else if end == io.EOF {
			return nil, cmp.Or(rows.Close(), err)
		}
	}
}

// onEachAnswering runs a test on every database and driver, the first answer of which passes through first.
func onEachAnswering(t *testing.T, first answer, test func(t *testing.T, s *dedupe.SQL, claims *atomic.Int32)) {
	t.Helper()
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			dsn, claims := d.dsn(t), new(atomic.Int32)
			db := sql.OpenDB(answering{handle(t, d.driver, dsn).Driver(), dsn, func(ctx context.Context, rows driver.Rows) (driver.Rows, error) {
				if claims.Add(1) > 1 {
					return rows, nil
				}
				return first(ctx, rows)
			}})
			t.Cleanup(func() { require.NoError(t, db.Close()) })
			test(t, newSQL(t, db, d.dialect, nil), claims)
		})
	}
}

// lib/pq reports driver.ErrBadConn if a connection ends between the claim and its answer, and database/sql runs the
// claim a second time. The event must not get 409 until its own claim is over.
func TestClaimThatRunsTwiceIsClaimed(t *testing.T) {
	t.Parallel()
	onEachAnswering(t, func(_ context.Context, rows driver.Rows) (driver.Rows, error) {
		return lost(rows, driver.ErrBadConn)
	}, func(t *testing.T, s *dedupe.SQL, claims *atomic.Int32) {
		c := claimed(t, s, "evt", time.Minute)
		require.EqualValues(t, 2, claims.Load())
		require.NoError(t, s.Complete(t.Context(), c))
	})
}

// Nobody has a claim whose caller got an error, so every repetition of the event would get 409 until its lease is over.
func TestAClaimWhoseAnswerIsLostIsGivenBack(t *testing.T) {
	t.Parallel()
	gone := errors.New("the connection is gone")
	onEachAnswering(t, func(_ context.Context, rows driver.Rows) (driver.Rows, error) {
		return lost(rows, gone)
	}, func(t *testing.T, s *dedupe.SQL, _ *atomic.Int32) {
		_, err := s.Claim(t.Context(), "evt", time.Hour)
		require.ErrorIs(t, err, gone)
		claimed(t, s, "evt", time.Hour)
	})
}

// hangUpKey is the key of the function that ends a context.
type hangUpKey struct{}

// The sender hangs up while the database claims.
func TestAClaimWhoseCallerHasGoneIsGivenBack(t *testing.T) {
	t.Parallel()
	onEachAnswering(t, func(ctx context.Context, rows driver.Rows) (driver.Rows, error) {
		ctx.Value(hangUpKey{}).(context.CancelFunc)()
		return rows, ctx.Err() // the statement is not cut off
	}, func(t *testing.T, s *dedupe.SQL, _ *atomic.Int32) {
		ctx, hangUp := context.WithCancel(t.Context())
		_, err := s.Claim(context.WithValue(ctx, hangUpKey{}, hangUp), "evt", time.Hour)
		require.ErrorIs(t, err, context.Canceled)
		claimed(t, s, "evt", time.Hour)
	})
}
