package crash

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

const (
	// hostRole registers endpoints and hears of operations, listenerRole only hears of them.
	hostRole     = "host"
	listenerRole = "listener"
)

// listen has the child report each operation that it is told of, after a while in which it may be
// killed.
func listen(cfg *alotwebhook.Config) {
	cfg.MaxEndpoints = -1
	cfg.OnOperation = func(_ context.Context, o alotwebhook.Operation) error {
		time.Sleep(3 * time.Millisecond)
		fmt.Println(ackPrefix + o.ID + ackSuffix)
		return nil
	}
}

// registerForever registers endpoints, and reports each.
func registerForever(ctx context.Context, d *alotwebhook.Dispatcher) error {
	for ctx.Err() == nil {
		e, err := d.CreateEndpoint(ctx, alotwebhook.Endpoint{
			OrganizationID: organization, URL: "https://hooks.example.com/", EventTypes: []string{alotwebhook.EventCandidateCompleted}, Secret: secret,
		})
		if err == nil {
			fmt.Println(ackPrefix + e.ID + ackSuffix)
		}
		time.Sleep(10 * time.Millisecond) // leaves time to be told of them
	}
	return nil
}

func TestKillLosesNoOperationSQLite(t *testing.T) {
	t.Parallel()
	testKilledHosts(t, inSQLite(t))
}

func TestKillLosesNoOperationPostgres(t *testing.T) {
	t.Parallel()
	testKilledHosts(t, inPostgres(t, postgrestest.DSN(t)))
}

// testKilledHosts kills processes while they register endpoints and are told of that. In the end,
// each endpoint has its operation, and each operation was told, by whoever lived.
func testKilledHosts(t *testing.T, where place) {
	random := draw(t)
	c := newCrowd(t, job{Place: where})
	for range *processes {
		c.start(hostRole)
	}
	for i := range *kills {
		c.awaitAcknowledged((i + 1) * *events / (2 * *kills))
		running := c.running(hostRole)
		pauseUpTo(random, 30*time.Millisecond)
		_ = running[random.IntN(len(running))].end(os.Kill)
		c.start(hostRole)
	}
	c.awaitAcknowledged(*events)
	for _, p := range c.running(hostRole) {
		require.NoError(t, p.end(syscall.SIGTERM))
	}
	c.start(listenerRole)
	store := openStore(t, where)
	await(t, "operations are not handled", func() bool { return allHandled(t, store) })

	told, acknowledged := map[string]int{}, map[string]bool{}
	for _, id := range c.acknowledged() {
		if strings.HasPrefix(id, "op_") {
			told[id]++
		} else {
			acknowledged[id] = true
		}
	}
	again := 0
	for _, o := range operationsOf(t, store) {
		require.Equal(t, alotwebhook.OpEndpointCreated, o.Type)
		require.Positive(t, told[o.ID], "nobody was told of %s", o.ID)
		again += told[o.ID] - 1
		_, err := store.Endpoint(t.Context(), o.EndpointID)
		require.NoError(t, err, "an operation tells of what is not stored")
		delete(acknowledged, o.EndpointID)
		delete(told, o.ID)
	}
	require.Empty(t, acknowledged, "endpoints without an operation")
	require.Empty(t, told, "operations that are not stored")
	t.Logf("%d processes killed, %d operations told again", *kills, again)
}

func operationsOf(t *testing.T, store alotwebhook.Store) (all []alotwebhook.Operation) {
	t.Helper()
	for f := (alotwebhook.OperationFilter{}); ; {
		page, next, err := store.Operations(t.Context(), f)
		require.NoError(t, err)
		all = append(all, page...)
		if f.Cursor = next; next == "" {
			return all
		}
	}
}

func allHandled(t *testing.T, store alotwebhook.Store) bool {
	t.Helper()
	for _, o := range operationsOf(t, store) {
		if !o.Handled {
			return false
		}
	}
	return true
}
