package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

// fillHistory makes a file with 1,000,000 deliveries over 30 days. org_0 has most of
// them at one endpoint, org_1 a sixth at 50 endpoints, org_2 a twentieth at 300, and
// org_3 the three oldest. One in 1,000 has failed, one in 10,000 is of a rare type,
// and the newest tenth is unfinished, some of it parked.
func fillHistory(b *testing.B, path string) {
	b.Helper()
	require.NoError(b, open(b, path).Close()) // to make the tables
	db, err := sql.Open("sqlite", "file:"+path)
	require.NoError(b, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	const made = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000), made AS (
		SELECT i, CAST(unhex(printf('%012x', CAST((unixepoch() - (1000000 - i) * 2.5) * 1000 AS INTEGER))) || x'7000' || unhex(printf('8%015x', i)) AS BLOB) AS id,
			CASE WHEN i <= 3 THEN 352 WHEN i % 20 = 0 THEN 52 + (i / 20) % 300 WHEN i % 6 = 0 THEN 2 + (i / 6) % 50 ELSE 1 END AS endpoint,
			CASE WHEN i % 10000 = 7 THEN 2 ELSE 1 END AS type, unixepoch() * 1000000 AS now
		FROM n) `
	for _, statement := range []string{
		"PRAGMA synchronous = OFF", "PRAGMA cache_size = -200000",
		"INSERT INTO alotwebhook_types VALUES (1, 'candidate.completed'), (2, 'candidate.disqualified'), (3, 'candidate.invited')",
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 352)
		INSERT INTO alotwebhook_endpoints (active, id, organization, version, url, description, event_types, secret, next_secret, disabled, disabled_reason)
		SELECT i <> 2, printf('wh_%026d', i), CASE WHEN i = 1 THEN 'org_0' WHEN i <= 51 THEN 'org_1' WHEN i <= 351 THEN 'org_2' ELSE 'org_3' END,
			1, 'https://example.com/hook', '', '["candidate.completed"]', 's', '', i = 2, '' FROM n`,
		made + `INSERT INTO alotwebhook_events SELECT i, id, type, now, now, 'org', NULL, NULL FROM made`,
		made + `INSERT INTO alotwebhook_deliveries SELECT id, endpoint, CASE WHEN i % 1000 = 3 THEN 2 ELSE 1 END, type, i, 1, now, now, 204, '',
			'{"n":1,"at":1700000000000000,"ns":1000000,"status":204}' FROM made WHERE i <= 900000`,
		made + `INSERT INTO alotwebhook_queue SELECT id, endpoint, now, 0, 0, 0, 0, i, type, now, 0, '', '' FROM made WHERE i > 900000`,
	} {
		_, err := db.Exec(statement)
		require.NoError(b, err, statement)
	}
}

// combinations returns the filters made of every owner, type, state, since and until.
func combinations(now time.Time) (all []alotwebhook.Filter) {
	types := []string{"", completed, "candidate.disqualified", "candidate.invited"}
	states := []alotwebhook.DeliveryState{"", alotwebhook.StateDelivered, alotwebhook.StateFailed, alotwebhook.StatePending, alotwebhook.StateParked}
	for _, owner := range []alotwebhook.Filter{
		{}, {OrganizationID: "org_0"}, {OrganizationID: "org_1"}, {OrganizationID: "org_2"}, {OrganizationID: "org_3"}, {OrganizationID: "none"},
		{EndpointID: endpointID(1)}, {EndpointID: endpointID(2)},
		{OrganizationID: "org_2", EndpointID: endpointID(100)}, {OrganizationID: "org_3", EndpointID: endpointID(352)},
	} {
		for _, eventType := range types {
			for _, state := range states {
				for _, days := range [][2]int{{}, {20, 0}, {0, 10}, {20, 10}} {
					f := owner
					f.EventType, f.State = eventType, state
					if days[0] != 0 {
						f.Since = now.AddDate(0, 0, -days[0])
					}
					if days[1] != 0 {
						f.Until = now.AddDate(0, 0, -days[1])
					}
					all = append(all, f)
				}
			}
		}
	}
	return all
}

// BenchmarkFilters reads a page by every combination of filters: the first, the
// 5,000th and the 10,000th of the history. It reports the slowest and the median.
func BenchmarkFilters(b *testing.B) {
	path := newPath(b)
	fillHistory(b, path)
	s := open(b, path)
	cursors := []string{"", pageAt(b, s, 500_000), pageAt(b, s, 999_900)}
	type reading struct {
		filter alotwebhook.Filter
		rows   int
		took   time.Duration
	}
	for b.Loop() {
		var all []reading
		for _, f := range combinations(time.Now()) {
			for _, f.Cursor = range cursors {
				r := reading{filter: f, took: time.Hour}
				for range 3 { // the best of three counts: the machine may be doing other things
					began := time.Now()
					page, _, err := s.Deliveries(context.Background(), f)
					r.took = min(r.took, time.Since(began))
					require.NoError(b, err)
					r.rows = len(page)
				}
				all = append(all, r)
			}
		}
		slices.SortFunc(all, func(a, b reading) int { return int(b.took - a.took) })
		for _, r := range all[:10] {
			b.Logf("%6.1f ms  %3d rows of %+v", float64(r.took)/1e6, r.rows, r.filter)
		}
		b.ReportMetric(float64(all[0].took)/1e6, "slowest-ms")
		b.ReportMetric(float64(all[len(all)/2].took)/1e6, "median-ms")
	}
}

// pageAt returns the delivery id at a place, counted from the newest delivery.
func pageAt(b *testing.B, s *sqlite.Store, place int) string {
	b.Helper()
	f := alotwebhook.Filter{Limit: 10_000}
	for passed := 0; passed < place; passed += f.Limit {
		f.Limit = min(10_000, place-passed)
		page, next, err := s.Deliveries(context.Background(), f)
		require.NoError(b, err)
		require.Len(b, page, f.Limit, fmt.Sprint("from ", f.Cursor))
		f.Cursor = next
	}
	return f.Cursor
}
