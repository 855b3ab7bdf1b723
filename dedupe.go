package alotwebhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Deduper remembers which events were handled, since each may arrive again.
// Package dedupe has one in memory and one in SQL; package dedupe/dedupetest
// proves one of your own. All methods may be called from many goroutines, and
// from every process that shares the memory.
//
// A key is claimed before its event is handled, and then completed or released.
// To mark only before would lose the event in a crash, to mark only after would
// handle it twice at once. A claim has a lease: a crash leaves a key that can be
// claimed again once the lease has run out.
//
// A key is 1 to 255 bytes of UTF-8 without NUL. Keys that differ at all are
// different.
type Deduper interface {
	// Claim takes a key for the length of lease, unless it is done or another
	// claim of it is under way; the state says which. Of many claims of one
	// key at once, at most one gets it. Leases are judged by one clock for
	// all who share the memory. Each claim has a token that no other has had,
	// whether it replaces one whose lease ran out or follows one that was
	// released. With a context that has ended it claims nothing and returns
	// an error.
	Claim(ctx context.Context, key string, lease time.Duration) (DedupeClaim, error)

	// Complete marks the key as done, for good or for a documented time. It
	// is fenced: when another claim has replaced this one, it changes nothing
	// and returns [ErrClaimLost]. A lease that has run out without that is no
	// hindrance. Completing the same claim again changes nothing and is no
	// error. What is no claim, because its state is another, is an error.
	Complete(ctx context.Context, c DedupeClaim) error

	// Release gives the key back, so that it can be claimed at once. It is
	// fenced as Complete is, and refuses the same; a claim that was completed
	// or released is ErrClaimLost.
	Release(ctx context.Context, c DedupeClaim) error
}

// DedupeClaim is the answer to [Deduper.Claim].
type DedupeClaim struct {
	// Key is what was to be claimed.
	Key   string
	State DedupeState
	// Token tells this claim from every other of its key, at any time. It has
	// no meaning unless State is [DedupeClaimed].
	Token int64
	// Wait is how long the lease of whoever holds the key still lasts; zero
	// unless State is [DedupeInProgress].
	Wait time.Duration
}

// DedupeState is where a key stands.
type DedupeState string

const (
	// DedupeClaimed: it is yours; handle the event, then complete or release.
	DedupeClaimed DedupeState = "claimed"
	// DedupeInProgress: somebody else is handling it.
	DedupeInProgress DedupeState = "in_progress"
	// DedupeDone: it was handled.
	DedupeDone DedupeState = "done"
)

var (
	// ErrClaimLost: the claim's lease ran out and another has replaced it, or
	// it was completed or released before. What was done under it must not be
	// committed.
	ErrClaimLost = errors.New("alotwebhook: claim lost: its lease ran out, or it is settled already")
	// ErrInProgress: the event is being handled by somebody else, so that
	// nothing can be said of it yet. A [Receiver] answers with 409.
	ErrInProgress = errors.New("alotwebhook: event is being handled")
	// ErrNotMarked: the event was handled, but could not be marked as done. If
	// it comes again, it is handled again. A [Receiver] answers with 200,
	// because anything else would make it come again.
	ErrNotMarked = errors.New("alotwebhook: handled, but not marked as done")
)

// DefaultLease is how long a claim lasts: longer than the 15 seconds after which
// the sender gives an attempt up, shorter than the 24 after which it makes the
// next one, at its defaults. So a crash does not cost an attempt.
const DefaultLease = 20 * time.Second

// settleTimeout bounds completing and releasing, which outlive the request.
const settleTimeout = 5 * time.Second

// Once runs fn unless the event with this key was handled already: what a
// [Receiver] with a [Deduper] does for its handlers, for those who verify by
// [Receiver.Middleware], [Verifier.ParseRequest] or out of a queue. The key is
// the event's id, with a name in front where several handlers share d. A lease
// of zero or less is [DefaultLease]. Without a Deduper, fn runs.
//
// It returns nil when fn did, or when the event was handled before; fn's error,
// after which the event can be claimed again, or, for [Permanent], is done with;
// [ErrInProgress], [ErrNotMarked], or an error of d. [StatusCode] says how to
// answer each. fn's context ends with the lease: what goes on after it may be
// done twice. [ClaimFromContext] has the claim.
func Once(ctx context.Context, d Deduper, key string, lease time.Duration, fn func(ctx context.Context) error) error {
	if d == nil {
		return fn(ctx)
	}
	if isNil(d) {
		return &FieldError{Field: "d", Problem: "holds a nil pointer; give an opened Deduper, or nil for none"}
	}
	if key == "" {
		return &FieldError{Field: "key", Problem: "is empty; give the event's id"}
	}
	if lease <= 0 {
		lease = DefaultLease
	}
	end := time.Now().Add(lease) // before the claim, so that ours ends first
	claim, err := d.Claim(ctx, key, lease)
	if err != nil {
		return notClaimed(explain(err, "cannot tell whether %s was handled", key))
	}
	switch claim.State {
	case DedupeClaimed:
		return handleClaimed(ctx, d, claim, end, fn)
	case DedupeInProgress:
		return &answer{status: http.StatusConflict, cause: causeInProgress, after: claim.Wait, err: fmt.Errorf("%w: %s", ErrInProgress, key)}
	case DedupeDone:
		return nil
	}
	return notClaimed(fmt.Errorf("alotwebhook: the Deduper gave %s a state that does not exist: %q", key, claim.State))
}

func handleClaimed(ctx context.Context, d Deduper, claim DedupeClaim, end time.Time, fn func(context.Context) error) (err error) {
	settle := d.Release // after a panic too
	defer func() {
		// What was done is done, whether or not somebody still waits for the answer.
		settleCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
		defer cancel()
		if failure := settle(settleCtx, claim); failure != nil {
			err = notSettled(err, failure)
		}
	}()
	fnCtx, cancel := context.WithDeadline(context.WithValue(ctx, claimKey{}, claim), end)
	defer cancel()
	if err = fn(fnCtx); err == nil || isPermanent(err) {
		settle = d.Complete
	}
	return err
}

// notClaimed is the answer when nobody knows whether the event was handled.
func notClaimed(err error) error {
	return &answer{status: http.StatusServiceUnavailable, cause: "dedupe_failed", err: err}
}

// notSettled adds to a handler's result that its key could not be settled.
func notSettled(err, failure error) error {
	if err == nil {
		return &answer{status: http.StatusOK, cause: causeNotMarked, err: both(ErrNotMarked, ": ", failure)}
	}
	return both(err, "; nor was its key settled: ", failure)
}

type claimKey struct{}

// ClaimFromContext returns the claim under which a handler runs, to complete it
// inside the handler's own transaction:
//
//	err := handled.Tx(tx).Complete(ctx, alotwebhook.ClaimFromContext(ctx))
//
// It is the zero claim, which nothing completes, where there is no [Deduper].
func ClaimFromContext(ctx context.Context) DedupeClaim {
	claim, _ := ctx.Value(claimKey{}).(DedupeClaim)
	return claim
}
