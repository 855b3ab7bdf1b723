package anydriver_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite/anydriver"
)

// recorder is a connector whose connections note the queries that they run.
type recorder struct {
	driver driver.Driver
	path   string

	mu      sync.Mutex
	queries []query
}

type query struct {
	text string
	args []any
}

func (r *recorder) Connect(context.Context) (driver.Conn, error) {
	c, err := r.driver.Open("file:" + r.path)
	return recorded{c.(connection), r}, err
}

// Driver implements [driver.Connector].
func (r *recorder) Driver() driver.Driver { return r.driver }

func (r *recorder) take() []query {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.queries
	r.queries = nil
	return list
}

// connection is what database/sql makes use of.
type connection interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
}

type recorded struct {
	connection
	in *recorder
}

func (c recorded) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	q := query{text: text}
	for _, a := range args {
		q.args = append(q.args, a.Value)
	}
	c.in.mu.Lock()
	c.in.queries = append(c.in.queries, q)
	c.in.mu.Unlock()
	return c.connection.QueryContext(ctx, text, args)
}

// access parts how a table is read, or what is sorted, from the rest of a line of a plan. What is looked
// up by one letter is a row of another table for each row.
var access = regexp.MustCompile(`^(?:(SCAN)|SEARCH) alotwebhook_(.*)|^USE TEMP B-TREE FOR ((?:GROUP|ORDER) BY)`)

// accesses returns how queries find their rows, and what they sort.
func accesses(t *testing.T, db *sql.DB, queries []query) (list []string) {
	t.Helper()
	for _, q := range queries {
		rows, err := db.Query("EXPLAIN QUERY PLAN "+q.text, q.args...)
		require.NoError(t, err, q.text)
		for rows.Next() {
			var id, parent, unused int
			var detail string
			require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
			if m := access.FindStringSubmatch(detail); m != nil && m[1] != "" {
				list = append(list, "all of "+m[2])
			} else if m != nil {
				list = append(list, m[2]+m[3])
			}
		}
		require.NoError(t, rows.Close())
	}
	return list
}

// What operators look at is read by the indexes that are there for it, also where it is little among
// very much.
func TestPlansOfReads(t *testing.T) {
	t.Parallel()
	own, err := sql.Open("sqlite", "")
	require.NoError(t, err)
	defer own.Close()
	r := &recorder{driver: own.Driver(), path: filepath.Join(t.TempDir(), "webhooks.db")}
	db := sql.OpenDB(r)
	defer db.Close()
	db.SetMaxOpenConns(1)
	s, err := anydriver.New(t.Context(), db)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.PutEndpoint(t.Context(), alotwebhook.Endpoint{ID: endpointID(1), OrganizationID: "org_1", EventTypes: []string{completed}}))
	event := newEvent(t, "org_1")
	require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{event}))

	endpoints := func(f alotwebhook.EndpointFilter) func() error {
		return func() error { _, _, err := s.Endpoints(t.Context(), f); return err }
	}
	deliveries := func(f alotwebhook.Filter) func() error {
		return func() error { _, _, err := s.Deliveries(t.Context(), f); return err }
	}
	count := func(r alotwebhook.Recovery) func() error {
		return func() error { _, err := s.Count(t.Context(), r); return err }
	}
	at := time.Now()
	const failed, canceling = alotwebhook.RecoveryRunning, alotwebhook.RecoveryCanceling
	for _, c := range []struct {
		read func() error
		want string // how the rows are found
	}{
		{endpoints(alotwebhook.EndpointFilter{Failing: true, URLPart: "x"}), "endpoints USING INDEX alotwebhook_endpoints_failing (id>?)"},
		{endpoints(alotwebhook.EndpointFilter{Disabled: true}), "endpoints USING INDEX alotwebhook_endpoints_off (id>?)"},
		{endpoints(alotwebhook.EndpointFilter{Failing: true, Disabled: true}), "endpoints USING INDEX alotwebhook_endpoints_failing (id>?), endpoints USING INDEX alotwebhook_endpoints_off (id>?)"},
		{endpoints(alotwebhook.EndpointFilter{URLPart: "x"}), "endpoints USING INDEX alotwebhook_endpoints_id (id>?)"},
		{func() error {
			_, _, err := s.Recoveries(t.Context(), alotwebhook.RecoveryFilter{Many: true})
			return err
		}, "recoveries USING PRIMARY KEY (endpoint>? AND endpoint<?)"},
		{func() error { _, err := s.Backlogs(t.Context(), 10); return err }, "all of queue USING COVERING INDEX alotwebhook_queue_due, GROUP BY, ORDER BY"},
		{func() error { _, err := s.Totals(t.Context(), at); return err }, "tallies USING PRIMARY KEY (endpoint=? AND hour>?)"},
		{deliveries(alotwebhook.Filter{State: alotwebhook.StateUnfinished}), "queue USING PRIMARY KEY (id>? AND id<?)"},
		{deliveries(alotwebhook.Filter{State: alotwebhook.StateUnfinished, OrganizationID: "org_1"}), ofOrganization + "queue USING COVERING INDEX alotwebhook_queue_due (endpoint=?), queue USING COVERING INDEX alotwebhook_queue_due (endpoint=?), ORDER BY"},
		{count(alotwebhook.Recovery{State: failed}), "deliveries USING COVERING INDEX alotwebhook_deliveries_failed (state=?), GROUP BY"},
		{count(alotwebhook.Recovery{State: failed, FailedSince: at, FailedUntil: at.Add(1), Reason: "x"}), "deliveries USING COVERING INDEX alotwebhook_deliveries_failed (state=? AND finished_at>? AND finished_at<?), GROUP BY"},
		{count(alotwebhook.Recovery{State: failed, FailedSince: at, OrganizationID: "org_1"}), ofOrganization + "deliveries USING COVERING INDEX alotwebhook_deliveries_failed (state=? AND finished_at>?), GROUP BY"},
		{count(alotwebhook.Recovery{State: failed, OrganizationID: "org_1", EventType: completed}), ofType + ofOrganization + "deliveries USING INDEX alotwebhook_deliveries_group (endpoint=? AND state=? AND type=? AND id>? AND id<?)"},
		{count(alotwebhook.Recovery{State: failed, OrganizationID: "org_1", EventID: event.ID, FailedSince: at}), ofEvent + ofOrganization + "deliveries USING PRIMARY KEY (id>? AND id<?), GROUP BY"},
		{count(alotwebhook.Recovery{State: canceling}), "all of queue USING COVERING INDEX alotwebhook_queue_due"},
		{count(alotwebhook.Recovery{State: canceling, OrganizationID: "org_1"}), ofOrganization + "queue USING COVERING INDEX alotwebhook_queue_due (endpoint=?)"},
		{count(alotwebhook.Recovery{State: canceling, EventType: completed}), ofType + "queue USING PRIMARY KEY (id>? AND id<?), GROUP BY"},
		{count(alotwebhook.Recovery{State: canceling, OrganizationID: "org_1", EventID: event.ID}), ofEvent + ofOrganization + "queue USING PRIMARY KEY (id>? AND id<?), GROUP BY"},
	} {
		r.take()
		require.NoError(t, c.read())
		queries := r.take()
		require.Equal(t, c.want, strings.Join(accesses(t, db, queries), ", "), queries)
	}
}

// How organizations, types and events are found.
const (
	ofOrganization = "endpoints USING COVERING INDEX alotwebhook_endpoints_organization (organization=?), "
	ofType         = "types USING COVERING INDEX sqlite_autoindex_alotwebhook_types_1 (name=?), "
	ofEvent        = "events USING COVERING INDEX sqlite_autoindex_alotwebhook_events_1 (id=?), "
)
