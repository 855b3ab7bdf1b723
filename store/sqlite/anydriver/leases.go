package anydriver

import (
	"context"
	"slices"
	"time"
)

// writeLease writes the lease of a held delivery into its row, unless that is not as it was
// claimed: the outcome may stand there already, when this store does not know it yet. Of a
// release, it is next_at that tells.
const writeLease = "UPDATE alotwebhook_queue SET lease = ?, next_at = ? WHERE id = ? AND lease = 0 AND attempts = ? AND next_at = ?"

// writeLeases writes the leases of held deliveries into their rows, so that they outlive their
// owner. It returns the claims.
func (t *txn) writeLeases(list []holding) ([]claimOf, error) {
	claims := make([]claimOf, len(list))
	for i, h := range list {
		claims[i] = claimOf{h.key, h.token}
		n, err := t.affected(writeLease, h.token, h.until, h.key[:], h.attempts, h.place.at)
		if err != nil {
			return nil, err
		}
		if h.ordered && n > 0 {
			if err := t.keepFirst(h.endpoint, h.key); err != nil {
				return nil, err
			}
		}
	}
	return claims, nil
}

// writeRanOut writes the leases that have run out into their rows: so these deliveries fall
// due when they did, and whoever claims them next counts that they were claimed before.
func (s *Store) writeRanOut(ctx context.Context) error {
	list := s.held.among(everyEndpoint, time.Now().UnixMicro())
	if len(list) == 0 {
		return nil
	}
	clear(s.lanes.marks)
	var written []claimOf
	return s.submit(&job{
		ctx:   ctx,
		doing: "claim deliveries",
		run: func(t *txn) (err error) {
			written = nil
			if there, err := t.isOwner(s.owner.id); err != nil || !there {
				return err
			}
			list = slices.DeleteFunc(list, func(h holding) bool { // finished meanwhile
				_, held := s.held.get(h.key, h.token)
				return !held
			})
			written, err = t.writeLeases(list)
			return err
		},
		committed: func() { s.held.drop(written) },
		done:      make(chan struct{}),
	})
}
