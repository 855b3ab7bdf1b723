package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// fillOverview stores 10,000 organizations with two endpoints each, of which ten fail and twenty are
// disabled, and 1,000,000 finished deliveries of the last eight days: one in fifty has failed, and
// all of forty minutes of yesterday. It stores the tallies of a day, too.
func (b *bench) fillOverview() {
	b.Helper()
	b.exec(`
		INSERT INTO endpoints (id, organization_id, url, description, event_types, secret, next_secret, disabled, disabled_reason, disabled_at, failing_since, version)
		SELECT 'wh_' || lpad(i::text, 26, '0'), 'org_' || i % 10000, 'https://hooks-' || i || '.example.com/alot/webhook', '', ARRAY['candidate.completed'], 's', '',
			i % 1000 = 1, '', CASE WHEN i % 1000 = 1 THEN now() END, CASE WHEN i % 2000 = 2 THEN now() END, 1
		FROM generate_series(1, 20000) AS i`)
	b.exec(`
		WITH made AS MATERIALIZED (
			SELECT i, now() - (1000000 - i) * interval '0.69 seconds' AS at FROM generate_series(1, 1000000) AS i
		), ids AS MATERIALIZED (
			SELECT i, at, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
				|| '7' || substr(md5(i::text), 1, 3) || '8' || substr(md5(i::text), 4, 15))::uuid AS id,
				i % 50 <> 0 AND NOT at BETWEEN now() - interval '1 day 40 minutes' AND now() - interval '1 day' AS delivered
			FROM made
		)
		INSERT INTO deliveries (id, endpoint, event_id, event_type, finished_at, started_at, duration_ns, attempts, number, status_code, delivered, reason, detail)
		SELECT id, 1 + i::bigint * 7919 % 20000, id, 'candidate.completed', at, at, 1000000, 1, 1, CASE WHEN delivered THEN 204 ELSE 503 END, delivered,
			CASE WHEN delivered THEN '' ELSE 'status' END, ''
		FROM ids`)
	b.exec(`
		INSERT INTO tallies (endpoint_id, hour, reason, attempts, duration_ns, slowest_ns)
		SELECT 'wh_' || lpad(i::text, 26, '0'), date_trunc('hour', now()) - h * interval '1 hour', r, 10, 1000000, 200000
		FROM generate_series(1, 10000) AS i, generate_series(0, 71) AS h, unnest(ARRAY['', 'status', 'timeout']) AS r
		WHERE r = '' OR (i + h) % 10 = 0`)
	b.exec(`VACUUM ANALYZE`)
	b.exec(`CHECKPOINT`)
}

// makeDays makes the partitions of the eight days before.
func (b *bench) makeDays() {
	b.Helper()
	b.exec(`
		DO $$
		DECLARE d timestamptz; t text;
		BEGIN
			FOR n IN 1..9 LOOP
				d := date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - n * interval '1 day';
				FOREACH t IN ARRAY ARRAY['events', 'deliveries', 'attempts'] LOOP
					EXECUTE format('CREATE TABLE %1$s_%2$s PARTITION OF %1$s FOR VALUES FROM (%3$L) TO (%4$L)', t, to_char(d AT TIME ZONE 'UTC', 'YYYYMMDD'),
						lpad(to_hex((extract(epoch FROM d) * 1000)::bigint), 12, '0') || repeat('0', 20),
						lpad(to_hex((extract(epoch FROM d + interval '1 day') * 1000)::bigint), 12, '0') || repeat('0', 20));
				END LOOP;
			END LOOP;
		END $$`)
}

// fillBacklog has the queue hold n deliveries of the endpoints in all.
func (b *bench) fillBacklog(n int) {
	b.Helper()
	b.exec(`TRUNCATE queue`)
	b.exec(`
		INSERT INTO queue (id, endpoint, event_id, event_type, next_at)
		SELECT id, 1 + i::bigint * 7919 % 20000, id, 'candidate.completed', now() + (i % 5 - 3) * interval '1 minute'
		FROM (SELECT i, (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - ($1 - i) / 10), 12, '0')
			|| '7' || substr(md5(i::text), 1, 3) || '9' || substr(md5(i::text), 4, 15))::uuid AS id FROM generate_series(1, $1::bigint) AS i) AS made`, n)
	b.exec(`VACUUM ANALYZE queue`)
}

// time prints the median of some calls.
func (b *bench) time(what string, call func() (any, error)) {
	b.Helper()
	var all []time.Duration
	var result any
	for range 15 {
		began := time.Now()
		got, err := call()
		all = append(all, time.Since(began))
		require.NoError(b, err)
		result = got
	}
	fmt.Printf("%8.1f ms  %-60s %v\n", micros(median(all))/1000, what, result)
}

func TestMeasureOverview(t *testing.T) {
	b := newBench(t, 0)
	b.makeDays()
	b.fillOverview()
	ctx, now := t.Context(), time.Now()
	for _, n := range []int{100_000, 1_000_000} {
		b.fillBacklog(n)
		b.time(fmt.Sprint("Stats of ", n), func() (any, error) { return b.store.Stats(ctx) })
		b.time(fmt.Sprint("Backlogs of ", n), func() (any, error) {
			list, err := b.store.Backlogs(ctx, 20)
			return len(list), err
		})
		b.time(fmt.Sprint("Count of ", n, " unfinished"), func() (any, error) {
			return b.store.Count(ctx, alotwebhook.Recovery{State: alotwebhook.RecoveryCanceling})
		})
	}
	b.time("Totals of 24 hours", func() (any, error) {
		list, err := b.store.Totals(ctx, now.Add(-23*time.Hour).Truncate(time.Hour))
		return len(list), err
	})
	failed := now.Add(-24*time.Hour - 40*time.Minute)
	for what, r := range map[string]alotwebhook.Recovery{
		"failed":                         {},
		"failed in 40 minutes":           {FailedSince: failed, FailedUntil: failed.Add(40 * time.Minute), Since: failed.Add(-8 * 24 * time.Hour), Until: failed.Add(40 * time.Minute)},
		"failed in 40 minutes, of a day": {FailedSince: failed, FailedUntil: failed.Add(40 * time.Minute), Since: failed.Add(-time.Hour), Until: failed.Add(40 * time.Minute)},
		"failed of an organization":      {OrganizationID: "org_51"},
		"failed by timeout":              {Reason: alotwebhook.ReasonTimeout},
	} {
		b.time("Count of "+what, func() (any, error) { return b.store.Count(ctx, r) })
	}
	for what, f := range map[string]alotwebhook.EndpointFilter{
		"failing": {Failing: true}, "disabled": {Disabled: true}, "failing or disabled": {Failing: true, Disabled: true},
		"with hooks-19999": {URLPart: "HOOKS-19999"}, "with example": {URLPart: "example"}, "with none": {URLPart: "no such host"},
	} {
		b.time("endpoints "+what, func() (any, error) {
			list, _, err := b.store.Endpoints(ctx, f)
			return len(list), err
		})
	}
	var ids []string
	page, _, err := b.store.Deliveries(ctx, alotwebhook.Filter{State: alotwebhook.StateUnfinished, Limit: 1000})
	require.NoError(t, err)
	for _, d := range page {
		ids = append(ids, d.ID)
	}
	b.time("Deliveries unfinished, 100", func() (any, error) {
		page, _, err := b.store.Deliveries(ctx, alotwebhook.Filter{State: alotwebhook.StateUnfinished})
		return len(page), err
	})
	began := time.Now()
	n, err := b.store.Cancel(ctx, ids)
	require.NoError(t, err)
	fmt.Printf("%8.1f ms  Cancel of %d\n", micros(time.Since(began))/1000, n)
}
