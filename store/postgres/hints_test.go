package postgres_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// A server that refuses a connection is running, and its address is right.
func TestConnectionsThatTheServerRefuses(t *testing.T) {
	t.Parallel()
	admin := postgrestest.Pool(t)
	role := postgrestest.Schema(t, admin) // a name of its own
	_, err := admin.Exec(t.Context(), "CREATE ROLE "+role+" LOGIN CONNECTION LIMIT 0")
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = admin.Exec(context.Background(), "DROP ROLE "+role) })
	for name, c := range map[string]struct {
		configure func(*pgxpool.Config)
		says      string
	}{
		"28000": {func(c *pgxpool.Config) { c.ConnConfig.User = "nobody" }, "create the role with LOGIN, or look at pg_hba.conf"},
		"3D000": {func(c *pgxpool.Config) { c.ConnConfig.Database = "nothing" }, "create the database, or mend its name"},
		"53300": {func(c *pgxpool.Config) { c.ConnConfig.User = role }, "as many connections as it may"},
	} {
		_, err := postgres.New(t.Context(), postgrestest.Pool(t, c.configure), nil)
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, c.says)
		require.NotContains(t, err.Error(), "is the server running")
	}
}

// another is a database that is none of PostgreSQL's.
type another struct{ err error }

func (a another) Connect(context.Context) (driver.Conn, error) { return a, nil }
func (a another) Driver() driver.Driver                        { return nil }
func (a another) Prepare(string) (driver.Stmt, error)          { return nil, a.err }
func (a another) Close() error                                 { return nil }
func (a another) Begin() (driver.Tx, error)                    { return a, nil }
func (a another) Commit() error                                { return nil }
func (a another) Rollback() error                              { return nil }

func TestATransactionOfAnotherDatabaseSystem(t *testing.T) {
	t.Parallel()
	store := open(t)
	enqueue := func(ctx context.Context, of error) error {
		db := sql.OpenDB(another{of})
		defer db.Close()
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer tx.Rollback()
		return store.SQLTx(tx).Enqueue(ctx, []alotwebhook.Event{newEvent(t, "org_1")})
	}
	const asks = "is tx a transaction of PostgreSQL?"
	require.ErrorContains(t, enqueue(t.Context(), errors.New(`SQL logic error: near ".": syntax error (1)`)), asks)
	require.NotContains(t, enqueue(t.Context(), driver.ErrBadConn).Error(), asks)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.NotContains(t, enqueue(ended, errors.New("interrupted")).Error(), asks)
}
