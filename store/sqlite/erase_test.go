package sqlite_test

import (
	"context"
	"database/sql"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

// eraser is what a Store and one for a host's transaction have in common.
type eraser interface {
	Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (int, string, error)
}

// about returns an event of a subject.
func about(tb testing.TB, organization, subject string) alotwebhook.Event {
	tb.Helper()
	e := newEvent(tb, organization)
	e.Subject = subject
	return e
}

// foreign stores n events of another organization by SQL, with ids that come before all others.
func foreign(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	_, err := db.ExecContext(context.Background(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO alotwebhook_events (id, type, happened_at, stored_at, organization, payload)
		SELECT CAST(x'0000' || printf('%014d', i) AS BLOB), 1, 0, 0, 'org_other', x'00' FROM n`, n)
	require.NoError(t, err)
}

func count(t *testing.T, db *sql.DB, query string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(context.Background(), query, args...).Scan(&n))
	return n
}

// No index has the events of an organization. To look for them among very many of others takes
// several calls, each of which keeps others from writing for some milliseconds only.
func TestEraseAnOrganizationAmongOthers(t *testing.T) {
	t.Parallel()
	skipUnderRaceDetector(t)
	path := newPath(t)
	s, tool := open(t, path), hostHandle(t, path)
	first := newEvent(t, "org_1")
	first.ID = "evt_00000000000000000000000000" // it is the last that is found
	require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{first}))
	foreign(t, tool, 21_000)
	require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_1"), newEvent(t, "org_2")}))
	var found []int
	r := alotwebhook.Recovery{OrganizationID: "org_1"}
	for next := "begin"; next != ""; r.Cursor = next {
		var n int
		var err error
		n, next, err = s.Erase(t.Context(), r, 1000)
		require.NoError(t, err)
		found = append(found, n)
	}
	require.Equal(t, []int{1, 0, 0, 0, 1}, found, "5,000 at a time")
	require.Equal(t, 2, count(t, tool, "SELECT count(*) FROM alotwebhook_events WHERE payload IS NULL"))

	n, err := s.Remove(t.Context(), "org_1", 10)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, 21_001, count(t, tool, "SELECT count(*) FROM alotwebhook_events WHERE payload IS NOT NULL"))
	require.Equal(t, 21_001, count(t, tool, "SELECT count(*) FROM alotwebhook_events"))
}

// allPages reads all pages of a filter, and returns how many deliveries each has and all ids.
func allPages(t *testing.T, s *sqlite.Store, f alotwebhook.Filter) (sizes []int, ids []string) {
	t.Helper()
	for {
		page, next, err := s.Deliveries(t.Context(), f)
		require.NoError(t, err)
		sizes = append(sizes, len(page))
		for _, d := range page {
			ids = append(ids, d.ID)
		}
		if f.Cursor = next; next == "" {
			return sizes, ids
		}
	}
}

// A subject may have any number of events, and many may be of one millisecond, with others among
// them: the page ends early, but between two milliseconds.
func TestDeliveriesOfManyEventsOfASubject(t *testing.T) {
	t.Parallel()
	skipUnderRaceDetector(t)
	s := open(t, newPath(t))
	putEndpoint(t, s, 1, "org_1")
	at := newEvent(t, "org_1").ID[:len("evt_")+10] // its millisecond
	var events []alotwebhook.Event
	var want []string
	for i := range 2600 {
		e := about(t, "org_1", []string{"cand_1", "cand_1", "cand_2"}[i%3])
		e.ID = at + e.ID[len(at):]
		events = append(events, e)
		if e.Subject == "cand_1" {
			want = append(want, alotwebhook.DeliveryID(e.ID, endpointID(1)))
		}
	}
	old, heard := newEvent(t, "org_1"), about(t, "org_1", "cand_3")
	old.Subject, old.ID = "cand_3", "evt_00"+old.ID[len("evt_00"):]
	events = append(events, old)
	for range 1200 { // nobody gets these
		events = append(events, about(t, "org_2", "cand_3"))
	}
	require.NoError(t, s.Enqueue(t.Context(), append(events, heard)))
	finish(t, s, claim(t, s, 1000, nil))

	sizes, ids := allPages(t, s, alotwebhook.Filter{Subject: "cand_1", Limit: 100})
	require.LessOrEqual(t, len(sizes), len(want)/100+2)
	slices.Sort(want)
	slices.Reverse(want)
	require.Equal(t, want, ids)
	_, ids = allPages(t, s, alotwebhook.Filter{Subject: "cand_1", State: alotwebhook.StateDelivered, Limit: 100})
	require.Greater(t, len(ids), 500)
	require.Less(t, len(ids), 1000)

	sizes, ids = allPages(t, s, alotwebhook.Filter{Subject: "cand_3", Limit: 100})
	require.Equal(t, []string{alotwebhook.DeliveryID(heard.ID, endpointID(1)), alotwebhook.DeliveryID(old.ID, endpointID(1))}, ids)
	require.Greater(t, len(sizes), 1, "after 1,000 events that nobody gets, the page ends")
	_, ids = allPages(t, s, alotwebhook.Filter{Subject: "cand_3", Until: heard.Timestamp.Add(-24 * time.Hour)})
	require.Len(t, ids, 1)
}

// Erasing changes a setting of the host's connection, and gives it back.
func TestEraseGivesTheConnectionBack(t *testing.T) {
	t.Parallel()
	db := hostHandle(t, newPath(t))
	db.SetMaxOpenConns(1)
	s := onHandle(t, db)
	emit := func() {
		require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{about(t, "org_1", "cand_1")}))
	}
	erase := func(by eraser) {
		n, _, err := by.Erase(t.Context(), alotwebhook.Recovery{Subject: "cand_1"}, 10)
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
	for i, setting := range []string{"OFF", "ON", "FAST"} {
		_, err := db.Exec("PRAGMA secure_delete = " + setting)
		require.NoError(t, err)
		emit()
		erase(s)
		require.Equal(t, i, count(t, db, "PRAGMA secure_delete"))
		emit()
		for _, end := range []func(*sql.Tx) error{(*sql.Tx).Rollback, (*sql.Tx).Commit} {
			tx := inTx(t, db)
			erase(s.Tx(tx).(eraser))
			var within int
			require.NoError(t, tx.QueryRow("PRAGMA secure_delete").Scan(&within))
			require.Equal(t, i, within)
			require.NoError(t, end(tx))
			require.Equal(t, i, count(t, db, "PRAGMA secure_delete"))
		}
	}
}

// What the organization had goes, and what others have stays, where the two have met: an endpoint was
// given away, or has the id that another one had.
func TestRemoveKeepsWhatOthersHave(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s, tool := open(t, path), hostHandle(t, path)
	given, again := putEndpoint(t, s, 1, "org_1"), putEndpoint(t, s, 2, "org_1")
	before := newEvent(t, "org_1")
	require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{before}))
	given.OrganizationID, given.Version = "org_2", 1
	require.NoError(t, s.PutEndpoint(t.Context(), given))
	require.NoError(t, s.DeleteEndpoint(t.Context(), again.ID))
	again.OrganizationID = "org_2"
	require.NoError(t, s.PutEndpoint(t.Context(), again))
	after := newEvent(t, "org_2")
	require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{after}))
	hour := time.Now().UTC().Truncate(time.Hour)
	for _, e := range []alotwebhook.Endpoint{given, again} {
		require.NoError(t, s.AddTallies(t.Context(), []alotwebhook.Tally{{EndpointID: e.ID, Hour: hour, Succeeded: 1}}))
		require.NoError(t, s.PutRecovery(t.Context(), alotwebhook.Recovery{EndpointID: e.ID, OrganizationID: "org_2", State: alotwebhook.RecoveryDone}))
	}
	for n := 1; n > 0; {
		var err error
		n, err = s.Remove(t.Context(), "org_1", 1)
		require.NoError(t, err)
	}
	_, ids := allPages(t, s, alotwebhook.Filter{})
	require.ElementsMatch(t, []string{alotwebhook.DeliveryID(after.ID, given.ID), alotwebhook.DeliveryID(after.ID, again.ID)}, ids)
	tallies, err := s.Tallies(t.Context(), []string{given.ID, again.ID}, hour)
	require.NoError(t, err)
	require.Len(t, tallies, 2)
	page, _, err := s.Recoveries(t.Context(), alotwebhook.RecoveryFilter{})
	require.NoError(t, err)
	require.Len(t, page, 2)
	require.Equal(t, 2, count(t, tool, "SELECT count(*) FROM alotwebhook_endpoints"))
	require.Len(t, claim(t, s, 10, nil), 2)

	_, err = s.Remove(t.Context(), "", 10)
	require.ErrorContains(t, err, "empty")
	_, _, err = s.Erase(t.Context(), alotwebhook.Recovery{Subject: "cand_1", Cursor: "evt_1"}, 10)
	require.ErrorContains(t, err, "evt_1")
}

// What a process has under way stands in no row. The outcome of an attempt from before a removal is not
// that of what was stored since under the same ids, at an endpoint that has never changed.
func TestRemovedAndStoredAgain(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s, other := open(t, path), open(t, path)
	e := putEndpoint(t, s, 1, "org_2")
	for i, by := range []*sqlite.Store{s, other} {
		event := newEvent(t, "org_1")
		require.NoError(t, s.EnqueueTo(t.Context(), e.ID, event))
		stale := claim(t, s, 10, nil)
		require.Len(t, stale, 1)
		n, err := by.Remove(t.Context(), "org_1", 10)
		require.NoError(t, err)
		require.Equal(t, i+1, n, "with what the round before has stored again")
		require.NoError(t, s.EnqueueTo(t.Context(), e.ID, event))
		require.Equal(t, []string{stale[0].DeliveryID}, finishOne(t, s, stale[0], alotwebhook.StateDelivered))
		fresh := claim(t, s, 10, nil)
		require.Len(t, fresh, 1)
		require.Empty(t, finishOne(t, s, fresh[0], alotwebhook.StateDelivered))
	}
}
