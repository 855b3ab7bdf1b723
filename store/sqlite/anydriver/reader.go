package anydriver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"time"
)

// read calls f with a transaction that sees the database as of one moment and does not
// write.
func (s *Store) read(ctx context.Context, doing string, f func(*txn) error) (err error) {
	if err := s.made(); err != nil {
		return err
	}
	select {
	case <-s.quit:
		return errClosed
	default:
	}
	t, end, err := s.beginRead(ctx)
	if err != nil {
		return explain(doing, err)
	}
	defer end() // nothing was written
	err = f(t)
	if err != nil && ctx.Err() != nil && !passes(err) {
		return ended(ctx) // its end has closed the statements, of which the error may speak
	}
	return explain(doing, err)
}

// beginRead begins a transaction that reads, and returns what ends it. A host's handle may begin
// transactions with the write lock, and mattn/go-sqlite3 does so for one that is read-only as
// well. So there it is a statement of the store that begins it.
func (s *Store) beginRead(ctx context.Context) (t *txn, end func(), err error) {
	t = &txn{ctx: ctx, now: time.Now().UnixMicro()}
	if s.owned {
		t.tx, err = s.reads.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		t.on = t.tx
		return t, func() { _ = t.tx.Rollback() }, err
	}
	conn, err := s.reads.Conn(ctx)
	if err != nil {
		return nil, nil, err
	}
	t.on = conn
	if _, err = conn.ExecContext(context.WithoutCancel(ctx), "BEGIN DEFERRED"); err != nil {
		endRead(conn)
	}
	return t, func() { endRead(conn) }, err
}

// endRead gives a host's connection back. One that cannot be rolled back is not used again.
func endRead(conn *sql.Conn) {
	if _, err := conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = conn.Close()
}
