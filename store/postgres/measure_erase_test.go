package postgres_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// Enqueue with subjects and without: half of the batches each, by turns.
func TestMeasureSubjects(t *testing.T) {
	b := newBench(t, 100)
	for _, batch := range []int{1, 100, 1000} {
		n := min(100_000, batch*200)
		took := map[bool]time.Duration{}
		events := make([]alotwebhook.Event, n)
		for i := range events {
			events[i] = newEvent(t, b.endpoints[i%len(b.endpoints)].OrganizationID)
			if i/batch%2 == 0 {
				events[i].Subject = fmt.Sprintf("cand_%d", i%5000)
			}
		}
		for part := range slices.Chunk(events, batch) {
			began := time.Now()
			require.NoError(t, b.store.Enqueue(t.Context(), part))
			took[part[0].Subject != ""] += time.Since(began)
		}
		fmt.Printf("enqueue, batches of %d: %.1f µs an event without a subject, %.1f µs with\n", batch, micros(took[false])/float64(n/2), micros(took[true])/float64(n/2))
		b.empty()
	}
}

// A million events of the last hours, of which one in a hundred is of an organization, and each of these
// about one of 500 people. All are delivered, with a response of 200 bytes.
func TestMeasureErase(t *testing.T) {
	const n = 1_000_000
	b := newBench(t, 100)
	b.fill(n, 100)
	b.exec(`UPDATE events SET organization_id = 'org_' || (hashtext(id::text) & 127), subject = CASE WHEN (hashtext(id::text) & 127) = 7 THEN 'cand_' || ((hashtext(id::text) >> 7) & 511) END`)
	b.exec(`WITH gone AS (DELETE FROM queue RETURNING *)
		INSERT INTO deliveries (id, endpoint, event_id, finished_at, attempts, number, delivered, event_type, response_body)
		SELECT id, endpoint, event_id, now(), 1, 1, true, event_type, repeat('y', 200) FROM gone`)
	b.exec(`VACUUM (FULL, ANALYZE) events`)
	b.exec(`VACUUM (FULL, ANALYZE) deliveries`)
	timed := func(what string, do func() int) {
		m := b.meter()
		if n := do(); n > 0 {
			m.report(what, n)
		}
	}
	timed("pages of the deliveries of a person", func() int {
		for i := range 100 {
			page, _, err := b.store.Deliveries(t.Context(), alotwebhook.Filter{Subject: fmt.Sprintf("cand_%d", i)})
			require.NoError(t, err)
			require.NotEmpty(t, page)
		}
		return 100
	})
	timed("erase people", func() int {
		for i := range 100 {
			_, _, err := b.store.Erase(t.Context(), alotwebhook.Recovery{Subject: fmt.Sprintf("cand_%d", i)}, 1000)
			require.NoError(t, err)
		}
		return 100
	})
	timed("erase an organization, events looked at", func() int {
		for r := (alotwebhook.Recovery{OrganizationID: "org_7"}); ; {
			_, next, err := b.store.Erase(t.Context(), r, 1000)
			require.NoError(t, err)
			if r.Cursor = next; next == "" {
				return n
			}
		}
	})
	timed("remove an organization, events looked at twice", func() int {
		removeAll(t, b.store, "org_8", 1000)
		return n
	})
	for _, table := range []string{"events", "deliveries"} {
		timed("VACUUM FULL, rows of "+table, func() int { b.exec(`VACUUM (FULL, ANALYZE) ` + table); return n })
	}
	b.exec(`DROP INDEX events_subject`)
	timed("the index of a million events", func() int {
		b.exec(`CREATE INDEX events_subject ON events (subject, id) WHERE subject IS NOT NULL`)
		return n
	})
}
