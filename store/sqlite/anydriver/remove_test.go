package anydriver_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

// among stores 12,000 events of org_2 by SQL, through which Remove goes in three stretches.
func among(t *testing.T, db *sql.DB) {
	t.Helper()
	_, err := db.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
		INSERT INTO alotwebhook_events (id, type, happened_at, stored_at, organization, payload)
		SELECT CAST(printf('0%015d', i) AS BLOB), 1, 0, 0, 'org_2', x'00' FROM n`)
	require.NoError(t, err)
}

// openBoth opens a store, and a handle on its file.
func openBoth(t *testing.T) (*sqlite.Store, *sql.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "webhooks.db")
	s, err := sqlite.Open(t.Context(), path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(600000)")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return s, db
}

// A call that looks for events among very many of others comes to an end soon all the same, and the
// next one goes on from there.
func TestRemoveGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	s, db := openBoth(t)
	s.LookAtFewEvents(1)
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
	among(t, db)
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
	require.Equal(t, 12_000, left("org_2"))

	remove(10) // up to the event 5,001
	_, err := db.Exec("DELETE FROM alotwebhook_events WHERE ref > 4000")
	require.NoError(t, err)
	emit() // it gets the ref of one that is gone
	remove(1)
	require.Zero(t, left("org_1"))
}

// What is registered while the organization is removed stays, or goes as a whole.
func TestRemoveBesideRegistrations(t *testing.T) {
	t.Parallel()
	s, db := openBoth(t)
	among(t, db)
	registered := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < 200 && err == nil; i++ {
			err = s.PutEndpoint(t.Context(), alotwebhook.Endpoint{ID: endpointID(i), OrganizationID: "org_1", EventTypes: []string{completed}})
		}
		registered <- err
	}()
	for ended := false; !ended; {
		select {
		case err := <-registered:
			require.NoError(t, err)
			ended = true
		default:
		}
		_, err := s.Remove(t.Context(), "org_1", 10)
		require.NoError(t, err)
	}
	var lost int
	require.NoError(t, db.QueryRow("SELECT count(*) FROM alotwebhook_subscriptions WHERE endpoint NOT IN (SELECT ref FROM alotwebhook_endpoints)").Scan(&lost))
	require.Zero(t, lost)
	for n := 10; n == 10; {
		var err error
		n, err = s.Remove(t.Context(), "org_1", 10)
		require.NoError(t, err)
	}
	require.NoError(t, db.QueryRow("SELECT (SELECT count(*) FROM alotwebhook_subscriptions) + (SELECT count(*) FROM alotwebhook_endpoints)").Scan(&lost))
	require.Zero(t, lost)
}
