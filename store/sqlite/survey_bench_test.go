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
)

// fillSurvey makes a file with 10,000 endpoints, each of an organization of its own, 1,000,000
// finished deliveries over seven days, and unfinished ones of the last hour. One in 100 has failed,
// and all of 40 minutes. One endpoint in 500 is failing, one in 500 disabled. Each has tallies of 24
// hours, one in 20 of them with a failure.
func fillSurvey(b *testing.B, path string, unfinished int) {
	b.Helper()
	require.NoError(b, open(b, path).Close()) // to make the tables
	db, err := sql.Open("sqlite", "file:"+path)
	require.NoError(b, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	made := fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d), made AS (
		SELECT i, CAST(unhex(printf('%%012x', CASE WHEN i <= 1000000 THEN unixepoch() * 1000 - 3600000 - (1000000 - i) * 604.8
			ELSE unixepoch() * 1000 - 3600000 + (i - 1000000) * 3600000.0 / %d END)) || x'7000' || unhex(printf('8%%015x', i)) AS BLOB) AS id,
			1 + (i * 7919) %% 10000 AS endpoint, 1 + i %% 3 AS type,
			CASE WHEN i <= 1000000 THEN unixepoch() * 1000000 - 3600000000 - (1000000 - i) * 604800 ELSE unixepoch() * 1000000 END AS now,
			i %% 100 = 3 OR i BETWEEN 700000 AND 703967 AS bad
		FROM n) `, 1_000_000+unfinished, unfinished)
	for _, statement := range []string{
		"PRAGMA synchronous = OFF", "PRAGMA cache_size = -200000",
		"INSERT INTO alotwebhook_types VALUES (1, 'candidate.completed'), (2, 'candidate.disqualified'), (3, 'candidate.invited')",
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
		INSERT INTO alotwebhook_endpoints (active, failing_since, id, organization, version, url, description, event_types, secret, next_secret, disabled, disabled_reason)
		SELECT i % 500 <> 2, CASE WHEN i % 500 = 1 THEN 1 END, printf('wh_%026d', i), 'org_' || i, 1,
			'https://hooks.customer-' || i || '.example.com/alot/webhook', '', '["candidate.completed"]', 'sealed:' || hex(randomblob(40)), '', i % 500 = 2, '' FROM n`,
		made + `INSERT INTO alotwebhook_events SELECT i, id, type, now, now, 'org_' || endpoint, NULL, NULL FROM made`,
		made + `INSERT INTO alotwebhook_deliveries SELECT id, endpoint, 1 + bad, type, i, 1, now, now, CASE WHEN bad THEN 500 ELSE 204 END, CASE WHEN bad THEN 'status' ELSE '' END,
			'{"n":1,"at":1700000000000000,"ns":1000000,"status":204}' FROM made WHERE i <= 1000000`,
		made + `INSERT INTO alotwebhook_queue SELECT id, endpoint, now - 1000000 * (i % 60) + 30000000, 0, 0, 0, 0, i, type, now, 0, '', '' FROM made WHERE i > 1000000`,
		`WITH RECURSIVE h(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM h WHERE n < 23)
		INSERT INTO alotwebhook_tallies SELECT e.id, (unixepoch() / 3600 - h.n) * 3600000000, r.reason, 4, 4000000, 2000000
			FROM alotwebhook_endpoints e, h, (SELECT '' AS reason UNION ALL SELECT 'status') r WHERE r.reason = '' OR (e.ref + h.n) % 20 = 0`,
		`INSERT INTO alotwebhook_tallies SELECT '', hour, reason, sum(attempts), sum(duration), max(slowest) FROM alotwebhook_tallies GROUP BY hour, reason`,
	} {
		_, err := db.Exec(statement)
		require.NoError(b, err, statement)
	}
}

// BenchmarkSurvey reads what operators' pages show, over very many organizations, and reports the
// median of each.
func BenchmarkSurvey(b *testing.B) {
	for _, unfinished := range []int{100_000, 1_000_000} {
		path := newPath(b)
		fillSurvey(b, path, unfinished)
		s := open(b, path)
		ctx, now := context.Background(), time.Now()
		// The minutes in which all failed.
		since := now.Add(-time.Hour - 300_000*604800*time.Microsecond)
		failed := alotwebhook.Recovery{State: alotwebhook.RecoveryRunning, FailedSince: since, FailedUntil: since.Add(40 * time.Minute), Since: since.Add(-8 * 24 * time.Hour)}
		for _, c := range []struct {
			name string
			read func() error
		}{
			{"Stats", func() error { _, err := s.Stats(ctx); return err }},
			{"Backlogs", func() error { _, err := s.Backlogs(ctx, 20); return err }},
			{"Totals", func() error { _, err := s.Totals(ctx, now.Add(-24*time.Hour)); return err }},
			{"Processes", func() error { _, err := s.Processes(ctx); return err }},
			{"Count/failed", func() error { _, err := s.Count(ctx, failed); return err }},
			{"Count/everFailed", func() error { _, err := s.Count(ctx, alotwebhook.Recovery{}); return err }},
			{"Count/unfinished", func() error {
				_, err := s.Count(ctx, alotwebhook.Recovery{State: alotwebhook.RecoveryCanceling})
				return err
			}},
			{"Count/unfinishedOfType", func() error {
				_, err := s.Count(ctx, alotwebhook.Recovery{State: alotwebhook.RecoveryCanceling, EventType: completed})
				return err
			}},
			{"Endpoints/Failing", func() error { _, _, err := s.Endpoints(ctx, alotwebhook.EndpointFilter{Failing: true}); return err }},
			{"Endpoints/FailingOrDisabled", func() error {
				_, _, err := s.Endpoints(ctx, alotwebhook.EndpointFilter{Failing: true, Disabled: true})
				return err
			}},
			{"Endpoints/URLPart", func() error {
				_, _, err := s.Endpoints(ctx, alotwebhook.EndpointFilter{URLPart: "Customer-9999."})
				return err
			}},
			{"Deliveries/unfinished", func() error {
				_, _, err := s.Deliveries(ctx, alotwebhook.Filter{State: alotwebhook.StateUnfinished})
				return err
			}},
		} {
			b.Run(fmt.Sprintf("unfinished=%d/%s", unfinished, c.name), func(b *testing.B) {
				var took []time.Duration
				for b.Loop() {
					began := time.Now()
					require.NoError(b, c.read())
					took = append(took, time.Since(began))
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2])/1e6, "median-ms")
			})
		}
	}
}
