package postgres_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// historyDays is how many days the history covers, each with partitions of its own.
const historyDays = 30

// fillHistory stores 1,000,000 deliveries: org_0 has most of them at one
// endpoint, org_1 a sixth at fifty, org_2 a twentieth at three hundred, org_3 the
// three oldest. One in a thousand failed, one in ten thousand is of a rare type,
// and the newest tenth is unfinished, some of it parked.
func (b *bench) fillHistory() {
	b.Helper()
	b.exec(`
		DO $$
		DECLARE d timestamptz; t text;
		BEGIN
			FOR n IN 1..` + fmt.Sprint(historyDays) + ` LOOP
				d := date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - n * interval '1 day';
				FOREACH t IN ARRAY ARRAY['events', 'deliveries', 'attempts'] LOOP
					EXECUTE format('CREATE TABLE %1$s_%2$s PARTITION OF %1$s FOR VALUES FROM (%3$L) TO (%4$L)', t, to_char(d AT TIME ZONE 'UTC', 'YYYYMMDD'),
						lpad(to_hex((extract(epoch FROM d) * 1000)::bigint), 12, '0') || repeat('0', 20),
						lpad(to_hex((extract(epoch FROM d + interval '1 day') * 1000)::bigint), 12, '0') || repeat('0', 20));
				END LOOP;
			END LOOP;
		END $$`)
	b.exec(`
		INSERT INTO endpoints (id, organization_id, url, description, event_types, secret, next_secret, disabled, disabled_reason, version)
		SELECT 'wh_' || lpad(i::text, 26, '0'), CASE WHEN i = 1 THEN 'org_0' WHEN i <= 51 THEN 'org_1' WHEN i <= 351 THEN 'org_2' ELSE 'org_3' END,
			'https://example.com/hook', '', ARRAY['candidate.completed'], 's', '', i = 2, '', 1
		FROM generate_series(1, 352) AS i`)
	b.exec(`
		WITH made AS MATERIALIZED (
			SELECT i, (lpad(to_hex(((extract(epoch FROM now()) - (1000000 - i) * (86400.0 * ` + fmt.Sprint(historyDays-1) + ` / 1000000)) * 1000)::bigint), 12, '0')
					|| '7' || substr(md5(i::text), 1, 3) || '8' || substr(md5(i::text), 4, 15))::uuid AS id,
				CASE WHEN i <= 3 THEN 352 WHEN i % 20 = 0 THEN 52 + (i / 20) % 300 WHEN i % 6 = 0 THEN 2 + (i / 6) % 50 ELSE 1 END AS endpoint,
				CASE WHEN i % 10000 = 7 THEN 'candidate.disqualified' ELSE 'candidate.completed' END AS type
			FROM generate_series(1, 1000000) AS i
		), events AS (
			INSERT INTO events (id, type, organization_id, payload, created_at) SELECT id, type, '', NULL, now() FROM made
		), queued AS (
			INSERT INTO queue (id, endpoint, event_id, event_type, next_at) SELECT id, endpoint, id, type, now() FROM made WHERE i > 900000
		)
		INSERT INTO deliveries (id, endpoint, event_id, event_type, finished_at, started_at, duration_ns, attempts, number, status_code, delivered)
		SELECT id, endpoint, id, type, now(), now(), 1000000, 1, 1, 204, i % 1000 <> 3 FROM made WHERE i <= 900000`)
	b.exec(`VACUUM ANALYZE`)
	b.exec(`CHECKPOINT`)
}

// combinations returns the filters made of every owner, type, state, since and until.
func combinations(now time.Time) (all []alotwebhook.Filter) {
	types := []string{"", "candidate.completed", "candidate.disqualified", "candidate.none"}
	states := []alotwebhook.DeliveryState{"", alotwebhook.StateDelivered, alotwebhook.StateFailed, alotwebhook.StatePending, alotwebhook.StateParked}
	for _, owner := range []alotwebhook.Filter{
		{}, {OrganizationID: "org_0"}, {OrganizationID: "org_1"}, {OrganizationID: "org_2"}, {OrganizationID: "org_3"}, {OrganizationID: "none"},
		{EndpointID: fmt.Sprintf("wh_%026d", 1)}, {EndpointID: fmt.Sprintf("wh_%026d", 2)},
		{OrganizationID: "org_2", EndpointID: fmt.Sprintf("wh_%026d", 100)}, {OrganizationID: "org_3", EndpointID: fmt.Sprintf("wh_%026d", 352)},
	} {
		for _, eventType := range types {
			for _, state := range states {
				for _, since := range []time.Duration{0, 20 * 24 * time.Hour} {
					for _, until := range []time.Duration{0, 10 * 24 * time.Hour} {
						f := owner
						f.EventType, f.State = eventType, state
						if since != 0 {
							f.Since = now.Add(-since)
						}
						if until != 0 {
							f.Until = now.Add(-until)
						}
						all = append(all, f)
					}
				}
			}
		}
	}
	return all
}

func TestMeasureDeliveries(t *testing.T) {
	b := newBench(t, 0)
	b.fillHistory()
	cursors := b.cursors(map[string]int{"first page": 0, "page 5,000": 500_000, "page 10,000": 999_900})
	type reading struct {
		what string
		took time.Duration
	}
	var all []reading
	for _, f := range combinations(time.Now()) {
		for place, cursor := range cursors {
			f.Cursor = cursor
			took := time.Hour
			var rows int
			for range 3 { // the best of three counts: the machine may be doing other things
				began := time.Now()
				page, next, err := b.store.Deliveries(t.Context(), f)
				took = min(took, time.Since(began))
				require.NoError(t, err)
				if rows = len(page); next != "" && rows < 100 {
					rows = -rows - 1
				}
			}
			all = append(all, reading{fmt.Sprintf("%-11s %4d rows of %v", place, rows, f), took})
		}
	}
	slices.SortFunc(all, func(a, b reading) int { return int(b.took - a.took) })
	fmt.Printf("%d filters and places; pages cut short show −1 − their rows; the slowest:\n", len(all))
	for _, r := range all[:25] {
		fmt.Printf("%8.1f ms  %s\n", float64(r.took)/1e6, r.what)
	}
	fmt.Printf("median %v, 99th of a hundred %v\n", all[len(all)/2].took, all[len(all)/100].took)
}

// cursors returns the delivery ids at the places, which are counted from the newest
// one; "" for place 0.
func (b *bench) cursors(places map[string]int) map[string]string {
	at := map[string]string{}
	for name, place := range places {
		f := alotwebhook.Filter{Limit: 10_000}
		for passed := 0; passed < place; passed += f.Limit {
			f.Limit = min(10_000, place-passed)
			page, next, err := b.store.Deliveries(b.Context(), f)
			require.NoError(b, err)
			require.Len(b, page, f.Limit)
			f.Cursor = next
		}
		at[name] = f.Cursor
	}
	return at
}
