package crash

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// The primary stops without warning. Its standby, with synchronous replication, is promoted a
// little later. One dispatcher knows the addresses of both. The address of the other one
// leads to the standby before the promotion, so that it meets a server that refuses writes.
func TestFailOver(t *testing.T) {
	t.Parallel()
	primary, standby := replicated(t)
	where := inPostgres(t, primary.DSN())
	ledger := newLedger(t)
	registerEndpoints(t, openStore(t, where), ledger.url)
	both := where
	both.DSN = fmt.Sprintf("postgres:postgres://postgres@127.0.0.1:%d,127.0.0.1:%d/postgres?sslmode=disable&target_session_attrs=read-write", primary.Port(), standby.Port())
	between, misled := where.through(t, primary.DSN())

	emitting := newHost(t, openStore(t, both), "emitter")
	knowing := newHost(t, openStore(t, both), "knowing")
	following := newHost(t, misled, "following")
	knowing.run(t)
	following.run(t)
	stop := emitting.load(t)
	delivers := func(h string, n int) func() bool {
		return func() bool { return ledger.sender(h).received > n }
	}
	await(t, "nothing is delivered", delivers("knowing", 0))
	await(t, "nothing is delivered", delivers("following", 0))

	gone := time.Now()
	require.NoError(t, primary.Stop("immediate"))
	between.lead(fmt.Sprintf("127.0.0.1:%d", standby.Port()))
	await(t, "nobody met the standby", func() bool { return following.store.failedWith("the server is a standby") })
	require.NoError(t, standby.Promote())
	promoted := time.Now()
	for _, h := range []string{"knowing", "following"} {
		await(t, h+" does not go on", delivers(h, ledger.sender(h).received))
		t.Logf("%s went on %v after the promotion", h, time.Since(promoted).Round(time.Millisecond))
	}
	away := time.Since(gone)
	for _, h := range []string{"knowing", "following"} { // quiet work, in which nothing may fail any more
		await(t, h+" does not go on", delivers(h, ledger.sender(h).received+20))
	}
	acknowledged := stop()
	after := openStore(t, both)
	awaitEmpty(t, after)
	knowing.stop()
	following.stop()

	sum := ledger.tally(t, acknowledged)
	again, _ := review(t, after, len(endpointPaths)*len(acknowledged))
	t.Logf("away for %v; %d events, %d deliveries: %d lost, %d duplicated, %d attempts repeated",
		away.Round(time.Millisecond), len(acknowledged), sum.deliveries, sum.lost, sum.duplicates, again)
	require.Zero(t, sum.lost)
	if away < lease {
		require.LessOrEqual(t, sum.duplicates, again, "only what the history says was repeated came again")
	}
	// A row of tries begins after 50 ms and doubles up to 5 s. In the first two tries a batch is
	// split, in up to a dozen calls each; then eight outcomes at most are tried by themselves.
	knowing.requireEpisodes(t, 2, 60+8*triesIn(away))
	following.requireEpisodes(t, 2, 60+8*triesIn(away))
}

// replicated returns a primary and its standby, with synchronous replication.
func replicated(t *testing.T) (primary, standby *postgrestest.Cluster) {
	primary = postgrestest.New(t, "shared_buffers = 64MB")
	standby, err := primary.Standby("shared_buffers = 64MB")
	require.NoError(t, err)
	t.Cleanup(standby.Close)
	admin, err := pgx.Connect(t.Context(), primary.DSN())
	require.NoError(t, err)
	for _, sql := range []string{`ALTER SYSTEM SET synchronous_standby_names = '*'`, `SELECT pg_reload_conf()`} {
		_, err = admin.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	await(t, "the standby does not stream synchronously", func() bool {
		var n int
		err := admin.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'`).Scan(&n)
		return err == nil && n == 1
	})
	require.NoError(t, admin.Close(t.Context()))
	return primary, standby
}
