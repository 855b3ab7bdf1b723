// Package dedupe remembers which events were handled. It has two implementations
// of [alotwebhook.Deduper] and imports no database driver.
//
// [Memory] serves a single process and forgets everything when that ends. [SQL]
// keeps a table in your own SQLite or PostgreSQL and serves any number of
// processes. With it, a handler commits its business row together with the mark
// that the event was handled:
//
//	handled, err := dedupe.NewSQL(db, dedupe.PostgreSQL, nil)
//	err = handled.CreateTable(ctx)
//	receiver := alotwebhook.NewReceiver(verifier, &alotwebhook.ReceiverConfig{Deduper: handled})
//	alotwebhook.On(receiver, alotwebhook.EventCandidateCompleted,
//		func(ctx context.Context, e alotwebhook.Event, data alotwebhook.CandidateCompleted) error {
//			tx, err := db.BeginTx(ctx, nil)
//			if err != nil {
//				return err
//			}
//			defer tx.Rollback()
//			if _, err := tx.ExecContext(ctx, "INSERT INTO results …", data.SessionID); err != nil {
//				return err
//			}
//			if err := handled.Tx(tx).Complete(ctx, alotwebhook.ClaimFromContext(ctx)); err != nil {
//				return err
//			}
//			return tx.Commit()
//		})
//
// Then the event takes effect exactly once. A crash between any two lines does not
// change that. If a handler outlives its lease and a second one runs beside it, only
// one of the two transactions commits.
//
// A handler with an effect outside of the database, such as a mail, can still be
// interrupted between the effect and the mark. Only the other side can prevent the
// second mail: give it the event id as its idempotency key.
//
// Package dedupetest tests an implementation of your own.
package dedupe

import (
	"errors"
	"fmt"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/storable"
)

// DefaultRetention is how long a handled event is remembered by default: 31 days.
// The sender, at its defaults, keeps a payload for 30 days and can redeliver it
// until then.
const DefaultRetention = 31 * 24 * time.Hour

// errNoClaim refuses to complete or release a claim that did not succeed.
var errNoClaim = errors.New("alotwebhook: there is no claim: set ReceiverConfig.Deduper, and give ClaimFromContext the handler's context")

// longest bounds leases and retentions. It is below the 292 years of a time.Duration, so that what is added
// to it, or rounded up, does not overflow.
const longest = 100 * 365 * 24 * time.Hour

// checkInput refuses what Claim must not be called with.
func checkInput(key string, lease time.Duration) error {
	if problem := storable.KeyProblem(key); problem != "" {
		return &alotwebhook.FieldError{Field: "key", Problem: problem}
	}
	if lease <= 0 {
		return &alotwebhook.FieldError{Field: "lease", Problem: fmt.Sprintf("is %v; give more than 0, such as DefaultLease", lease)}
	}
	return nil
}

func checkClaim(c alotwebhook.DedupeClaim) error {
	if c.Key == "" || c.State != alotwebhook.DedupeClaimed {
		return errNoClaim
	}
	return nil
}

func lost(c alotwebhook.DedupeClaim) error {
	return fmt.Errorf("%w: %s", alotwebhook.ErrClaimLost, c.Key)
}
