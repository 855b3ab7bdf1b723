package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// withoutPartitions is a store as after days without a process that could make any. Its
// log goes into the buffer.
func withoutPartitions(t *testing.T, cluster *postgrestest.Cluster) (store *postgres.Store, log *logBuffer) {
	t.Helper()
	pool := postgrestest.PoolAt(t, cluster.DSN())
	log = &logBuffer{}
	opts := &postgres.Options{Schema: postgrestest.Schema(t, pool), Logger: slog.New(slog.NewTextHandler(log, nil))}
	require.NoError(t, postgres.Migrate(t.Context(), pool, opts))
	for _, d := range partitionedDays(0, 1, 2) {
		for _, table := range []string{"events", "deliveries", "attempts"} {
			run(t, pool, fmt.Sprintf("DROP TABLE IF EXISTS %s.%s_%s", opts.Schema, table, d))
		}
	}
	store, err := postgres.New(t.Context(), pool, opts)
	require.NoError(t, err)
	return store, log
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// partitionedDays are the suffixes of the tables of today and days ahead.
func partitionedDays(ahead ...int) (days []string) {
	for _, n := range ahead {
		days = append(days, time.Now().UTC().AddDate(0, 0, n).Format("20060102"))
	}
	return days
}

// A day of which the default partitions have rows stays there. Nobody asks for the lock
// under which PostgreSQL would look for them. The other days get their partitions.
func TestADayInTheDefaultPartitionsStaysThere(t *testing.T) {
	t.Parallel()
	cluster := postgrestest.New(t, "shared_buffers = 64MB", "log_statement = 'all'")
	store, log := withoutPartitions(t, cluster)
	pool := postgrestest.PoolAt(t, cluster.DSN())
	endpoints := putEndpoints(t, store, 1)
	days := partitionedDays(0, 1, 2)
	enqueueAll(t, store, endpoints, 3)
	require.Equal(t, 3, count(t, pool, store.Schema()+".events_default"))
	before := len(cluster.Log())
	require.Len(t, claim(t, store), 3)

	if partitionedDays(0)[0] != days[0] {
		return // midnight has passed: what was today when the rows came is yesterday
	}
	statements := cluster.Log()[before:]
	attached := func(day string) bool {
		return strings.Contains(statements, "ATTACH PARTITION \""+store.Schema()+"\".events_"+day)
	}
	require.Contains(t, log.String(), "the default partitions have rows of that day")
	require.Equal(t, 1, strings.Count(log.String(), "level=WARN"), log.String())
	require.False(t, attached(days[0]), "today's was tried")
	for _, d := range days[1:] {
		require.True(t, attached(d))
		require.Equal(t, 0, count(t, pool, store.Schema()+".events_"+d))
	}

	enqueueAll(t, store, endpoints, 1)
	require.Len(t, claim(t, store), 1)
	require.Equal(t, 1, strings.Count(log.String(), "level=WARN"), "it is tried again in an hour")
}

// Partitions that cannot be made now cost a claim neither its deliveries nor its success.
func TestPartitionsThatCannotBeMade(t *testing.T) {
	t.Parallel()
	cluster := postgrestest.New(t, "shared_buffers = 64MB")
	store, log := withoutPartitions(t, cluster)
	pool := postgrestest.PoolAt(t, cluster.DSN())
	endpoints := putEndpoints(t, store, 1)
	enqueueAll(t, store, endpoints, 3)
	reader, err := pool.Begin(t.Context()) // as a dump
	require.NoError(t, err)
	t.Cleanup(func() { _ = reader.Rollback(context.Background()) })
	_, err = reader.Exec(t.Context(), "SELECT FROM "+store.Schema()+".attempts_default")
	require.NoError(t, err)

	require.Len(t, claim(t, store), 3)
	require.Contains(t, log.String(), "canceling statement due to lock timeout")
	var made int
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_class WHERE relnamespace = $1::regnamespace AND relname LIKE 'events\_2%' AND relkind = 'r'`,
		store.Schema()).Scan(&made))
	require.Zero(t, made, "what cannot be attached does not stay behind")

	require.NoError(t, reader.Rollback(t.Context()))
	require.NoError(t, postgres.Migrate(t.Context(), pool, &postgres.Options{Schema: store.Schema()}))
	require.Equal(t, 0, count(t, pool, store.Schema()+".events_"+partitionedDays(2)[0]))
}

// A claim has its deliveries before it looks after partitions.
func TestPartitionsComeAfterTheClaim(t *testing.T) {
	t.Parallel()
	cluster := postgrestest.New(t, "shared_buffers = 64MB", "log_statement = 'all'")
	store, _ := withoutPartitions(t, cluster)
	enqueueAll(t, store, putEndpoints(t, store, 1), 1)
	r, err := store.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 1, PerEndpoint: 1, Lease: time.Minute})
	require.NoError(t, err)
	require.Len(t, r.Deliveries, 1)
	_, after, found := strings.Cut(cluster.Log(), "WHERE p.active")
	require.True(t, found)
	require.Contains(t, after, "ATTACH PARTITION")
}

// A default partition that is large is looked through neither by the claim nor by
// PostgreSQL, until a CHECK constraint says what is not in it.
func TestALargeDefaultPartition(t *testing.T) {
	t.Parallel()
	cluster := postgrestest.New(t, "shared_buffers = 64MB", "log_statement = 'all'")
	pool := postgrestest.PoolAt(t, cluster.DSN())
	large, log := withoutPartitions(t, cluster)
	large.MaxDefault(1)
	enqueueAll(t, large, putEndpoints(t, large, 1), 1)
	yesterday := time.Now().UTC().AddDate(0, 0, -1)
	run(t, pool, fmt.Sprintf(`UPDATE %s.events_default SET id = '%s'`, large.Schema(), uuidOf(yesterday))) // today stays free
	before := len(cluster.Log())
	claim(t, large)
	require.Contains(t, log.String(), "a default partition is too large")
	require.NotContains(t, cluster.Log()[before:], "ATTACH PARTITION")

	today := uuidOf(time.Now().UTC().Truncate(24 * time.Hour))
	run(t, pool, fmt.Sprintf(`ALTER TABLE %s.events_default ADD CONSTRAINT past CHECK (id < '%s') NOT VALID`, large.Schema(), today))
	run(t, pool, fmt.Sprintf(`ALTER TABLE %s.events_default VALIDATE CONSTRAINT past`, large.Schema()))
	again, err := postgres.New(t.Context(), pool, &postgres.Options{Schema: large.Schema()})
	require.NoError(t, err)
	again.MaxDefault(1)
	claim(t, again)
	for _, d := range partitionedDays(0, 1, 2) {
		require.Equal(t, 0, count(t, pool, large.Schema()+".events_"+d))
	}
}

// uuidOf is the first id of a millisecond.
func uuidOf(at time.Time) string {
	hex := fmt.Sprintf("%012x", at.UnixMilli())
	return hex[:8] + "-" + hex[8:] + "-0000-0000-000000000000"
}
