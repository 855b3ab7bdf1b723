package storetest

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// The host hears of things in the order in which they happened.
func operationClaim(t *trial) {
	require.Empty(t, t.claimOperations(10, long))
	e, ops := t.operationsOf(4)
	handled := newOperation(t, alotwebhook.OpEndpointChanged, e)
	handled.Handled = true
	t.putWith(&e, handled)
	require.Empty(t, t.claimOperations(0, long))
	first := t.claimOperations(3, long)
	require.Equal(t, operationIDs(ops[:3]), operationIDs(first))
	require.Equal(t, operationIDs(ops[3:]), operationIDs(t.claimOperations(3, brief)))
	require.Equal(t, 1, first[0].Claims)
	first[0].Claims = 0
	require.Equal(t, ops[0], first[0])
	t.await("a lease runs out", func() bool {
		again := t.claimOperations(3, long)
		if len(again) > 0 {
			require.Equal(t, operationIDs(ops[3:]), operationIDs(again))
			require.Equal(t, 2, again[0].Claims)
		}
		return len(again) > 0
	})
}

// While one process tells the host, another must not. If it is killed then, another must. On a machine
// so slow that the lease runs out between two calls, it tries again with a longer one.
func operationLease(t *trial) {
	for lease := brief; lease < slack; lease *= 4 {
		_, ops := t.operationsOf(2)
		began := time.Now()
		first := t.claimOperations(1, lease)
		others := t.claimOperations(10, long)
		if time.Since(began) >= lease {
			t.finishOperations(0, operationIDs(ops)...)
			continue
		}
		require.Equal(t, operationIDs(ops[:1]), operationIDs(first))
		require.Equal(t, operationIDs(ops[1:]), operationIDs(others))
		t.requireAgainAfter(lease, began, ops[:1])
		return
	}
	require.FailNow(t, "the machine is too slow for this test")
}

// requireAgainAfter requires that operations which were claimed after began are claimed again, but
// not before their lease has passed.
func (t *trial) requireAgainAfter(lease time.Duration, began time.Time, ops []alotwebhook.Operation) {
	t.Helper()
	t.await("a lease runs out", func() bool {
		got := t.claimOperations(10, long)
		if len(got) > 0 {
			require.GreaterOrEqual(t, time.Since(began), lease, "claimed again before its lease ran out")
			require.Equal(t, operationIDs(ops), operationIDs(got))
		}
		return len(got) > 0
	})
	require.Empty(t, t.claimOperations(10, long))
}

// One that fails again and again must not keep others waiting.
func operationLongestDue(t *trial) {
	e, ops := t.operationsOf(2)
	require.Len(t, t.claimOperations(1, long), 1)
	t.finishOperations(brief, ops[0].ID)
	time.Sleep(2 * brief)
	late := newOperation(t, alotwebhook.OpEndpointChanged, e)
	t.putWith(&e, late)
	for _, want := range []string{ops[1].ID, ops[0].ID, late.ID} {
		require.Equal(t, []string{want}, operationIDs(t.claimOperations(1, long)))
	}
}

// What was told once is not told again. A list still shows it.
func operationHandled(t *trial) {
	_, ops := t.operationsOf(3)
	require.Len(t, t.claimOperations(10, time.Millisecond), 3)
	unknown := newOperation(t, alotwebhook.OpEndpointChanged, newEndpoint(t, "org_1"))
	t.finishOperations(0)
	t.finishOperations(0, ops[0].ID, unknown.ID, ops[2].ID, ops[0].ID)
	t.await("the lease of the other runs out", func() bool {
		got := t.claimOperations(10, time.Millisecond)
		if len(got) > 0 {
			require.Equal(t, operationIDs(ops[1:2]), operationIDs(got))
		}
		return len(got) > 0
	})
	for i, o := range t.operations(alotwebhook.OperationFilter{}) {
		require.Equal(t, i != 1, o.Handled)
	}
	t.requireOperations(ops...)
}

// A host that could not be told is told again, but not at once. Who was too late with that must
// not undo what somebody else has done.
func operationAgain(t *trial) {
	_, ops := t.operationsOf(3)
	require.Len(t, t.claimOperations(10, long), 3)
	began := time.Now()
	t.finishOperations(brief, ops[0].ID)
	t.finishOperations(long, ops[1].ID)
	t.finishOperations(0, ops[2].ID)
	t.finishOperations(time.Nanosecond, ops[2].ID)
	t.await("the time of one comes", func() bool {
		got := t.claimOperations(10, long)
		if len(got) > 0 {
			require.GreaterOrEqual(t, time.Since(began), brief, "claimed before its time")
			require.Equal(t, operationIDs(ops[:1]), operationIDs(got))
			require.Equal(t, 2, got[0].Claims)
		}
		return len(got) > 0
	})
}

// Every process asks, every few seconds.
func operationsConcurrently(t *trial) {
	_, ops := t.operationsOf(50)
	claimed := make(chan string, 1000)
	var g group
	g.run(8, func(int) error {
		for range 20 {
			got, err := t.store.ClaimOperations(t.ctx(), 3, long)
			if err != nil {
				return err
			}
			for _, o := range got {
				claimed <- o.ID
			}
		}
		return nil
	})
	g.wait(t)
	for _, o := range t.claimOperations(100, long) { // that nobody came to
		claimed <- o.ID
	}
	close(claimed)
	var ids []string
	for id := range claimed {
		ids = append(ids, id)
	}
	require.Equal(t, newestFirst(operationIDs(ops)), newestFirst(ids))
}

// A database must not grow without end, also where nobody takes what is to be told.
func operationPurge(t *trial) {
	e := newEndpoint(t, "org_1", completed)
	now := time.Now()
	var old []alotwebhook.Operation
	for range 5 {
		old = append(old, operationAt(t, e, now.Add(-3*time.Hour)))
	}
	old[0].Handled = true
	young := operationAt(t, e, now.Add(-time.Hour))
	t.putWith(&e, append(slices.Clone(old), young)...)
	require.Zero(t, t.purge(alotwebhook.PurgeRequest{Payloads: soon, Parked: soon}).Operations)
	require.Zero(t, t.purge(alotwebhook.PurgeRequest{History: 4 * time.Hour}).Operations)
	t.requireOperations(append(slices.Clone(old), young)...)
	require.Equal(t, 3, t.purge(alotwebhook.PurgeRequest{History: 2 * time.Hour, Limit: 3}).Operations)
	require.Equal(t, alotwebhook.PurgeResult{Operations: 2}, t.purge(alotwebhook.PurgeRequest{History: 2 * time.Hour}))
	t.requireOperations(young)
	require.Equal(t, []string{young.ID}, operationIDs(t.claimOperations(10, long)))
}
