package alotwebhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/alot/alotwebhook/internal/caught"
	"github.com/alot/alotwebhook/internal/refusal"
	"github.com/alot/alotwebhook/internal/storable"
)

// Deduper remembers which events were handled, because each may arrive again. Package dedupe has one in memory
// and one in SQL; package dedupe/dedupetest tests one of your own. All methods may be called by many
// goroutines, and by every process that shares the memory.
//
// A key is claimed before its event is handled, and completed or released after that. With a mark before the
// handler alone, a crash would lose the event. With a mark after it alone, two copies that arrive together
// would both be handled. Each claim has a lease: the key of a process that crashed can be claimed again once
// the lease has run out.
//
// A key is 1 to 255 bytes of UTF-8 without NUL. Two keys are the same only if all their bytes are.
type Deduper interface {
	// Claim claims a key for the duration of lease, unless the key is done or another claim of it is in
	// progress. The returned state says which of the three it is. Of many simultaneous claims of one key, at
	// most one succeeds. One clock judges the leases of all who share the memory. Each claim has a token that
	// no other claim of the key has had, no matter whether it replaces a claim whose lease ran out or follows
	// one that was released. If ctx has ended, or a key is none, or a lease is zero or less, Claim returns an
	// error. With that nothing is claimed, also if ctx ends in the midst of it. A lease may be of any length,
	// and may end after 100 years.
	Claim(ctx context.Context, key string, lease time.Duration) (DedupeClaim, error)

	// Complete marks the key as done, for ever or for a documented time. It is fenced: if another claim has
	// replaced c, it changes nothing and returns [ErrClaimLost]. If the lease of c has run out, but no other
	// claim has replaced it, Complete succeeds. To complete the same claim again changes nothing and is no
	// error. A c whose state is not [DedupeClaimed] is an error.
	Complete(ctx context.Context, c DedupeClaim) error

	// Release gives the key back, so that it can be claimed again at once. It is fenced like Complete and has
	// the same errors. A claim that was completed or released already is an ErrClaimLost.
	Release(ctx context.Context, c DedupeClaim) error
}

// DedupeClaim is the result of [Deduper.Claim].
type DedupeClaim struct {
	// Key is the key that Claim was called with.
	Key   string
	State DedupeState
	// Token distinguishes this claim from every other one of the key, at any time. It has no meaning unless
	// State is [DedupeClaimed].
	Token int64
	// Wait is the rest of the lease of the claim in progress; zero unless State is [DedupeInProgress].
	Wait time.Duration
}

// DedupeState is the state of a key, as its claimer sees it.
type DedupeState string

const (
	// DedupeClaimed means that the claim succeeded: handle the event, and then complete or release the claim.
	DedupeClaimed DedupeState = "claimed"
	// DedupeInProgress means that another claim of the key has a lease that has not run out.
	DedupeInProgress DedupeState = "in_progress"
	// DedupeDone means that the event was handled.
	DedupeDone DedupeState = "done"
)

var (
	// ErrClaimLost means that the claim's lease ran out and another claim has replaced it, or that the claim
	// was completed or released before. Do not commit the work that was done under it.
	ErrClaimLost = errors.New("alotwebhook: claim lost: its lease ran out, or it is settled already")
	// ErrInProgress means that another process or goroutine is handling the event, and may yet fail. A
	// [Receiver] responds with 409, so that the event comes again later.
	ErrInProgress = errors.New("alotwebhook: event is being handled")
	// ErrNotMarked means that the event was handled, but could not be marked as done. If it comes again, it is
	// handled again. A [Receiver] responds with 200, because any error would make the sender repeat it.
	ErrNotMarked = errors.New("alotwebhook: handled, but not marked as done")
)

// DefaultLease is how long a claim lasts by default: 20 seconds. At its defaults, the sender gives an attempt
// up after 15 seconds and makes the next one after 24 at the earliest. The lease of an attempt lasts longer
// than the attempt, and is over before the next one, so that a crash does not cost an attempt.
const DefaultLease = 20 * time.Second

// settleTimeout bounds how long Complete or Release may take. They run even after the request has ended.
const settleTimeout = 5 * time.Second

// Once calls fn unless the event with this key was handled already. A [Receiver] with a [Deduper] does the same
// for its handlers; Once is for code that verifies by [Receiver.Middleware], by [Verifier.ParseRequest] or out
// of a queue. The key is the event's id, with a name in front of it if several handlers share d. A lease of
// zero or less stands for [DefaultLease]. If d is nil, Once just calls fn.
//
// The context of fn ends with the lease: work that goes on after that may be done twice. [ClaimFromContext]
// returns the claim under which fn runs.
//
// Once returns nil if fn returned nil or if the event was handled before. It returns the error of fn, or wraps it:
// after [Permanent] the event counts as handled, after any other error it can be claimed again at once. It returns
// [ErrInProgress] or [ErrNotMarked], an [ErrInvalid] for a key that is none, or an error of d. [StatusCode] returns
// the status for each; if fn passes on one of these from a Once inside it, that is 500, as for a handler of [On].
func Once(ctx context.Context, d Deduper, key string, lease time.Duration, fn func(ctx context.Context) error) error {
	if fn == nil {
		return refused("fn", "is nil; give the function that handles the event")
	}
	if d == nil {
		return requestErrors.Handled(fn(ctx))
	}
	if isNil(d) {
		return &FieldError{Field: "d", Problem: "holds a nil pointer; give an opened Deduper, or nil for none"}
	}
	if problem := storable.KeyProblem(key); problem != "" {
		return refused("key", problem)
	}
	lease = cmp.Or(max(lease, 0), DefaultLease)
	end := time.Now().Add(lease) // before Claim, so that fn's context ends before the lease
	var claim DedupeClaim
	if err := caught.Call("Deduper", func() (err error) { claim, err = d.Claim(ctx, key, lease); return err }); err != nil {
		return refusal.NotClaimed(explain(err, "cannot tell whether %s was handled", key))
	}
	switch claim.State {
	case DedupeClaimed:
		return handleClaimed(ctx, d, claim, end, fn)
	case DedupeInProgress:
		return &refusal.Error{Status: http.StatusConflict, Cause: refusal.InProgress, After: claim.Wait, Err: fmt.Errorf("%w: %s", ErrInProgress, key)}
	case DedupeDone:
		return nil
	}
	return refusal.NotClaimed(fmt.Errorf("alotwebhook: the Deduper gave %s a state that does not exist: %q", key, claim.State))
}

// handleClaimed calls fn under a claim, and completes or releases the claim.
func handleClaimed(ctx context.Context, d Deduper, claim DedupeClaim, end time.Time, fn func(context.Context) error) (err error) {
	settle := d.Release // also if fn panics
	defer func() {
		// The claim must be settled even if the sender has hung up, for the work of fn is done all the same.
		settleCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
		defer cancel()
		if failure := caught.Call("Deduper", func() error { return settle(settleCtx, claim) }); failure != nil {
			err = refusal.NotSettled(err, failure, ErrNotMarked)
		}
	}()
	fnCtx, cancel := context.WithDeadline(context.WithValue(ctx, claimKey{}, claim), end)
	defer cancel()
	if err = requestErrors.Handled(fn(fnCtx)); err == nil || refusal.IsPermanent(err) {
		settle = d.Complete
	}
	return err
}

type claimKey struct{}

// ClaimFromContext returns the claim under which a handler runs. A handler uses it to complete the claim inside
// its own transaction:
//
//	err := handled.Tx(tx).Complete(ctx, alotwebhook.ClaimFromContext(ctx))
//
// If there is no [Deduper], it returns the zero claim, and Complete returns an error for it.
func ClaimFromContext(ctx context.Context) DedupeClaim {
	claim, _ := ctx.Value(claimKey{}).(DedupeClaim)
	return claim
}
