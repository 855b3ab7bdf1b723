package postgres_test

import (
	"database/sql"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
)

// Who ignores the error of New has a nil store, and meets it at the first event.
func TestTxOfAStoreThatWasNotMade(t *testing.T) {
	t.Parallel()
	for _, s := range []*postgres.Store{nil, {}} {
		for _, tx := range []alotwebhook.Enqueuer{s.Tx(&pgxpool.Tx{}), s.SQLTx(&sql.Tx{})} {
			err := tx.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_1")})
			require.ErrorContains(t, err, "the store is nil or zero; make the store with New")
		}
	}
}
