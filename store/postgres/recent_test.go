package postgres_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// roundTrips counts the batches that go to the server.
type roundTrips struct{ n atomic.Int64 }

func (r *roundTrips) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	r.n.Add(1)
	return ctx
}

func (r *roundTrips) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (r *roundTrips) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (r *roundTrips) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (r *roundTrips) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// openCounted returns a store that has one endpoint, has claimed from it and knows it, and
// what counts its round trips.
func openCounted(t *testing.T) (*roundTrips, *postgres.Store, *pgxpool.Pool) {
	t.Helper()
	var trips roundTrips
	store, pool := openAt(t, postgrestest.DSN(t), small, func(c *pgxpool.Config) { c.ConnConfig.Tracer = &trips })
	putEndpoints(t, store, 1)
	require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_0")}))
	finishAll(t, store, claimSome(t, store, 100, 10, time.Hour))
	require.Empty(t, claimSome(t, store, 100, 10, time.Hour))
	return &trips, store, pool
}

// twoOfOneID returns two events of one id with different payloads.
func twoOfOneID(t *testing.T) (event, other alotwebhook.Event) {
	t.Helper()
	event = newEvent(t, "org_0")
	other = event
	other.Data = json.RawMessage(`{"sessionId":"sess_other"}`)
	return event, other
}

// requireClaim claims one delivery, which must be of the event.
func requireClaim(t *testing.T, store alotwebhook.Store, event alotwebhook.Event) []alotwebhook.Claimed {
	t.Helper()
	claimed := claimSome(t, store, 100, 10, time.Hour)
	require.Len(t, claimed, 1)
	require.Equal(t, string(event.Payload()), string(claimed[0].Payload))
	return claimed
}

// What an idle process has just emitted, its next claim returns after one round trip. Neither
// a survey nor the slots come before it, and its payload is not read.
func TestClaimOfWhatWasJustEmitted(t *testing.T) {
	t.Parallel()
	trips, store, _ := openCounted(t)
	least := int64(1 << 62)
	for range 10 { // at times the slots have waited for long enough
		event := newEvent(t, "org_0")
		require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{event}))
		before := trips.n.Load()
		claimed := requireClaim(t, store, event)
		least = min(least, trips.n.Load()-before)
		finishAll(t, store, claimed)
		require.Empty(t, claimSome(t, store, 100, 10, time.Hour))
	}
	require.EqualValues(t, 1, least)
}

// Of an event that is emitted again with its id, the payload that is stored counts.
func TestPayloadOfAnEventEmittedAgain(t *testing.T) {
	t.Parallel()
	_, store, _ := openCounted(t)
	event, other := twoOfOneID(t)
	require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{event}))
	require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{other}))
	requireClaim(t, store, event)
}

// What a host's transaction has emitted and rolled back is forgotten: the same id may come
// again with another payload.
func TestPayloadOfAnEventRolledBack(t *testing.T) {
	t.Parallel()
	_, store, pool := openCounted(t)
	event, other := twoOfOneID(t)
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, store.Tx(tx).Enqueue(t.Context(), []alotwebhook.Event{event}))
	require.NoError(t, tx.Rollback(t.Context()))
	require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{other}))
	requireClaim(t, store, other)
}

// A claim that did not expect what somebody else has stored beside the new event returns it
// with its payload.
func TestClaimOfMoreThanWasJustEmitted(t *testing.T) {
	t.Parallel()
	_, store, pool := openCounted(t)
	elsewhere, err := pool.Begin(t.Context())
	require.NoError(t, err)
	older, newer := newEvent(t, "org_0"), newEvent(t, "org_0")
	require.NoError(t, store.Tx(elsewhere).Enqueue(t.Context(), []alotwebhook.Event{older}))
	require.Empty(t, claimSome(t, store, 100, 10, time.Hour), "it is not committed, and takes the lane's turn")
	require.NoError(t, elsewhere.Commit(t.Context()))
	require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{newer}))
	payloads := map[string]string{}
	for _, c := range awaitClaims(t, store, 2, 10, time.Hour) {
		payloads[c.EventID] = string(c.Payload)
	}
	require.Equal(t, map[string]string{older.ID: string(older.Payload()), newer.ID: string(newer.Payload())}, payloads)
}
