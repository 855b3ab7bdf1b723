package anydriver_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

// A call that looks for events among very many of others comes to an end soon all the same, and the
// next one goes on from there.
func TestRemoveGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "webhooks.db")
	s, err := sqlite.Open(t.Context(), path)
	require.NoError(t, err)
	defer s.Close()
	s.LookAtFewEvents(1)
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(600000)")
	require.NoError(t, err)
	defer db.Close()
	emit := func() { require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_1")})) }
	left := func(organization string) (n int) {
		t.Helper()
		require.NoError(t, db.QueryRow("SELECT count(*) FROM alotwebhook_events WHERE organization = ?", organization).Scan(&n))
		return n
	}
	remove := func(want int) {
		t.Helper()
		n, err := s.Remove(t.Context(), "org_1", 10)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	emit()
	_, err = db.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
		INSERT INTO alotwebhook_events (id, type, happened_at, stored_at, organization, payload)
		SELECT CAST(printf('0%015d', i) AS BLOB), 1, 0, 0, 'org_2', x'00' FROM n`)
	require.NoError(t, err)
	emit()
	remove(10)
	require.Equal(t, 1, left("org_1"))
	remove(10)
	emit() // it is found as well
	remove(2)
	require.Zero(t, left("org_1"))
	remove(10) // from the beginning
	remove(10)
	remove(0)
	emit() // its number is that of the last event that was removed
	remove(10)
	remove(10)
	remove(1)
	require.Equal(t, 12_000, left("org_2"))
}
