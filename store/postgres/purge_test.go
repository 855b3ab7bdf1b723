package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// A publication of all tables takes deletes of rows that have a replica identity alone. So
// every table of the store has one: also those that releases before had made.
func TestPurgeUnderAPublicationOfAllTables(t *testing.T) {
	t.Parallel()
	for _, upgraded := range []bool{false, true} {
		t.Run(fmt.Sprintf("upgraded=%v", upgraded), func(t *testing.T) {
			t.Parallel()
			pool := postgrestest.PoolAt(t, newDatabase(t))
			require.NoError(t, postgres.Migrate(t.Context(), pool, nil))
			schema := postgres.DefaultSchema
			if upgraded {
				asVersion2(t, pool, schema)
				require.NoError(t, postgres.Migrate(t.Context(), pool, nil))
			}
			run(t, pool, "CREATE PUBLICATION everything FOR ALL TABLES")
			var without []string
			require.NoError(t, pool.QueryRow(t.Context(), `SELECT array_agg(relname::text) FROM pg_class c
				WHERE relnamespace = $1::regnamespace AND relkind = 'r' AND relreplident = 'd'
					AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)`, schema).Scan(&without))
			require.Empty(t, without, "no replica identity")

			store, err := postgres.New(t.Context(), pool, nil)
			require.NoError(t, err)
			e := putEndpoints(t, store, 1)[0]
			old := aged(newEvent(t, e.OrganizationID), time.Now().AddDate(0, 0, -5)) // in the default partitions
			require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, e.OrganizationID), old}))
			retry := outcomesOf(claim(t, store))
			require.Len(t, retry, 2)
			for i := range retry {
				retry[i].State, retry[i].Attempt.Reason = alotwebhook.StatePending, alotwebhook.ReasonTimeout
			}
			_, err = store.Finish(t.Context(), retry)
			require.NoError(t, err)
			require.Equal(t, 2, count(t, pool, schema+".attempts"))
			var again []alotwebhook.Claimed
			for len(again) < 2 {
				again = append(again, claim(t, store)...)
			}
			_, err = store.Finish(t.Context(), outcomesOf(again))
			require.NoError(t, err)
			time.Sleep(2 * time.Millisecond) // the database's clock has to pass the retention
			r, err := store.Purge(t.Context(), alotwebhook.PurgeRequest{Payloads: time.Millisecond, History: time.Millisecond, Tallies: time.Millisecond})
			require.NoError(t, err)
			require.Equal(t, alotwebhook.PurgeResult{Payloads: 2, Deliveries: 2, Events: 2}, r)
			require.Zero(t, count(t, pool, schema+".attempts"))
		})
	}
}

// asVersion2 takes a schema back to what version 2 had made.
func asVersion2(t *testing.T, pool *pgxpool.Pool, schema string) {
	t.Helper()
	run(t, pool, "DELETE FROM "+schema+".migrations WHERE version > 2; ALTER TABLE "+schema+".migrations DROP COLUMN latest; ALTER TABLE "+schema+".endpoints DROP COLUMN disabled_at, DROP COLUMN rate, DROP COLUMN ordered, DROP COLUMN warned, DROP COLUMN urls, DROP COLUMN payload_version, DROP COLUMN credentials; ALTER TABLE "+schema+".events DROP COLUMN trace_parent, DROP COLUMN subject, DROP COLUMN test; "+
		"ALTER TABLE "+schema+".deliveries DROP COLUMN url; ALTER TABLE "+schema+".attempts DROP COLUMN url; DROP TABLE "+schema+".urls; "+
		"ALTER TABLE "+schema+".queue RENAME COLUMN token TO lease; DROP TABLE "+schema+".owners, "+schema+".slots, "+schema+".firsts, "+schema+".operations, "+schema+".pauses; "+
		"DROP INDEX "+schema+".endpoints_troubled; ALTER TABLE "+schema+".recoveries DROP COLUMN event_id, DROP COLUMN event_type, DROP COLUMN reason, DROP COLUMN failed_since, DROP COLUMN failed_until, DROP COLUMN actor, DROP COLUMN note, DROP COLUMN begun_at, DROP COLUMN narrowed, DROP COLUMN subject")
	rows, err := pool.Query(t.Context(), `SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::regclass`, schema+".attempts")
	require.NoError(t, err)
	partitions, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Greater(t, len(partitions), 1)
	for _, p := range partitions {
		run(t, pool, "ALTER TABLE "+p+" REPLICA IDENTITY DEFAULT")
	}
}

// Rows that cannot be deleted keep nothing else from being purged, payloads least of all.
func TestPurgeGoesOnAfterAnError(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t))
	e := putEndpoints(t, store, 1)[0]
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -40)
	oldDay(t, pool, store.Schema(), day)
	require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{
		aged(newEvent(t, e.OrganizationID), day), newEvent(t, e.OrganizationID),
	}))
	claimed := claim(t, store)
	require.Len(t, claimed, 2)
	_, err := store.Finish(t.Context(), outcomesOf(claimed))
	require.NoError(t, err)
	run(t, pool, fmt.Sprintf(`CREATE FUNCTION %[1]s.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''not this one''; END';
		CREATE TRIGGER refuse BEFORE DELETE ON %[1]s.deliveries_%[2]s FOR EACH ROW EXECUTE FUNCTION %[1]s.refuse()`, store.Schema(), day.Format("20060102")))
	time.Sleep(2 * time.Millisecond) // as above
	r, err := store.Purge(t.Context(), alotwebhook.PurgeRequest{Payloads: time.Millisecond, History: time.Millisecond})
	require.ErrorContains(t, err, "purge the history of "+day.Format("20060102"))
	require.ErrorContains(t, err, "not this one")
	require.Equal(t, alotwebhook.PurgeResult{Payloads: 2, Deliveries: 1, Events: 1}, r)
}

const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// aged gives an event the id that it would have had at another time: the first
// ten of an id's characters are its 48 bits of milliseconds.
func aged(e alotwebhook.Event, at time.Time) alotwebhook.Event {
	var begin [10]byte
	ms := at.UnixMilli()
	for i := len(begin) - 1; i >= 0; i-- {
		begin[i] = crockford[ms&31]
		ms >>= 5
	}
	e.ID = "evt_" + string(begin[:]) + e.ID[len("evt_")+len(begin):]
	return e
}

// oldDay makes the partitions of a day, as a process would have on that day.
func oldDay(t *testing.T, pool *pgxpool.Pool, schema string, day time.Time) {
	t.Helper()
	for _, table := range []string{"events", "deliveries", "attempts"} {
		run(t, pool, fmt.Sprintf(`CREATE TABLE %[1]s.%[2]s_%[3]s PARTITION OF %[1]s.%[2]s FOR VALUES FROM ('%[4]s') TO ('%[5]s')`,
			schema, table, day.Format("20060102"), uuidOf(day), uuidOf(day.Add(24*time.Hour))))
	}
}

// A whole day is dropped once little of it is unfinished, which moves out of the way. Until
// then it is purged row by row, and what is unfinished stays.
func TestPurgeDropsADay(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t))
	e := putEndpoints(t, store, 1)[0]
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -40)
	oldDay(t, pool, store.Schema(), day)
	const n = 12_050 // more than dropFrom, by more than one Limit and maxKept
	events := make([]alotwebhook.Event, n)
	for i := range events {
		events[i] = aged(newEvent(t, e.OrganizationID), day.Add(time.Duration(i)*time.Second))
	}
	require.NoError(t, store.Enqueue(t.Context(), events))
	finish := func(outcomes []alotwebhook.Outcome) {
		t.Helper()
		lost, err := store.Finish(t.Context(), outcomes)
		require.NoError(t, err)
		require.Empty(t, lost)
	}
	var unfinished []alotwebhook.Outcome
	for done := 0; done < n; {
		r, err := store.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 1500, PerEndpoint: n, Lease: time.Hour})
		require.NoError(t, err)
		require.NotEmpty(t, r.Deliveries)
		outcomes := outcomesOf(r.Deliveries)
		if done == 0 {
			unfinished, outcomes = outcomes[:1003], outcomes[1003:]
		}
		done += len(r.Deliveries)
		finish(outcomes)
	}
	require.Equal(t, n-1003, count(t, pool, store.Schema()+".deliveries_"+day.Format("20060102")), "an id leads to its day")
	purge := func() alotwebhook.PurgeResult {
		t.Helper()
		time.Sleep(2 * time.Millisecond) // the database's clock has to pass the retention
		r, err := store.Purge(t.Context(), alotwebhook.PurgeRequest{History: time.Millisecond})
		require.NoError(t, err)
		return r
	}
	require.Equal(t, alotwebhook.PurgeResult{Deliveries: 1000, Events: 1000}, purge(), "too much is unfinished")

	retried := unfinished[0]
	retried.State, retried.Attempt.StatusCode, retried.Attempt.Reason = alotwebhook.StatePending, 500, alotwebhook.ReasonStatus
	finish(append(unfinished[3:], retried))
	require.Equal(t, alotwebhook.PurgeResult{Deliveries: n - 1003, Events: n - 1003}, purge())
	var left int
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_class WHERE relnamespace = $1::regnamespace AND relname LIKE '%' || $2`,
		store.Schema(), day.Format("20060102")).Scan(&left))
	require.Zero(t, left)

	d, err := store.Delivery(t.Context(), retried.DeliveryID)
	require.NoError(t, err)
	require.Len(t, d.Attempts, 1, "the attempts of what is kept are kept")
	again := claim(t, store)
	require.Len(t, again, 1)
	kept, err := store.Event(t.Context(), again[0].EventID)
	require.NoError(t, err)
	require.Equal(t, string(kept.Payload()), string(again[0].Payload))
	finish(append(outcomesOf(again), unfinished[1:3]...))
	require.Equal(t, alotwebhook.PurgeResult{Deliveries: 3, Events: 3}, purge())
	for _, table := range []string{"queue", "deliveries", "events", "attempts"} {
		require.Zero(t, count(t, pool, store.Schema()+"."+table), table)
	}
}

// A delivery that was redelivered of late stays, with its event, when its day is dropped.
func TestPurgeKeepsWhatEndedLate(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t))
	e := putEndpoints(t, store, 1)[0]
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -40)
	oldDay(t, pool, store.Schema(), day)
	old := aged(newEvent(t, e.OrganizationID), day.Add(time.Hour))
	require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{old}))
	_, err := store.Finish(t.Context(), outcomesOf(claim(t, store)))
	require.NoError(t, err)
	run(t, pool, fmt.Sprintf(`
		INSERT INTO %[1]s.deliveries (id, endpoint, event_id, finished_at, attempts, delivered, event_type)
		SELECT (left(id::text, 24) || lpad(to_hex(i), 12, '0'))::uuid, endpoint, event_id, now() - interval '39 days', 1, true, event_type
		FROM %[1]s.deliveries, generate_series(1, 10000) AS i`, store.Schema()))
	r, err := store.Purge(t.Context(), alotwebhook.PurgeRequest{History: 30 * 24 * time.Hour})
	require.NoError(t, err)
	require.Equal(t, alotwebhook.PurgeResult{Deliveries: 10_000}, r)
	_, err = store.Event(t.Context(), old.ID)
	require.NoError(t, err)
	d, err := store.Delivery(t.Context(), alotwebhook.DeliveryID(old.ID, e.ID))
	require.NoError(t, err)
	require.Equal(t, alotwebhook.StateDelivered, d.State)
	require.Len(t, d.Attempts, 1)
	require.Equal(t, 1, count(t, pool, store.Schema()+".deliveries_default"))
}

// An endpoint that a process of the release before disabled has no disabled_at. Its
// deliveries wait from when that is noticed.
func TestExpireAfterAnUpgrade(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t))
	endpoints := putEndpoints(t, store, 2)
	for _, e := range endpoints {
		enqueueAll(t, store, []alotwebhook.Endpoint{e}, 1)
	}
	run(t, pool, fmt.Sprintf(`UPDATE %[1]s.endpoints SET disabled = true; UPDATE %[1]s.queue SET next_at = now() - interval '400 days'`, store.Schema()))
	r, err := store.Purge(t.Context(), alotwebhook.PurgeRequest{Parked: time.Hour})
	require.NoError(t, err)
	require.Zero(t, r)
	stored, err := store.Endpoint(t.Context(), endpoints[0].ID)
	require.NoError(t, err)
	require.False(t, stored.DisabledAt.IsZero())
	run(t, pool, fmt.Sprintf(`UPDATE %[1]s.endpoints SET disabled_at = now() - interval '2 hours';
		UPDATE %[1]s.endpoints SET disabled = false WHERE id = '%[2]s'`, store.Schema(), stored.ID))
	r, err = store.Purge(t.Context(), alotwebhook.PurgeRequest{Parked: time.Hour})
	require.NoError(t, err)
	require.Equal(t, alotwebhook.PurgeResult{Expired: 1}, r)
	stored, err = store.Endpoint(t.Context(), stored.ID)
	require.NoError(t, err)
	require.True(t, stored.DisabledAt.IsZero())
}

// Ids of days without a partition, long ago or far ahead, are kept and purged too.
func TestOddIDs(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t))
	e := putEndpoints(t, store, 1)[0]
	var events []alotwebhook.Event
	for _, at := range []time.Time{time.UnixMilli(0), time.Now().AddDate(-3, 0, 0), time.Now().AddDate(200, 0, 0), time.UnixMilli(1<<48 - 1)} {
		events = append(events, aged(newEvent(t, e.OrganizationID), at))
	}
	require.NoError(t, store.Enqueue(t.Context(), events))
	require.Equal(t, 4, count(t, pool, store.Schema()+".events_default"))
	claimed := claim(t, store)
	require.Len(t, claimed, 4)
	_, err := store.Finish(t.Context(), outcomesOf(claimed))
	require.NoError(t, err)
	page, _, err := store.Deliveries(t.Context(), alotwebhook.Filter{EventID: events[2].ID})
	require.NoError(t, err)
	require.Len(t, page, 1)
	time.Sleep(2 * time.Millisecond) // as above
	r, err := store.Purge(t.Context(), alotwebhook.PurgeRequest{History: time.Millisecond})
	require.NoError(t, err)
	require.Equal(t, alotwebhook.PurgeResult{Deliveries: 4, Events: 4}, r)
}

// A transaction that reads an old day for long, such as a dump, holds up neither
// purging nor sending.
func TestPurgeDoesNotWait(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t))
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -40)
	oldDay(t, pool, store.Schema(), day)
	dump, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = dump.Exec(t.Context(), `SELECT FROM `+store.Schema()+`.events`)
	require.NoError(t, err)
	_, err = store.Purge(t.Context(), alotwebhook.PurgeRequest{History: time.Hour})
	require.NoError(t, err)
	require.Equal(t, 0, count(t, pool, store.Schema()+".events_"+day.Format("20060102")), "it is still there")
	require.NoError(t, dump.Rollback(t.Context()))
	_, err = store.Purge(t.Context(), alotwebhook.PurgeRequest{History: time.Hour})
	require.NoError(t, err)
	var there bool
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT to_regclass($1) IS NOT NULL`, store.Schema()+".events_"+day.Format("20060102")).Scan(&there))
	require.False(t, there, "an empty day is dropped")
}

// Deleting an endpoint takes effect at once, though its backlog leaves the
// queue in chunks.
func TestDeleteEndpointWithBacklog(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t))
	e := putEndpoints(t, store, 1)[0]
	const n = 12_000 // more than one call moves
	enqueueAll(t, store, []alotwebhook.Endpoint{e}, n)
	require.NoError(t, store.DeleteEndpoint(t.Context(), e.ID))
	require.Positive(t, count(t, pool, store.Schema()+".queue"), "some are left for later")
	st, err := store.Stats(t.Context())
	require.NoError(t, err)
	require.Zero(t, st)
	require.Empty(t, claim(t, store))
	total := 0
	for f := (alotwebhook.Filter{EndpointID: e.ID, State: alotwebhook.StateFailed, Limit: 500}); ; {
		page, next, err := store.Deliveries(t.Context(), f)
		require.NoError(t, err)
		for _, d := range page {
			require.Equal(t, alotwebhook.ReasonEndpointDeleted, d.LastReason)
			require.False(t, d.FinishedAt.IsZero())
		}
		total += len(page)
		if f.Cursor = next; next == "" {
			break
		}
	}
	require.Equal(t, n, total)
	for range 5 { // claims clear away the rest
		require.Empty(t, claim(t, store))
	}
	require.Zero(t, count(t, pool, store.Schema()+".queue"))
}

func count(t testing.TB, pool *pgxpool.Pool, table string) (n int) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&n))
	return n
}
