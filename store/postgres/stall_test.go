package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// stalls are for how long the tables are locked.
var stalls = []time.Duration{300 * time.Millisecond, time.Second, 2 * time.Second}

// lockTables locks the tables as a migration of the host's might, and waits until
// somebody waits for it. The function that it returns lets go after d more.
func lockTables(t *testing.T, pool *pgxpool.Pool, schema, tables string) (release func(d time.Duration)) {
	t.Helper()
	var holder pgx.Tx
	lock := func() (err error) {
		if holder, err = pool.Begin(t.Context()); err == nil {
			_, err = holder.Exec(t.Context(), "LOCK TABLE "+tables+" IN ACCESS EXCLUSIVE MODE")
		}
		return err
	}
	err := lock()
	t.Cleanup(func() {
		if holder != nil {
			_ = holder.Rollback(context.Background())
		}
	})
	// A statement locks its tables in its own order, so that PostgreSQL may choose either side.
	for deadlock := new(pgconn.PgError); errors.As(err, &deadlock) && deadlock.Code == "40P01"; {
		require.NoError(t, holder.Rollback(t.Context()))
		err = lock()
	}
	require.NoError(t, err)
	return func(d time.Duration) {
		t.Helper()
		require.Eventually(t, func() bool {
			var waiting int
			err := pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
				WHERE NOT l.granted AND c.relnamespace = $1::regnamespace`, schema).Scan(&waiting)
			return err == nil && waiting > 0
		}, patience, 5*time.Millisecond)
		time.Sleep(d) // the case itself: how long the others wait, at most the longest of stalls
		require.NoError(t, holder.Rollback(t.Context()))
	}
}

// However long a lock held up one look into the queue, the next claim looks again,
// and so finds what another process has emitted.
func TestALookHeldUpByALockChangesNoPlan(t *testing.T) {
	t.Parallel()
	for name, tables := range map[string]string{"queue": "{s}.queue", "endpoints": "{s}.endpoints", "both": "{s}.queue, {s}.endpoints"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			idle, pool := openAt(t, postgrestest.DSN(t))
			idle.AsShipped()
			other, err := postgres.New(t.Context(), pool, &postgres.Options{Schema: idle.Schema()})
			require.NoError(t, err)
			endpoints := putEndpoints(t, idle, 1)
			for _, stall := range stalls {
				require.Empty(t, claim(t, idle))
				release := lockTables(t, pool, idle.Schema(), withSchema(tables, idle.Schema()))
				claimed := make(chan error, 1)
				go func() {
					r, err := idle.Claim(context.Background(), alotwebhook.ClaimRequest{Limit: 10, PerEndpoint: 10, Lease: time.Hour})
					if err == nil && len(r.Deliveries) > 0 {
						t.Error("claimed what was not there")
					}
					claimed <- err
				}()
				release(stall)
				require.NoError(t, <-claimed)
				require.Zero(t, idle.SurveyInterval(), "after a stall of %v", stall)
				enqueueAll(t, other, endpoints, 1)
				require.Len(t, claim(t, idle), 1, "after a stall of %v", stall)
			}
		})
	}
}

// The same with dispatchers. The delays are for people to read.
func TestArrivalAfterAStall(t *testing.T) {
	t.Parallel()
	for name, notify := range map[string]bool{"polling": false, "notified": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := postgrestest.Pool(t)
			options := &postgres.Options{Schema: postgrestest.Schema(t, pool), Migrate: true, Notify: notify}
			arrived := make(chan time.Time, 10)
			receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived <- time.Now() }))
			t.Cleanup(receiver.Close)
			dispatch := func() *alotwebhook.Dispatcher {
				store, err := postgres.New(t.Context(), pool, options)
				require.NoError(t, err)
				store.AsShipped()
				d, err := alotwebhook.NewDispatcher(store, &alotwebhook.Config{
					AllowHTTP: true, Logger: slog.New(slog.DiscardHandler), AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
				})
				require.NoError(t, err)
				return d
			}
			emitting, delivering := dispatch(), dispatch()
			_, err := emitting.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
				OrganizationID: "org_1", URL: receiver.URL + "/hook", EventTypes: []string{alotwebhook.EventCandidateCompleted},
			})
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- delivering.Run(ctx) }()
			defer func() {
				cancel()
				require.NoError(t, <-ended)
			}()
			for _, stall := range append([]time.Duration{0}, stalls...) {
				if stall > 0 {
					lockTables(t, pool, options.Schema, withSchema("{s}.queue, {s}.endpoints, {s}.events", options.Schema))(stall)
				}
				free := time.Now()
				require.NoError(t, emitting.Emit(t.Context(), newEvent(t, "org_1")))
				select {
				case at := <-arrived:
					t.Logf("after a stall of %v an event of another process arrived in %v", stall, at.Sub(free).Round(time.Millisecond))
				case <-time.After(patience):
					t.Fatal("nothing arrived")
				}
			}
		})
	}
}
