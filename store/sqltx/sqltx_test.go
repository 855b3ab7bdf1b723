package sqltx_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqltx"
)

// Transactions as libraries have them.
type (
	embedding struct{ *sql.Tx }                  // sqlx
	rewriting struct{ *sql.Tx }                  // bun
	caching   struct{ Tx interface{ sqltx.Tx } } // GORM, with PrepareStmt
)

func (rewriting) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	panic("rewrites the statement")
}

func (c caching) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return c.Tx.ExecContext(ctx, query, args...)
}

func (c caching) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return c.Tx.QueryContext(ctx, query, args...)
}

func (caching) Commit() error   { return nil }
func (caching) Rollback() error { return nil }

func TestOf(t *testing.T) {
	t.Parallel()
	tx := &sql.Tx{}
	for _, given := range []sqltx.Tx{tx, embedding{tx}, &embedding{tx}, rewriting{tx}, struct{ *embedding }{&embedding{tx}}} {
		got, err := sqltx.Of(given)
		require.NoError(t, err)
		require.Same(t, tx, got)
	}
	got, err := sqltx.Of(caching{tx})
	require.NoError(t, err)
	require.Equal(t, caching{tx}, got)
}

func TestOfRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tx   sqltx.Tx
		says string
	}{
		{nil, "alotwebhook: tx is nil; give the transaction"},
		{(*sql.Tx)(nil), "alotwebhook: tx is nil; give the transaction"},
		{(*sql.DB)(nil), "alotwebhook: tx is nil; give the transaction"},
		{(*embedding)(nil), "alotwebhook: tx is nil; give the transaction"},
		{&embedding{}, "alotwebhook: tx is nil; give the transaction"},
		{struct{ *embedding }{}, "alotwebhook: tx is nil; give the transaction"},
		{rewriting{}, "alotwebhook: tx is nil; give the transaction"},
		{&sql.DB{}, "alotwebhook: tx is a *sql.DB, which is no transaction"},
		{&sql.Conn{}, "alotwebhook: tx is a *sql.Conn, which is no transaction"},
	} {
		_, err := sqltx.Of(c.tx)
		require.ErrorIs(t, err, alotwebhook.ErrInvalid)
		require.ErrorContains(t, err, c.says)
		var field *alotwebhook.FieldError
		require.ErrorAs(t, err, &field)
		require.Equal(t, "tx", field.Field)
	}
}
