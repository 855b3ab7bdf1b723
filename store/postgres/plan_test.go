package postgres_test

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/feed"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

const (
	planRows  = 300_000
	planBatch = 100
)

var (
	tableScan  = regexp.MustCompile(`Seq Scan on (queue|endpoints|events|deliveries|attempts|firsts|operations)\w*`)
	nodeRows   = regexp.MustCompile(`actual .*rows=(\d+) loops=(\d+)`)
	passedOver = regexp.MustCompile(`Rows Removed by \w+: (\d+)`)
)

// The plans come from the server's log. It has those that were really executed,
// with the rows that each node really gave.
func TestNoStatementScansATable(t *testing.T) {
	t.Parallel()
	cluster := postgrestest.New(t, "session_preload_libraries = 'auto_explain'", "auto_explain.log_min_duration = 0",
		"auto_explain.log_analyze = on", "auto_explain.log_timing = off", "autovacuum = off")
	store, pool := openAt(t, cluster.DSN(), small)
	endpoints := putEndpoints(t, store, 10)
	fillQueue(t, pool, store.Schema(), planRows, len(endpoints))
	_, err := pool.Exec(t.Context(), fmt.Sprintf(`
		INSERT INTO %[1]s.endpoints (id, organization_id, url, description, event_types, secret, next_secret, disabled, disabled_reason, version)
		SELECT 'wh_other_' || key || '_' || i, 'org_other_' || i, url, '', event_types, secret, '', false, '', 1
		FROM %[1]s.endpoints, generate_series(1, 1000) AS i WHERE key <= 10`, store.Schema()))
	require.NoError(t, err)

	// Some 300 endpoints were disabled long ago, and one of them has a backlog.
	_, err = pool.Exec(t.Context(), fmt.Sprintf(`
		UPDATE %[1]s.endpoints SET disabled = true, disabled_at = now() - interval '2 days' WHERE key %% 32 = 31;
		UPDATE %[1]s.queue SET endpoint = 31, next_at = next_at - interval '2 days' WHERE endpoint = 10`, store.Schema()))
	require.NoError(t, err)

	// A few are failing.
	run(t, pool, fmt.Sprintf(`UPDATE %s.endpoints SET failing_since = now() WHERE key > 5000 AND key %% 1000 = 1`, store.Schema()))

	// One event in ten is about one of a thousand people.
	run(t, pool, fmt.Sprintf(`UPDATE %s.events SET subject = 'cand_' || abs(hashtext(id::text)) %% 10000 WHERE hashtext(id::text) %% 10 = 0`, store.Schema()))
	subject, cursor := 0, ""

	orderMany(t, pool, store.Schema())
	fillOperations(t, pool, store.Schema(), planRows)

	for _, analyzed := range []bool{false, true} { // as after a sudden rush, and as later on
		if analyzed {
			_, err := pool.Exec(t.Context(), "ANALYZE")
			require.NoError(t, err)
			pool.Reset() // plans made before, too
		}
		before := len(cluster.Log())
		for range 8 { // the server turns to generic plans after five
			workOnce(t, store, endpoints)
			cursor = feedOnce(t, store, endpoints[0], cursor)
			for _, organization := range []string{"", "org_0"} {
				subject += 10
				eraseOnce(t, store, store.Erase, alotwebhook.Recovery{OrganizationID: organization, Subject: fmt.Sprintf("cand_%d", subject)})
			}
		}
		plans := cluster.Log()[before:]
		for _, needle := range []string{"Index Scan using queue_due", "Index Scan using queue_pkey", "Delete on queue", "Insert on deliveries", "Index Scan using firsts_pkey", "Index Scan using endpoints_troubled", "_subject_id_idx", "_organization_id_stored_by_id_idx"} {
			require.True(t, strings.Contains(plans, needle), "the log does not show %q", needle)
		}
		for statement := range strings.SplitSeq(plans, "LOG:  duration:") {
			require.Empty(t, tableScan.FindString(statement), statement)
		}
		requireFewRows(t, plans)

		// A host's transaction has settings of its own, by which a small table may be scanned.
		before = len(cluster.Log())
		for range 8 {
			subject += 10
			r := alotwebhook.Recovery{Subject: fmt.Sprintf("cand_%d", subject)}
			require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
				eraseOnce(t, store, store.Tx(tx).(eraser).Erase, r)
				return nil
			}))
		}
		requireFewRows(t, cluster.Log()[before:])
	}
}

// feedOnce reads a page of an organization's events, and sends an endpoint some that it may have missed.
func feedOnce(t *testing.T, store *postgres.Store, e alotwebhook.Endpoint, cursor string) (next string) {
	t.Helper()
	page, err := store.Feed(t.Context(), feed.Filter{OrganizationID: e.OrganizationID, EventTypes: []string{"not.known"}, Cursor: cursor, Limit: planBatch})
	require.NoError(t, err)
	require.True(t, page.More)
	require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_fed")}))
	fed, err := store.Feed(t.Context(), feed.Filter{OrganizationID: "org_fed"})
	require.NoError(t, err)
	require.NotEmpty(t, fed.Events)
	_, _, _, _, err = store.Backfill(t.Context(), alotwebhook.Recovery{EndpointID: e.ID, OrganizationID: e.OrganizationID}, e.EventTypes, 10)
	require.NoError(t, err)
	return page.Next
}

// requireFewRows requires that no statement has read more rows than a batch explains.
func requireFewRows(t *testing.T, plans string) {
	t.Helper()
	for statement := range strings.SplitSeq(plans, "LOG:  duration:") {
		for _, m := range nodeRows.FindAllStringSubmatch(statement, -1) {
			require.LessOrEqual(t, number(t, m[1])*number(t, m[2]), 20*planBatch, "more rows than the batch explains: %s", statement)
		}
		for _, m := range passedOver.FindAllStringSubmatch(statement, -1) {
			require.LessOrEqual(t, number(t, m[1]), 20*planBatch, "more rows passed over than the batch explains: %s", statement)
		}
	}
}

// orderMany makes one endpoint with a backlog ordered, and many others, with a place that is kept
// in each.
func orderMany(t *testing.T, pool *pgxpool.Pool, schema string) {
	t.Helper()
	_, err := pool.Exec(t.Context(), fmt.Sprintf(`
		UPDATE %[1]s.endpoints SET ordered = true WHERE key = 9 OR key > 5000;
		INSERT INTO %[1]s.firsts (endpoint, delivery) SELECT key, '018f0000-0000-7000-8000-000000000000' FROM %[1]s.endpoints WHERE key > 5000`, schema))
	require.NoError(t, err)
}

// fillOperations puts n operations into the store, all of them handled or under lease.
func fillOperations(t *testing.T, pool *pgxpool.Pool, schema string, n int) {
	t.Helper()
	_, err := pool.Exec(t.Context(), fmt.Sprintf(`
		INSERT INTO %[1]s.operations (id, due_at, type, organization_id, endpoint_id, delivery_id, actor, note)
		SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - ($1 - i)), 12, '0')
				|| '7' || substr(md5(i::text), 1, 3) || '8' || substr(md5(i::text), 4, 15))::uuid,
			CASE WHEN i %% 3 = 0 THEN now() + interval '1 hour' END, 'endpoint.changed', 'org_' || i %% 50, 'wh_' || i %% 500, '', '', ''
		FROM generate_series(1, $1::bigint) AS i`, schema), n)
	require.NoError(t, err)
}

// operateOnce does once what is done with operations.
func operateOnce(t *testing.T, store alotwebhook.Store, e alotwebhook.Endpoint) {
	t.Helper()
	stored, err := store.Endpoint(t.Context(), e.ID)
	require.NoError(t, err)
	id := "op_" + strings.TrimPrefix(newEvent(t, e.OrganizationID).ID, "evt_")
	o := alotwebhook.Operation{ID: id, Type: alotwebhook.OpEndpointChanged, OrganizationID: e.OrganizationID, EndpointID: e.ID}
	require.NoError(t, store.PutEndpoint(t.Context(), stored, o))
	claimed, err := store.ClaimOperations(t.Context(), planBatch, time.Minute)
	require.NoError(t, err)
	require.Len(t, claimed, 1)
	claimed, err = store.ClaimOperations(t.Context(), planBatch, time.Minute)
	require.NoError(t, err)
	require.Empty(t, claimed)
	require.NoError(t, store.FinishOperations(t.Context(), []string{id}, 0))
	for _, f := range []alotwebhook.OperationFilter{{}, {OrganizationID: "org_7"}, {EndpointID: "wh_7"}} {
		f.Limit = 20
		page, _, err := store.Operations(t.Context(), f)
		require.NoError(t, err)
		require.Len(t, page, 20)
	}
}

func number(t *testing.T, s string) int {
	n, err := strconv.Atoi(s)
	require.NoError(t, err)
	return n
}

// workOnce does once, with batches, what a dispatcher and its readers do all the time.
func workOnce(t *testing.T, store alotwebhook.Store, endpoints []alotwebhook.Endpoint) {
	t.Helper()
	events := make([]alotwebhook.Event, planBatch)
	for i := range events {
		events[i] = newEvent(t, endpoints[i%len(endpoints)].OrganizationID)
	}
	require.NoError(t, store.Enqueue(t.Context(), events))
	r, err := store.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: planBatch, PerEndpoint: 32, Lease: time.Minute})
	require.NoError(t, err)
	require.Len(t, r.Deliveries, planBatch)
	outcomes := outcomesOf(r.Deliveries)
	for i := range outcomes[:planBatch/2] {
		outcomes[i].State, outcomes[i].NextAttemptIn = alotwebhook.StatePending, time.Hour
		outcomes[i].Attempt.Reason = alotwebhook.ReasonTimeout
	}
	for i, c := range r.Deliveries {
		if c.Endpoint.Ordered {
			outcomes[i].HoldsUp = time.Minute
		}
	}
	lost, err := store.Finish(t.Context(), outcomes)
	require.NoError(t, err)
	require.Empty(t, lost)
	operateOnce(t, store, endpoints[len(endpoints)-1])
	n, err := store.Redeliver(t.Context(), []string{outcomes[0].DeliveryID, outcomes[planBatch-1].DeliveryID})
	require.NoError(t, err)
	require.Equal(t, 2, n)
	purged, err := store.Purge(t.Context(), alotwebhook.PurgeRequest{Parked: 24 * time.Hour, Limit: planBatch})
	require.NoError(t, err)
	require.Equal(t, alotwebhook.PurgeResult{Expired: planBatch}, purged)
	n, err = store.Cancel(t.Context(), []string{outcomes[0].DeliveryID, outcomes[1].DeliveryID, outcomes[planBatch-2].DeliveryID})
	require.NoError(t, err)
	require.Equal(t, 2, n)
	_, err = store.Delivery(t.Context(), outcomes[0].DeliveryID)
	require.NoError(t, err)
	page, _, err := store.Deliveries(t.Context(), alotwebhook.Filter{Limit: 20})
	require.NoError(t, err)
	require.Len(t, page, 20)
	listOnce(t, store)
}

// eraseOnce finds what r selects, which is unfinished, and erases it.
func eraseOnce(t *testing.T, store alotwebhook.Store, erase func(context.Context, alotwebhook.Recovery, int) (int, string, error), r alotwebhook.Recovery) {
	t.Helper()
	page, _, err := store.Deliveries(t.Context(), alotwebhook.Filter{Subject: r.Subject, State: alotwebhook.StateUnfinished})
	require.NoError(t, err)
	require.NotEmpty(t, page)
	n, next, err := erase(t.Context(), r, planBatch)
	require.NoError(t, err)
	require.Positive(t, n)
	require.Empty(t, next)
}

// listOnce finds the endpoints that operators look for.
func listOnce(t *testing.T, store alotwebhook.Store) {
	t.Helper()
	for f, n := range map[*alotwebhook.EndpointFilter]int{
		{Failing: true}: 5, {Disabled: true}: 5, {Failing: true, Disabled: true}: 5, {URLPart: "HOOK"}: 5, {Failing: true, URLPart: "none"}: 0,
	} {
		f.Limit = 5
		page, _, err := store.Endpoints(t.Context(), *f)
		require.NoError(t, err)
		require.Len(t, page, n, "filter %+v", f)
	}
}

// fillQueue puts n due deliveries into the queue, spread over the first endpoints,
// as if ten a millisecond had been emitted.
func fillQueue(t testing.TB, pool *pgxpool.Pool, schema string, n, endpoints int) {
	t.Helper()
	_, err := pool.Exec(t.Context(), fmt.Sprintf(`
		WITH made AS MATERIALIZED (
			SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - ($1 - i) / 10), 12, '0')
				|| '7' || substr(md5(i::text), 1, 3) || '8' || substr(md5(i::text), 4, 15))::uuid AS id, i
			FROM generate_series(1, $1::bigint) AS i
		), events AS (
			INSERT INTO %[1]s.events (id, type, organization_id, payload, created_at)
			SELECT id, 'candidate.completed', 'org_0', repeat('x', 300), now() FROM made
		)
		INSERT INTO %[1]s.queue (id, endpoint, event_id, event_type, next_at)
		SELECT id, 1 + i %% $2::int, id, 'candidate.completed', now() - ($1 - i) * interval '1 microsecond' FROM made`, schema), n, endpoints)
	require.NoError(t, err)
}
