package sqltx_test

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqltx"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tx   sqltx.Tx
		says string // "" for a transaction
	}{
		{&sql.Tx{}, ""},
		{struct{ *sql.Tx }{&sql.Tx{}}, ""},
		{nil, "alotwebhook: tx is nil; give the transaction"},
		{(*sql.Tx)(nil), "alotwebhook: tx is nil; give the transaction"},
		{(*sql.DB)(nil), "alotwebhook: tx is nil; give the transaction"},
		{&sql.DB{}, "alotwebhook: tx is a *sql.DB, which is no transaction"},
		{&sql.Conn{}, "alotwebhook: tx is a *sql.Conn, which is no transaction"},
	} {
		err := sqltx.Check(c.tx)
		if c.says == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, alotwebhook.ErrInvalid)
		require.ErrorContains(t, err, c.says)
		var field *alotwebhook.FieldError
		require.ErrorAs(t, err, &field)
		require.Equal(t, "tx", field.Field)
	}
}
