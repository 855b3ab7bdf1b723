package storetest

import (
	"context"
	"errors"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// eraser is what the Enqueuer of a transaction is besides.
type eraser interface {
	Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (n int, next string, err error)
}

func (t *trial) eraserOf(tx Tx) eraser {
	t.Helper()
	e, ok := tx.Enqueuer.(eraser)
	require.True(t, ok, "the Enqueuer of a transaction needs a method Erase: see alotwebhook.Enqueuer")
	return e
}

// eraseIn erases a subject in a transaction, as [alotwebhook.Dispatcher.EraseIn] does.
func (t *trial) eraseIn(tx Tx, org, subject string) (sum int) {
	t.Helper()
	r := alotwebhook.Recovery{OrganizationID: org, Subject: subject, State: alotwebhook.RecoveryErasing}
	of := t.eraserOf(tx)
	for range endless {
		n, next, err := of.Erase(t.ctx(), r, 4)
		require.NoError(t, err)
		require.LessOrEqual(t, n, 4)
		sum += n
		if r.Cursor = next; next == "" {
			return sum
		}
	}
	require.FailNow(t, "an erasure has no end", "%+v", r)
	return 0
}

// personalDeliveries stores 9 events that tell of somebody, of which some are delivered, waiting, leased,
// and for nobody. It returns the events and the claims that are under way.
func (t *trial) personalDeliveries() (events []alotwebhook.Event, leased []alotwebhook.Claimed) {
	t.Helper()
	t.endpoint("org_1", completed)
	events = append(newPersonals(t, "org_1", 8), newPersonal(t, "org_2"))
	t.enqueue(events...)
	c := t.claim(6)
	t.finish(telling(delivered(c[0])), telling(failed(c[1])), telling(retry(c[2], long)), telling(retry(c[3], long)))
	return events, c[4:]
}

// A host deletes a candidate's rows, and what is kept here, or neither.
func txEraseCommits(t *trial) {
	events, leased := t.personalDeliveries()
	other := newAbout(t, "org_1", "cand_other")
	t.enqueue(other)
	tx := t.begin()
	require.Equal(t, 8, t.eraseIn(tx, "org_1", personal[1]))
	require.Equal(t, 1, t.eraseIn(tx, "", personal[1]))
	require.Zero(t, t.eraseIn(tx, "", "cand_unknown"))
	require.NoError(t, tx.Commit())
	t.requireForgotten(events...)
	t.requireKept(other)
	for _, d := range t.list(alotwebhook.Filter{}) {
		if d.EventID != other.ID && d.State != alotwebhook.StateDelivered && d.LastReason != alotwebhook.ReasonStatus {
			requireErasedAfter(t, d, d.AttemptCount)
		}
	}
	require.ElementsMatch(t, claimedIDs(leased), t.lost(telling(delivered(leased[0])), telling(retry(leased[1], 0))))
	t.requireForgotten(events...)
	require.Equal(t, other.ID, t.claimOne().EventID)
}

// A candidate whom the host still has must be found here, too, and is told of as ever.
func txEraseRollsBack(t *trial) {
	events, leased := t.personalDeliveries()
	before := t.everything(events...)
	tx := t.begin()
	require.Equal(t, 9, t.eraseIn(tx, "", personal[1]))
	require.NoError(t, tx.Rollback())
	require.Equal(t, before, t.everything(events...))
	t.requireKept(events...)
	require.Len(t, t.ofSubject(personal[1]), 8)
	t.finish(telling(delivered(leased[0])), telling(retry(leased[1], 0)))
	c := t.claim(100)
	require.Len(t, c, 3, "what was due, and the retry")
	for _, one := range c {
		require.Contains(t, string(one.Payload), personal[0])
	}
	t.finishAll(c)
}

// Nobody sees what may still be rolled back.
func txEraseNotBeforeCommit(t *trial) {
	events, _ := t.personalDeliveries()
	before := t.everything(events...)
	tx := t.begin()
	require.Equal(t, 9, t.eraseIn(tx, "", personal[1]))
	require.Equal(t, before, t.everything(events...))
	require.Len(t, t.ofSubject(personal[1]), 8)
	require.NoError(t, tx.Commit())
	t.requireForgotten(events...)
	require.Empty(t, t.claim(100))
}

// One request may both tell of a candidate and forget one.
func txEraseItsOwn(t *trial) {
	t.endpoint("org_1", completed)
	events := append(newPersonals(t, "org_1", 5), newPersonal(t, "org_2"))
	after := newPersonal(t, "org_1")
	tx := t.begin()
	t.enqueueIn(tx, events...)
	require.Equal(t, 6, t.eraseIn(tx, "", personal[1]))
	t.enqueueIn(tx, events[0]) // it is stored already
	require.NoError(t, tx.Commit())
	t.requireForgotten(append(events, after)...)
	require.Empty(t, t.claim(100))
	require.Zero(t, t.stats())

	tx = t.begin()
	t.eraseIn(tx, "", personal[1])
	t.enqueueIn(tx, after)
	require.NoError(t, tx.Commit())
	t.requireKept(after)
	require.Equal(t, after.ID, t.claimOne().EventID)
}

// One host that holds a transaction open must not stop the deliveries of everybody else.
func txEraseHoldsUpNobodyElse(t *trial) {
	if t.host.OneWriter {
		t.Skip("what writes waits for an open transaction: Host.OneWriter")
	}
	e := t.endpoint("org_1", completed)
	others := t.emit("org_1", completed, 3)
	before := t.claim(2)
	t.finish(failed(before[1]))
	events := newPersonals(t, "org_1", 5)
	t.enqueue(events...)
	tx := t.begin()
	require.Equal(t, 5, t.eraseIn(tx, "org_1", personal[1]))

	ctx := t.ctx()
	for _, c := range []struct {
		name string
		call func() error
	}{
		{"Finish", func() error {
			_, err := t.store.Finish(ctx, []alotwebhook.Outcome{delivered(before[0])})
			return err
		}},
		{"Claim", func() error {
			_, err := t.store.Claim(ctx, alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 100, Lease: long})
			return err
		}},
		{"Redeliver", func() error { _, err := t.store.Redeliver(ctx, []string{before[1].DeliveryID}); return err }},
		{"Enqueue", func() error { return t.store.Enqueue(ctx, []alotwebhook.Event{newEvent(t, "org_1", completed)}) }},
		{"PutEndpoint", func() error { e.Description = "changed"; return t.store.PutEndpoint(ctx, e) }},
	} {
		require.NoError(t, c.call(), "%s, while a transaction of the host is open that erases", c.name)
	}
	require.NoError(t, tx.Commit())
	t.requireForgotten(events...)
	t.requireKept(others...)
}

// A host may go on after an error and commit. A person of whom a half is left would be taken for one
// who is forgotten.
func txEraseCutShort(t *trial) {
	t.cutEraseShort(func(ctx context.Context, r alotwebhook.Recovery) error {
		tx := t.begin()
		_, _, err := t.eraserOf(tx).Erase(ctx, r, 1000)
		if commitErr := tx.Commit(); commitErr != nil {
			_ = tx.Rollback()
			err = errors.Join(err, commitErr) // the context has ended the transaction
		}
		return err
	})
}

// What else the host does in the transaction is none of the error's business.
func txEraseErrorLeavesTheRest(t *trial) {
	t.endpoint("org_1", completed)
	kept := newPersonal(t, "org_1")
	t.enqueue(kept)
	for name, r := range map[string]alotwebhook.Recovery{
		"a subject with a NUL":         {Subject: "cand_\x00"},
		"a subject that is not UTF-8":  {Subject: "cand_\xff"},
		"an event's id that is none":   {Subject: personal[1], EventID: "evt_short"},
		"an organization with a NUL":   {Subject: personal[1], OrganizationID: "org_1\x00"},
		"a cursor that is no event id": {Subject: "cand_unknown", Cursor: "evt_\x00"},
	} {
		before := newEvent(t, "org_1", completed)
		tx := t.begin()
		t.enqueueIn(tx, before)
		r.State = alotwebhook.RecoveryErasing
		_, _, err := t.eraserOf(tx).Erase(t.ctx(), r, 10)
		commitErr := tx.Commit()
		if err == nil {
			require.NoError(t, commitErr, name)
		}
		if commitErr == nil {
			t.requireKept(before)
		}
		t.requireKept(kept)
	}
}
