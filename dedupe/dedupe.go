// Package dedupe remembers which events were handled: [alotwebhook.Deduper] in
// memory and in SQL. It imports no database driver.
//
// [Memory] is for a single process, and forgets when that ends. [SQL] is a table
// in your own SQLite or PostgreSQL, for any number of processes. With it, the
// business row and the mark that the event was handled commit together:
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
// Then the event takes effect once: whatever happens between any two lines, and
// even if a handler outlives its lease and another one runs beside it, one of
// the transactions commits and the other does not. A handler whose effect lies
// elsewhere, such as a mail, can still be interrupted between the effect and the
// mark: for that, no memory helps but that of the other side.
//
// Package dedupetest proves an implementation of your own.
package dedupe

import (
	"errors"
	"fmt"
	"time"

	"github.com/alot/alotwebhook"
)

// DefaultRetention is how long a handled event is remembered: a day longer than
// the sender, at its defaults, keeps a payload that it could send again.
const DefaultRetention = 31 * 24 * time.Hour

// errNoClaim refuses to settle what was not claimed.
var errNoClaim = errors.New("alotwebhook: this is no claim: has the Receiver a Deduper, and is this the handler's context?")

func checkClaim(c alotwebhook.DedupeClaim) error {
	if c.Key == "" || c.State != alotwebhook.DedupeClaimed {
		return errNoClaim
	}
	return nil
}

func lost(c alotwebhook.DedupeClaim) error {
	return fmt.Errorf("%w: %s", alotwebhook.ErrClaimLost, c.Key)
}
