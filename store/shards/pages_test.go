package shards_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/shards"
)

// pages reads a list in pages of a size and returns the ids on them.
func pages[T any](t *testing.T, limit int, id func(T) string, read func(cursor string) ([]T, string, error)) (ids []string) {
	t.Helper()
	for cursor := ""; ; {
		page, next, err := read(cursor)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), limit)
		for _, item := range page {
			ids = append(ids, id(item))
		}
		if next == "" {
			return ids
		}
		require.NotEqual(t, cursor, next)
		cursor = next
	}
}

// Lists over all shards are in order, whole and without repetition, however the pages fall:
// also where one shard ends its pages early because it has passed over much.
func TestPagesAcrossShards(t *testing.T) {
	t.Parallel()
	s := newStore(t, three(), shards.Config{Places: byPrefix, Patience: patient})
	ctx := t.Context()
	var endpoints, deliveries []string
	for i := range 30 {
		organization := fmt.Sprintf("org_%c", 'a'+i%3)
		e := put(t, s, organization)
		endpoints = append(endpoints, e.ID)
		require.NoError(t, s.PutRecovery(ctx, alotwebhook.Recovery{EndpointID: e.ID, OrganizationID: organization, State: alotwebhook.RecoveryRunning}))
		event := newEvent(t, organization)
		require.NoError(t, s.EnqueueTo(ctx, e.ID, event))
		deliveries = append(deliveries, alotwebhook.DeliveryID(event.ID, e.ID))
	}
	slices.Sort(endpoints)
	slices.Sort(deliveries)
	slices.Reverse(deliveries)
	for limit := 1; limit <= 31; limit++ {
		require.Equal(t, deliveries, pages(t, limit, func(d alotwebhook.Delivery) string { return d.ID }, func(cursor string) ([]alotwebhook.Delivery, string, error) {
			return s.Deliveries(ctx, alotwebhook.Filter{Limit: limit, Cursor: cursor})
		}), "deliveries by %d", limit)
		require.Equal(t, endpoints, pages(t, limit, func(e alotwebhook.Endpoint) string { return e.ID }, func(cursor string) ([]alotwebhook.Endpoint, string, error) {
			return s.Endpoints(ctx, alotwebhook.EndpointFilter{Limit: limit, Cursor: cursor})
		}), "endpoints by %d", limit)
		require.Equal(t, endpoints, pages(t, limit, func(r alotwebhook.Recovery) string { return r.EndpointID }, func(cursor string) ([]alotwebhook.Recovery, string, error) {
			return s.Recoveries(ctx, alotwebhook.RecoveryFilter{Limit: limit, Cursor: cursor, State: alotwebhook.RecoveryRunning})
		}), "recoveries by %d", limit)
	}

	enqueue(t, s, "org_a", 500) // 5,000 deliveries to ten endpoints: a page ends after 2,000
	claims := claimAs(t, s, alotwebhook.ClaimRequest{Limit: 5000, PerEndpoint: 1})
	outcomes := delivered(claims...)
	for i := range outcomes {
		outcomes[i].State = alotwebhook.StateFailed
	}
	require.NoError(t, errOf(s.Finish(ctx, outcomes)))
	for _, limit := range []int{1, 4, 100} {
		require.Equal(t, deliveries, pages(t, limit, func(d alotwebhook.Delivery) string { return d.ID }, func(cursor string) ([]alotwebhook.Delivery, string, error) {
			return s.Deliveries(ctx, alotwebhook.Filter{Limit: limit, Cursor: cursor, State: alotwebhook.StateFailed})
		}), "failed ones by %d", limit)
	}
}

// The limit of a purge is that of all shards together, for each kind of rows by itself. A
// shard that is down keeps what it has, and the others are purged.
func TestPurgeAcrossShards(t *testing.T) {
	t.Parallel()
	p := filledPair(t, 5, 4)
	enqueue(t, p, "none_a", 3) // without subscribers
	require.NoError(t, errOf(p.Finish(t.Context(), delivered(claim(t, p, 10)...))))
	time.Sleep(20 * time.Millisecond) // so that its time has passed for all
	request := alotwebhook.PurgeRequest{Payloads: time.Millisecond, Limit: 10}
	purge := func() alotwebhook.PurgeResult {
		t.Helper()
		r, err := p.Purge(t.Context(), request)
		require.NoError(t, err)
		return r
	}
	require.Equal(t, alotwebhook.PurgeResult{Payloads: 10}, purge())
	require.Equal(t, alotwebhook.PurgeResult{Payloads: 2}, purge())
	require.Zero(t, purge())

	request = alotwebhook.PurgeRequest{History: time.Millisecond, Limit: 6}
	p.a.way.Store(fails)
	r, err := p.Purge(t.Context(), request)
	require.ErrorIs(t, err, errDown)
	require.ErrorContains(t, err, `shard "a"`)
	require.Equal(t, alotwebhook.PurgeResult{Deliveries: 4, Events: 4}, r)
	p.a.way.Store(well)
	sum := alotwebhook.PurgeResult{}
	for r := purge(); r != (alotwebhook.PurgeResult{}); r = purge() {
		require.LessOrEqual(t, max(r.Deliveries, r.Events), 6)
		sum.Deliveries += r.Deliveries
		sum.Events += r.Events
	}
	require.Equal(t, alotwebhook.PurgeResult{Deliveries: 5, Events: 8}, sum)
}
