package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// putRecoveryV9 is what a release of version 9 of the schema executes to go on with a recovery, or to
// begin another in its place: its id $1, its version before $2, its created_at $3.
const putRecoveryV9 = `
	INSERT INTO {s}.recoveries AS r (endpoint_id, organization_id, state, recovered, skipped, cursor, created_at, updated_at, version)
	SELECT $1::text, 'org_0', 'running', 7, 0, '', $3::timestamptz, $3::timestamptz, $2::bigint + 1
	ON CONFLICT (endpoint_id) DO UPDATE SET organization_id = excluded.organization_id, state = excluded.state, recovered = excluded.recovered,
		skipped = excluded.skipped, cursor = excluded.cursor, created_at = excluded.created_at, updated_at = excluded.updated_at, version = excluded.version
	WHERE r.version = $2::bigint`

// While processes are replaced, those of the release before find recoveries of which they do not know
// what they select. They must not send all that has failed instead. Those of whole endpoints they may
// take over, and begin.
func TestRecoveriesBesideAnOlderRelease(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t))
	now := time.Now().UTC().Truncate(time.Microsecond)
	older := func(r alotwebhook.Recovery, begun time.Time) error {
		_, err := pool.Exec(t.Context(), withSchema(putRecoveryV9, store.Schema()), r.EndpointID, r.Version, begun)
		return err
	}
	stored := func(id string) alotwebhook.Recovery {
		t.Helper()
		page, _, err := store.Recoveries(t.Context(), alotwebhook.RecoveryFilter{EndpointID: id})
		require.NoError(t, err)
		require.Len(t, page, 1)
		return page[0]
	}
	whole := alotwebhook.Recovery{EndpointID: "wh_1", OrganizationID: "org_0", State: alotwebhook.RecoveryRunning, CreatedAt: now, UpdatedAt: now, Actor: "jane"}
	for _, narrow := range []alotwebhook.Recovery{
		{EndpointID: "rec_1"}, {EndpointID: "wh_2", Reason: alotwebhook.ReasonTimeout}, {EndpointID: "wh_3", EventType: "candidate.completed"},
		{EndpointID: "wh_4", FailedSince: now}, {EndpointID: "wh_5", FailedUntil: now}, {EndpointID: "wh_6", EventID: newEvent(t, "org_0").ID},
	} {
		r := whole
		r.EndpointID, r.Reason, r.EventType, r.EventID = narrow.EndpointID, narrow.Reason, narrow.EventType, narrow.EventID
		r.FailedSince, r.FailedUntil = narrow.FailedSince, narrow.FailedUntil
		for range 2 {
			require.NoError(t, store.PutRecovery(t.Context(), r))
			r.Version++
			require.Equal(t, r, stored(r.EndpointID))
			require.ErrorContains(t, older(r, now), "recovery_is_of_a_newer_release", "%+v", r)
			require.Equal(t, r, stored(r.EndpointID))
		}
		require.NoError(t, older(r, now.Add(time.Second)), "it begins another one")
		require.Equal(t, alotwebhook.Recovery{EndpointID: r.EndpointID, OrganizationID: "org_0", State: alotwebhook.RecoveryRunning, Recovered: 7,
			CreatedAt: now.Add(time.Second), UpdatedAt: now.Add(time.Second), Version: 3}, stored(r.EndpointID), "that is of the whole endpoint")
	}
	require.NoError(t, store.PutRecovery(t.Context(), whole))
	whole.Version++
	require.NoError(t, older(whole, now))
	whole.Version++
	whole.Recovered = 7
	require.Equal(t, whole, stored("wh_1"))
	require.NoError(t, store.PutRecovery(t.Context(), whole), "and back")
}
