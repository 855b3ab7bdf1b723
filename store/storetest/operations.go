package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/typeid"
)

var operationRules = []rule{
	{"KeepsAllFields", "An operation is stored with all its fields as given, but for Claims.", operationKeepsAllFields},
	{"WithEndpoint", "PutEndpoint stores its operations if, and only if, it stores the endpoint.", operationWithEndpoint},
	{"WithDeletion", "DeleteEndpoint stores its operations if, and only if, it deletes the endpoint. They outlive it.", operationWithDeletion},
	{"WithRecovery", "PutRecovery stores its operations if, and only if, it stores the recovery.", operationWithRecovery},
	{"WithOutcome", "Finish stores the operation of each outcome but those that are lost.", operationWithOutcome},
	{"CutShort", "If the context of Finish or PutEndpoint ends meanwhile, what it stores and its operations are stored together or not at all.", operationsCutShort},
	{"SameID", "An operation whose id is stored already changes nothing; what it comes with is stored.", operationSameID},
	{"Filters", "Operations returns the operations that match every field of the filter; a zero field matches all.", operationFilters},
	{"SinceUntil", "Since (inclusive) and Until (exclusive), cut to milliseconds, bound the time in the id.", operationSinceUntil},
	{"Pages", "Operations returns pages in descending order of the ids, and the cursor of the next page; \"\" after the last. A page may be short if more than 100 were passed over.", operationPages},
	{"Claim", "ClaimOperations returns the operations that are not handled, up to limit, in the order of their ids, and counts how often.", operationClaim},
	{"Lease", "Nobody else claims an operation before its lease has run out, and somebody does then.", operationLease},
	{"LongestDue", "ClaimOperations takes those first that are due longest.", operationLongestDue},
	{"Handled", "FinishOperations has operations handled for good, and leaves alone what is unknown.", operationHandled},
	{"Again", "With again, FinishOperations has operations claimed again then, and not before. What is handled stays so.", operationAgain},
	{"Concurrently", "If many claim at the same time, each operation is claimed once.", operationsConcurrently},
	{"Purge", "Purge deletes operations History after their At, handled or not, up to the limit, and counts them.", operationPurge},
}

// newOperation returns an operation that tells of an endpoint.
func newOperation(tb testing.TB, kind alotwebhook.OperationType, e alotwebhook.Endpoint) alotwebhook.Operation {
	tb.Helper()
	id := "op_" + newSuffix(tb)
	at, ok := typeid.Time("op", id)
	require.True(tb, ok)
	return alotwebhook.Operation{ID: id, Type: kind, At: at, OrganizationID: e.OrganizationID, EndpointID: e.ID}
}

// operationAt returns an operation of another time.
func operationAt(tb testing.TB, e alotwebhook.Endpoint, at time.Time) alotwebhook.Operation {
	tb.Helper()
	o := newOperation(tb, alotwebhook.OpEndpointChanged, e)
	id, err := typeid.Parse("op", o.ID)
	require.NoError(tb, err)
	typeid.SetTime(&id, at)
	o.ID, o.At = typeid.Format("op", id), at.UTC().Truncate(time.Millisecond)
	return o
}

// putWith stores e with operations and adds one to its version, as the store does.
func (t *trial) putWith(e *alotwebhook.Endpoint, ops ...alotwebhook.Operation) {
	t.Helper()
	require.NoError(t, t.store.PutEndpoint(t.ctx(), *e, ops...))
	e.Version++
}

// operationsOf stores an endpoint with n operations.
func (t *trial) operationsOf(n int) (alotwebhook.Endpoint, []alotwebhook.Operation) {
	t.Helper()
	e := newEndpoint(t, "org_1", completed)
	var ops []alotwebhook.Operation
	for range n {
		o := newOperation(t, alotwebhook.OpEndpointChanged, e)
		t.putWith(&e, o)
		ops = append(ops, o)
	}
	return e, ops
}

// operations returns the matching operations from all pages, newest first.
func (t *trial) operations(f alotwebhook.OperationFilter) (all []alotwebhook.Operation) {
	t.Helper()
	for range endless {
		page, next, err := t.store.Operations(t.ctx(), f)
		require.NoError(t, err)
		all = append(all, page...)
		if next == "" {
			return all
		}
		f.Cursor = next
	}
	require.FailNow(t, "a listing of operations has no end", "filter %+v", f)
	return nil
}

// claimOperations claims up to limit operations with that lease.
func (t *trial) claimOperations(limit int, lease time.Duration) []alotwebhook.Operation {
	t.Helper()
	claimed, err := t.store.ClaimOperations(t.ctx(), limit, lease)
	require.NoError(t, err)
	return claimed
}

func (t *trial) finishOperations(again time.Duration, ids ...string) {
	t.Helper()
	require.NoError(t, t.store.FinishOperations(t.ctx(), ids, again))
}

func operationIDs(ops []alotwebhook.Operation) []string {
	ids := make([]string, len(ops))
	for i := range ops {
		ids[i] = ops[i].ID
	}
	return ids
}

// requireOperations requires that exactly these operations are stored.
func (t *trial) requireOperations(want ...alotwebhook.Operation) {
	t.Helper()
	require.Equal(t, newestFirst(operationIDs(want)), append([]string{}, operationIDs(t.operations(alotwebhook.OperationFilter{}))...))
}

// The audit trail is worth what its fields say. Nobody claims what is stored as handled, so that
// no backlog grows where the host does not want to hear of it.
func operationKeepsAllFields(t *trial) {
	e := newEndpoint(t, "org_é", completed)
	full := newOperation(t, alotwebhook.OpDeliveryExhausted, e)
	full.At = full.At.In(time.FixedZone("", 3600))
	full.DeliveryID = alotwebhook.DeliveryID(newEvent(t, "org_é", completed).ID, e.ID)
	full.Actor, full.Note, full.Handled, full.Claims = `Jane's "agent" \ 日本 😀`, "status; ' \\ é", true, 7
	bare := newOperation(t, alotwebhook.OpEndpointCreated, e)
	t.putWith(&e, full, bare)
	got := t.operations(alotwebhook.OperationFilter{})
	full.At = full.At.UTC()
	for i := range got {
		require.Equal(t, time.UTC, got[i].At.Location())
		got[i].Claims, full.Claims = 0, 0
	}
	require.Equal(t, []alotwebhook.Operation{bare, full}, got)
	claimed := t.claimOperations(10, long)
	require.Len(t, claimed, 1)
	bare.Claims = 1
	require.Equal(t, bare, claimed[0])
}

// An entry for a change that was refused would name somebody for what nobody did.
func operationWithEndpoint(t *trial) {
	e, ops := t.operationsOf(2)
	for _, refused := range []struct {
		change func(*alotwebhook.Endpoint)
		err    error
	}{
		{func(e *alotwebhook.Endpoint) { e.Version = 0 }, alotwebhook.ErrConflict},
		{func(e *alotwebhook.Endpoint) { e.Version++ }, alotwebhook.ErrConflict},
		{func(e *alotwebhook.Endpoint) { e.FailingSince = time.Now() }, alotwebhook.ErrConflict},
		{func(e *alotwebhook.Endpoint) { e.ID = newEndpoint(t, "org_1").ID }, alotwebhook.ErrNotFound},
	} {
		other := e
		refused.change(&other)
		err := t.store.PutEndpoint(t.ctx(), other, newOperation(t, alotwebhook.OpEndpointChanged, other))
		require.ErrorIs(t, err, refused.err)
	}
	t.requireOperations(ops...)
}

// The history of a deleted endpoint begins with who deleted it.
func operationWithDeletion(t *trial) {
	e, ops := t.operationsOf(1)
	deleted := newOperation(t, alotwebhook.OpEndpointDeleted, e)
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), e.ID, deleted))
	again := newOperation(t, alotwebhook.OpEndpointDeleted, e)
	require.ErrorIs(t, t.store.DeleteEndpoint(t.ctx(), e.ID, again), alotwebhook.ErrNotFound)
	t.requireOperations(append(ops, deleted)...)
}

// Two processes may end a recovery at the same moment. It ends once.
func operationWithRecovery(t *trial) {
	e := t.endpoint("org_1", completed)
	r := newRecovery(e)
	begun := newOperation(t, alotwebhook.OpRecoveryBegun, e)
	require.NoError(t, t.store.PutRecovery(t.ctx(), r, begun))
	require.ErrorIs(t, t.store.PutRecovery(t.ctx(), r, newOperation(t, alotwebhook.OpRecoveryBegun, e)), alotwebhook.ErrConflict)
	r.Version, r.State = 1, alotwebhook.RecoveryDone
	ended := newOperation(t, alotwebhook.OpRecoveryEnded, e)
	require.NoError(t, t.store.PutRecovery(t.ctx(), r, ended))
	require.ErrorIs(t, t.store.PutRecovery(t.ctx(), r, newOperation(t, alotwebhook.OpRecoveryEnded, e)), alotwebhook.ErrConflict)
	t.requireOperations(begun, ended)
}

// Whoever lost its claim does not know how the delivery ended.
func operationWithOutcome(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 4)
	told := func(o alotwebhook.Outcome) (alotwebhook.Outcome, alotwebhook.Operation) {
		op := newOperation(t, alotwebhook.OpDeliveryExhausted, e)
		op.DeliveryID = o.DeliveryID
		o.Operation = &op
		return o, op
	}
	claims := t.claim(10)
	require.Len(t, claims, 4)
	ended, one := told(failed(claims[0]))
	waits, two := told(retry(claims[1], long))
	sent, three := told(delivered(claims[2]))
	late, _ := told(failed(claims[3]))
	late.Token++
	require.Equal(t, []string{late.DeliveryID}, t.lost(ended, late, waits, sent))
	t.requireOperations(one, two, three)
	again, _ := told(failed(claims[0]))
	require.Len(t, t.lost(again), 1)
	t.requireOperations(one, two, three)
	require.Equal(t, claims[0].DeliveryID, t.operations(alotwebhook.OperationFilter{})[2].DeliveryID)
}

// A process may be killed at any moment. What it has done and what tells of it must not part.
func operationsCutShort(t *trial) {
	e := t.endpoint("org_1", completed)
	t.cutShort(func(ctx context.Context) (bool, error) {
		t.emit("org_1", completed, 1)
		before := t.stored(e.ID)
		o, told := failed(t.claimOne()), newOperation(t, alotwebhook.OpDeliveryExhausted, e)
		o.Operation = &told
		_, err := t.store.Finish(ctx, []alotwebhook.Outcome{o})
		t.requireTold(told, err, func() int { return t.delivery(o.DeliveryID).AttemptCount })
		t.lost(o)
		require.Equal(t, 1, t.count(told), "the call can be repeated after an error")
		if err != nil {
			return false, err
		}
		changed := newOperation(t, alotwebhook.OpEndpointChanged, e)
		err = t.store.PutEndpoint(ctx, before, changed)
		t.requireTold(changed, err, func() int { return int(t.stored(e.ID).Version - before.Version) })
		return err == nil, err
	})
}

// requireTold requires that an operation is stored if what it tells of was done: done is 1 then,
// otherwise 0. A database may go on after the caller has given up, between the two looks.
func (t *trial) requireTold(o alotwebhook.Operation, err error, done func() int) {
	t.Helper()
	n := done() + t.count(o)
	if n == 1 {
		n = done() + t.count(o)
	}
	requireWhole(t, 2, n, err)
}

// count returns 1 if the operation is stored, otherwise 0.
func (t *trial) count(o alotwebhook.Operation) int {
	t.Helper()
	page, _, err := t.store.Operations(t.ctx(), alotwebhook.OperationFilter{EndpointID: o.EndpointID, Limit: 1})
	require.NoError(t, err)
	if len(page) > 0 && page[0].ID == o.ID {
		return 1
	}
	return 0
}

// After an error that leaves open whether it was stored, a call is made again.
func operationSameID(t *trial) {
	e, ops := t.operationsOf(1)
	t.finishOperations(0, ops[0].ID)
	other := ops[0]
	other.Note, other.Type = "another", alotwebhook.OpEndpointDeleted
	e.Description = "stored all the same"
	t.putWith(&e, other, other)
	got := t.operations(alotwebhook.OperationFilter{})
	require.Len(t, got, 1)
	require.Equal(t, ops[0].Type, got[0].Type)
	require.Empty(t, got[0].Note)
	require.Equal(t, e.Description, t.stored(e.ID).Description)
	require.Empty(t, t.claimOperations(10, long), "it is handled still")
}

// Filters can be combined, and stores choose an index by the combination. The organization
// protects customers from seeing what others do.
func operationFilters(t *trial) {
	var all []alotwebhook.Operation
	for _, org := range []string{"org_1", "ORG_1", "org_1 ", "org_1"} {
		e := newEndpoint(t, org, completed)
		for _, kind := range []alotwebhook.OperationType{alotwebhook.OpEndpointCreated, alotwebhook.OpEndpointChanged, alotwebhook.OpEndpointChanged} {
			o := newOperation(t, kind, e)
			t.putWith(&e, o)
			all = append(all, o)
		}
	}
	for _, of := range all {
		for mask := range 1 << 3 {
			var f alotwebhook.OperationFilter
			if mask&1 != 0 {
				f.OrganizationID = of.OrganizationID
			}
			if mask&2 != 0 {
				f.EndpointID = of.EndpointID
			}
			if mask&4 != 0 {
				f.Type = of.Type
			}
			want := slices.DeleteFunc(slices.Clone(all), func(o alotwebhook.Operation) bool {
				return f.OrganizationID != "" && o.OrganizationID != f.OrganizationID ||
					f.EndpointID != "" && o.EndpointID != f.EndpointID || f.Type != "" && o.Type != f.Type
			})
			require.Equal(t, newestFirst(operationIDs(want)), operationIDs(t.operations(f)), "filter %+v", f)
		}
	}
	require.Empty(t, t.operations(alotwebhook.OperationFilter{OrganizationID: "org_2", EndpointID: all[0].EndpointID}))
}

// Who asks for what happened on a day must get it all, and nothing twice with the day after.
func operationSinceUntil(t *trial) {
	e := newEndpoint(t, "org_1", completed)
	at := time.Date(2026, 5, 25, 14, 23, 0, 5e6, time.UTC)
	var ids []string
	for _, ms := range []time.Duration{-1, 0, 1} {
		o := operationAt(t, e, at.Add(ms*time.Millisecond))
		t.putWith(&e, o)
		ids = append(ids, o.ID)
	}
	slices.Reverse(ids)
	for _, rest := range []time.Duration{0, 1, time.Microsecond, time.Millisecond - 1} {
		require.Equal(t, ids[:2], operationIDs(t.operations(alotwebhook.OperationFilter{Since: at.Add(rest)})), "Since, %v after the millisecond", rest)
		require.Equal(t, ids[2:], operationIDs(t.operations(alotwebhook.OperationFilter{Until: at.Add(rest)})), "Until, %v after the millisecond", rest)
	}
	require.Equal(t, ids[1:2], operationIDs(t.operations(alotwebhook.OperationFilter{EndpointID: e.ID, Since: at, Until: at.Add(time.Millisecond)})))
}

// A busy year has more operations than fit on a page.
func operationPages(t *trial) {
	e := newEndpoint(t, "org_1", completed)
	var want []string
	var ops []alotwebhook.Operation
	for i := range 305 {
		o := newOperation(t, alotwebhook.OpEndpointChanged, e)
		if i == 0 || i == 304 {
			o.Type = alotwebhook.OpEndpointCreated
		}
		ops = append(ops, o)
		want = append(want, o.ID)
	}
	slices.Reverse(ops) // in whichever order they come
	t.putWith(&e, ops...)
	want = newestFirst(want)
	for _, limit := range []int{0, 7, 305} {
		f := alotwebhook.OperationFilter{Limit: limit}
		for from := 0; from < len(want); from += max(limit, 7+93*(1-min(limit, 1))) {
			page, next, err := t.store.Operations(t.ctx(), f)
			require.NoError(t, err)
			until := min(len(want), from+max(limit, 7+93*(1-min(limit, 1))))
			require.Equal(t, want[from:until], operationIDs(page), "100 when Limit is 0")
			require.Equal(t, until == len(want), next == "")
			f.Cursor = next
		}
	}
	rare := t.operations(alotwebhook.OperationFilter{OrganizationID: "org_1", Type: alotwebhook.OpEndpointCreated})
	require.Equal(t, []string{want[0], want[304]}, operationIDs(rare))
}
