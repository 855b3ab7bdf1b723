package postgres_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// person is somebody whose data is to be erased: words that stand nowhere else.
type person struct{ payload, subject, detail, response string }

func newPerson(name string) person {
	return person{name + " of the payload", name + "-of-the-subject", name + " of the detail", name + " of the response"}
}

func (p person) words() []string { return []string{p.payload, p.subject, p.detail, p.response} }

// event returns an event that tells of the person, with a payload of so many bytes at least.
func (p person) event(t *testing.T, organization string, size int) alotwebhook.Event {
	t.Helper()
	e, err := alotwebhook.NewEvent("candidate.completed", organization, map[string]any{"candidateName": p.payload, "notes": strings.Repeat(p.payload+"; ", size/len(p.payload))})
	require.NoError(t, err)
	e.Subject = p.subject
	return e
}

// telling makes the attempt of an outcome tell of the person.
func (p person) telling(o alotwebhook.Outcome) alotwebhook.Outcome {
	o.Attempt.Detail, o.Attempt.ResponseBody = p.detail, p.response
	return o
}

// live has the person's events delivered, failed, retried and left waiting: of today, of a day whose
// rows are in the default partitions, and with a payload that PostgreSQL keeps apart from its row.
func (p person) live(t *testing.T, store *postgres.Store, e alotwebhook.Endpoint) {
	t.Helper()
	for i := range 12 {
		event := p.event(t, e.OrganizationID, []int{100, 5000}[i%2])
		if i >= 8 {
			event = aged(event, time.Now().AddDate(0, 0, -9))
		}
		require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{event}))
		for _, state := range [][]alotwebhook.DeliveryState{
			{alotwebhook.StateDelivered}, {alotwebhook.StatePending, alotwebhook.StateFailed},
			{alotwebhook.StatePending, alotwebhook.StatePending, alotwebhook.StateDelivered}, {alotwebhook.StatePending, "waits"},
		}[i%4] {
			o := p.telling(outcomesOf(awaitClaims(t, store, 1, 1, time.Hour))[0])
			if o.State = state; state == "waits" {
				o.State, o.NextAttemptIn = alotwebhook.StatePending, 24*time.Hour
			}
			lost, err := store.Finish(t.Context(), []alotwebhook.Outcome{o})
			require.NoError(t, err)
			require.Empty(t, lost)
		}
	}
}

// eraseInBackground erases as a host does it: a dispatcher runs until all is done.
func eraseInBackground(t *testing.T, store alotwebhook.Store, r alotwebhook.Recovery) {
	t.Helper()
	d, err := alotwebhook.NewDispatcher(store, &alotwebhook.Config{
		Logger: slog.New(slog.DiscardHandler), WrapTransport: func(http.RoundTripper) http.RoundTripper { return noNetwork{} },
	})
	require.NoError(t, err)
	begun, err := d.Erase(t.Context(), r)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	require.Eventually(t, func() bool {
		now, err := d.Recovery(t.Context(), begun.EndpointID)
		return err == nil && now.State == alotwebhook.RecoveryErased
	}, patience, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
}

type noNetwork struct{}

func (noNetwork) RoundTrip(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }

// What was erased is in no row and in no statistics any more. In the files, the dead rows keep it for a
// while: see "Erasing personal data" in docs/operating.md, which says what this test shows.
func TestEraseLeavesNothing(t *testing.T) {
	t.Parallel()
	cluster := postgrestest.New(t, "autovacuum = off", "shared_buffers = 64MB")
	store, pool := openAt(t, cluster.DSN(), small)
	e := putEndpoints(t, store, 1)[0]
	jane, other := newPerson("jane"), newPerson("somebody else")
	jane.live(t, store, e)
	other.live(t, store, e)
	everywhere := []string{"attempts", "attempts_default", "deliveries", "deliveries_default", "events", "events_default"}
	require.Equal(t, everywhere, rowsWith(t, pool, store.Schema(), jane))
	run(t, pool, "ANALYZE")
	require.NotEmpty(t, statisticsWith(t, pool, jane), "of the default partitions, and of the partitioned tables")
	require.Empty(t, ofToday(statisticsWith(t, pool, jane)), "of the partitions that the store has made, there are none")

	eraseInBackground(t, store, alotwebhook.Recovery{Subject: jane.subject})
	require.Empty(t, rowsWith(t, pool, store.Schema(), jane))
	require.Equal(t, everywhere, rowsWith(t, pool, store.Schema(), other))
	page, _, err := store.Deliveries(t.Context(), alotwebhook.Filter{})
	require.NoError(t, err)
	require.Len(t, page, 24)
	require.Subset(t, filesWith(t, pool, store.Schema(), jane), append(everywhere[1:2], everywhere[3:]...), "dead rows keep all of it")

	run(t, pool, "VACUUM")
	t.Logf("after VACUUM, still in the free space of %v", filesWith(t, pool, store.Schema(), jane))

	for _, table := range []string{"events", "deliveries", "attempts", "recoveries"} {
		run(t, pool, fmt.Sprintf("VACUUM (FULL, ANALYZE) %s.%s", store.Schema(), table))
	}
	require.Empty(t, filesWith(t, pool, store.Schema(), jane))
	require.Empty(t, statisticsWith(t, pool, jane))
	require.NotEmpty(t, filesWith(t, pool, store.Schema(), other))
	require.True(t, inWAL(t, pool, jane), "the log of the last changes has it until its files are used again")
}

// rowsWith returns the tables that have rows with the person's words, in whatever column.
func rowsWith(t *testing.T, pool *pgxpool.Pool, schema string, p person) (with []string) {
	t.Helper()
	for _, table := range tablesOf(t, pool, schema, "'r', 'p'") {
		var found bool
		require.NoError(t, pool.QueryRow(t.Context(), fmt.Sprintf(`SELECT EXISTS (SELECT FROM %s.%s AS t, unnest($1::text[]) AS w WHERE strpos(t::text, w) > 0)`,
			schema, table), p.words()).Scan(&found))
		if found && !strings.Contains(table, "_20") { // the days have what the partitioned tables have
			with = append(with, table)
		}
	}
	return with
}

// statisticsWith returns the columns of which the server has samples with the person's words.
func statisticsWith(t *testing.T, pool *pgxpool.Pool, p person) []string {
	t.Helper()
	return texts(t, pool, `SELECT DISTINCT tablename || '.' || attname FROM pg_stats AS s, unnest($1::text[]) AS w WHERE strpos(s::text, w) > 0`, p.words())
}

func ofToday(columns []string) (today []string) {
	for _, c := range columns {
		if strings.Contains(c, time.Now().UTC().Format("20060102")) {
			today = append(today, c)
		}
	}
	return today
}

// filesWith returns the tables whose files have the person's words, or those of an index or of what is
// kept apart from the rows.
func filesWith(t *testing.T, pool *pgxpool.Pool, schema string, p person) []string {
	t.Helper()
	run(t, pool, "CHECKPOINT")
	return texts(t, pool, `
		WITH files AS (
			SELECT c.relname, c.oid FROM pg_class c WHERE c.relnamespace = $2::regnamespace AND c.relkind = 'r'
			UNION ALL
			SELECT c.relname, i.indexrelid FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid WHERE c.relnamespace = $2::regnamespace AND c.relkind = 'r'
			UNION ALL
			SELECT c.relname, c.reltoastrelid FROM pg_class c WHERE c.relnamespace = $2::regnamespace AND c.relkind = 'r' AND c.reltoastrelid <> 0
		)
		SELECT DISTINCT regexp_replace(f.relname, '_20\d{6}$', '') FROM files f, unnest($1::text[]) AS w
		WHERE position(convert_to(w, 'UTF8') IN pg_read_binary_file(pg_relation_filepath(f.oid))) > 0 ORDER BY 1`, p.words(), schema)
}

// inWAL reports whether the write-ahead log has the person's words.
func inWAL(t *testing.T, pool *pgxpool.Pool, p person) (found bool) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_ls_waldir() AS f, unnest($1::text[]) AS w
		WHERE position(convert_to(w, 'UTF8') IN pg_read_binary_file('pg_wal/' || f.name)) > 0)`, p.words()).Scan(&found))
	return found
}

func tablesOf(t *testing.T, pool *pgxpool.Pool, schema, kinds string) []string {
	t.Helper()
	return texts(t, pool, `SELECT relname::text FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind IN (`+kinds+`) ORDER BY 1`, schema)
}

func texts(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), sql, args...)
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return list
}
