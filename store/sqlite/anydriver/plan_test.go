package anydriver_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

const completed = "candidate.completed"

func newEvent(t *testing.T, organization string) alotwebhook.Event {
	t.Helper()
	e, err := alotwebhook.NewEvent(completed, organization, map[string]string{"sessionId": "sess_123"})
	require.NoError(t, err)
	return e
}

// endpointID spells n as an endpoint's id.
func endpointID(n int) string { return fmt.Sprintf("wh_%026d", n) }

// everyStatement has a store do all that it can, so that its writer prepares
// every statement, and closes it.
func everyStatement(t *testing.T, s *sqlite.Store) {
	t.Helper()
	for i := range 20 {
		require.NoError(t, s.PutEndpoint(t.Context(), alotwebhook.Endpoint{
			ID: endpointID(i), OrganizationID: fmt.Sprint("org_", i), URL: "https://hooks.example.com/alot",
			EventTypes: []string{completed}, Secret: "It's a Secret to Everybody", CreatedAt: time.Now(),
		}))
	}
	events := make([]alotwebhook.Event, 300)
	for i := range events {
		events[i] = newEvent(t, fmt.Sprint("org_", i%20))
		events[i].Subject = fmt.Sprint("cand_", i)
	}
	require.NoError(t, s.Enqueue(t.Context(), events))
	r, err := s.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 200, PerEndpoint: 200, Lease: time.Minute})
	require.NoError(t, err)
	var outcomes []alotwebhook.Outcome
	for i, c := range r.Deliveries[:101] {
		o := alotwebhook.Outcome{DeliveryID: c.DeliveryID, Token: c.Token, State: alotwebhook.StateDelivered,
			Attempt: alotwebhook.Attempt{Number: 1, StartedAt: time.Now(), StatusCode: 204}}
		if i == 100 {
			o.State, o.NextAttemptIn = alotwebhook.StatePending, time.Hour
			o.Attempt.StatusCode, o.Attempt.Reason = 500, alotwebhook.ReasonStatus
		}
		outcomes = append(outcomes, o)
	}
	for _, part := range [][]alotwebhook.Outcome{outcomes[:100], outcomes[100:]} {
		lost, err := s.Finish(t.Context(), part)
		require.NoError(t, err)
		require.Empty(t, lost)
	}
	_, err = s.Redeliver(t.Context(), []string{outcomes[0].DeliveryID, outcomes[100].DeliveryID})
	require.NoError(t, err)
	require.NoError(t, s.EnqueueTo(t.Context(), endpointID(1), newEvent(t, "org_1")))
	require.NoError(t, s.DeleteEndpoint(t.Context(), endpointID(2)))
	for i := range 2 {
		parked, err := s.Endpoint(t.Context(), endpointID(3+i))
		require.NoError(t, err)
		parked.Disabled = true
		require.NoError(t, s.PutEndpoint(t.Context(), parked))
	}
	n, err := s.Discard(t.Context(), endpointID(3), time.Now().Add(time.Hour), 1)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	operate(t, s)
	erase(t, s)
	n, err = s.Cancel(t.Context(), []string{r.Deliveries[150].DeliveryID, r.Deliveries[151].DeliveryID})
	require.NoError(t, err)
	require.Equal(t, 2, n)
	n, err = s.Redeliver(t.Context(), []string{r.Deliveries[150].DeliveryID})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = s.Purge(t.Context(), alotwebhook.PurgeRequest{Parked: time.Nanosecond, Payloads: time.Nanosecond, History: time.Nanosecond, Tallies: time.Nanosecond})
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

// operate has a store do all that it can with operations, and what operators do.
func operate(t *testing.T, s *sqlite.Store) {
	t.Helper()
	e, err := s.Endpoint(t.Context(), endpointID(5))
	require.NoError(t, err)
	for range 2 {
		id := "op_" + strings.TrimPrefix(newEvent(t, "org_5").ID, "evt_")
		require.NoError(t, s.PutEndpoint(t.Context(), e, alotwebhook.Operation{ID: id, Type: alotwebhook.OpEndpointChanged, OrganizationID: "org_5", EndpointID: e.ID}))
		e.Version++
	}
	claimed, err := s.ClaimOperations(t.Context(), 10, time.Minute)
	require.NoError(t, err)
	require.Len(t, claimed, 2)
	require.NoError(t, s.FinishOperations(t.Context(), []string{claimed[0].ID, claimed[1].ID}, 0))

	require.NoError(t, s.PutPause(t.Context(), alotwebhook.Pause{OrganizationID: "org_5"}))
	require.NoError(t, s.DeletePause(t.Context(), "org_5", ""))
	require.NoError(t, s.PutRecovery(t.Context(), alotwebhook.Recovery{EndpointID: "rec_5", State: alotwebhook.RecoveryRunning}))
	require.NoError(t, s.AddTallies(t.Context(), []alotwebhook.Tally{{EndpointID: e.ID, Hour: time.Now().Truncate(time.Hour), Succeeded: 1}}))
}

// erase has a store erase by whatever selects events, and remove an organization with all that it has.
func erase(t *testing.T, s *sqlite.Store) {
	t.Helper()
	event, failing := newEvent(t, "org_18"), newEvent(t, "org_18")
	failing.Subject = "cand_failing"
	require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{event, failing}))
	r, err := s.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 200, PerEndpoint: 200, Lease: time.Minute})
	require.NoError(t, err)
	i := slices.IndexFunc(r.Deliveries, func(c alotwebhook.Claimed) bool { return c.EventID == failing.ID })
	lost, err := s.Finish(t.Context(), []alotwebhook.Outcome{{
		DeliveryID: r.Deliveries[i].DeliveryID, Token: r.Deliveries[i].Token, State: alotwebhook.StateFailed,
		Attempt: alotwebhook.Attempt{Number: 1, StartedAt: time.Now(), Reason: alotwebhook.ReasonTimeout, Detail: "a detail"},
	}})
	require.NoError(t, err)
	require.Empty(t, lost)
	for _, r := range []alotwebhook.Recovery{
		{Subject: "cand_failing"}, {EventID: event.ID}, {EventID: event.ID, OrganizationID: "org_18"}, {Subject: "cand_1", OrganizationID: "org_1"},
	} {
		n, _, err := s.Erase(t.Context(), r, 10)
		require.NoError(t, err)
		require.Equal(t, 1, n, r)
	}
	n, next, err := s.Erase(t.Context(), alotwebhook.Recovery{OrganizationID: "org_18"}, 10)
	require.NoError(t, err)
	require.Equal(t, 10, n)
	require.NotEmpty(t, next)
	for n = 10; n == 10; {
		n, err = s.Remove(t.Context(), "org_18", 10)
		require.NoError(t, err)
	}
}

// Nothing that the writer does reads a whole table that grows.
func TestPlansScanNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "webhooks.db")
	s, err := sqlite.Open(t.Context(), path)
	require.NoError(t, err)
	everyStatement(t, s)

	scan := regexp.MustCompile(`^SCAN (alotwebhook_\w+|[a-z])\b`)
	db, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	defer db.Close()
	statements := s.Statements()
	require.Greater(t, len(statements), 20)
	for _, query := range statements {
		args := make([]any, strings.Count(query, "?")) // more than it needs where they are numbered
		plan, err := db.Query("EXPLAIN QUERY PLAN "+query, args...)
		require.NoError(t, err, query)
		for plan.Next() {
			var id, parent, unused int
			var detail string
			require.NoError(t, plan.Scan(&id, &parent, &unused, &detail))
			if !strings.Contains(query, "alotwebhook_changes") { // one row
				require.False(t, scan.MatchString(detail), "%s\nin %s", detail, query)
			}
		}
		require.NoError(t, plan.Close())
	}
}
