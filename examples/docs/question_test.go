package docs_test

import (
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

// The statements of docs/operating.md find an event, and its deliveries: of real events and of tests.
func TestWhyAnEventDidNotArriveInSQL(t *testing.T) {
	t.Parallel()
	pool := (&server{postgrestest.New(t)}).as(t, "postgres", "postgres")
	store, err := postgres.New(t.Context(), pool, &postgres.Options{Migrate: true})
	require.NoError(t, err)
	d, err := alotwebhook.NewDispatcher(store, config)
	require.NoError(t, err)
	e, err := d.CreateEndpoint(t.Context(), alotwebhook.Endpoint{OrganizationID: "org_123", URL: "https://example.com/alot", EventTypes: []string{"candidate.completed"}})
	require.NoError(t, err)
	event, err := alotwebhook.NewEvent("candidate.completed", "org_123", map[string]any{"score": 82})
	require.NoError(t, err)
	require.NoError(t, d.Emit(t.Context(), event))
	emitted := another(t, pool, "")
	_, err = d.SendTest(t.Context(), e.ID, "candidate.completed")
	require.NoError(t, err)
	tested := another(t, pool, emitted)

	finds := func(event string, found ...int) {
		t.Helper()
		events, deliveries, queued := ask(t, pool, event)
		require.Equal(t, found, []int{len(events), len(deliveries), len(queued)})
		for _, row := range append(deliveries, queued...) {
			require.Equal(t, e.ID, row[1])
		}
	}
	finds(emitted, 1, 0, 1)
	finds(tested, 1, 0, 1)

	var outcomes []alotwebhook.Outcome
	for len(outcomes) < 2 {
		got, err := store.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 2, PerEndpoint: 2, Lease: time.Minute})
		require.NoError(t, err)
		for _, c := range got.Deliveries {
			outcomes = append(outcomes, alotwebhook.Outcome{
				DeliveryID: c.DeliveryID, Token: c.Token, State: alotwebhook.StateFailed,
				Attempt: alotwebhook.Attempt{Number: 1, Reason: alotwebhook.ReasonDNS, StartedAt: time.Now()},
			})
		}
	}
	lost, err := store.Finish(t.Context(), outcomes)
	require.NoError(t, err)
	require.Empty(t, lost)
	finds(emitted, 1, 1, 0)
	finds(tested, 1, 1, 0)
}

// another returns the id, as a UUID, of the event that is not the one given.
func another(t *testing.T, pool *pgxpool.Pool, than string) (id string) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT id::text FROM alotwebhook.events WHERE id::text <> $1", than).Scan(&id))
	return id
}

// ask executes the statements of the guide, with the id of an event in the place of the one there.
func ask(t *testing.T, pool *pgxpool.Pool, event string) (events, deliveries, queued [][]any) {
	t.Helper()
	var answers [][][]any
	for statement := range strings.SplitSeq(operating(t, "question", "why"), ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		rows, err := pool.Query(t.Context(), strings.ReplaceAll(statement, "0193187e-4be3-712f-b474-b31513535818", event))
		require.NoError(t, err)
		answer, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
		require.NoError(t, err, statement)
		answers = append(answers, answer)
	}
	require.Len(t, answers, 3)
	return answers[0], answers[1], answers[2]
}
