package sqltest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/dedupe"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// cutOff is lib/pq with a connection that ends, once, between the claim and its answer:
// lib/pq reports driver.ErrBadConn then, and database/sql runs the claim a second time.
type cutOff struct {
	*pq.Connector
	claims *atomic.Int32
}

func (c cutOff) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	return cutOffConn{conn, c.claims}, err
}

type cutOffConn struct {
	driver.Conn
	claims *atomic.Int32
}

func (c cutOffConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, options)
}

func (c cutOffConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c cutOffConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
	if err != nil || !strings.HasPrefix(query, "INSERT") || c.claims.Add(1) > 1 {
		return rows, err
	}
	if err := rows.Close(); err != nil { // PostgreSQL has committed the claim now
		return nil, err
	}
	return nil, driver.ErrBadConn
}

// Without that, the event gets 409 until its own claim is over.
func TestClaimThatRunsTwiceIsClaimed(t *testing.T) {
	t.Parallel()
	schema := postgrestest.Schema(t, postgrestest.Pool(t))
	connector, err := pq.NewConnector(withSearchPath(postgrestest.DSN(t), schema))
	require.NoError(t, err)
	claims := new(atomic.Int32)
	db := sql.OpenDB(cutOff{connector, claims})
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	_, err = db.ExecContext(t.Context(), "CREATE SCHEMA "+schema)
	require.NoError(t, err)
	s := newSQL(t, db, dedupe.PostgreSQL, nil)
	c := claimed(t, s, "evt", time.Minute)
	require.EqualValues(t, 2, claims.Load())
	require.NoError(t, s.Complete(t.Context(), c))
}
