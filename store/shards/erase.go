package shards

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/fault"
)

// Erase implements [alotwebhook.History]. All shards must be there, also those that an organization has
// left: its history may be there still. Each erases as many events as limit says, and the next call goes
// on where the first of them has stopped. What others have passed by then counts again, unless it was
// selected by its subject, which is gone. After an error, some shards may have erased their part.
func (s *Store) Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (n int, next string, err error) {
	if err := ended(ctx); err != nil {
		return 0, "", err
	}
	type erased struct {
		n    int
		next string
	}
	parts, err := gather(ctx, s.shards, func(ctx context.Context, sh *shard) (part erased, err error) {
		part.n, part.next, err = sh.store.Erase(ctx, r, limit)
		return part, err
	})
	if err != nil {
		return 0, "", err
	}
	for _, part := range parts {
		n += part.n
		next = max(next, part.next)
	}
	return n, next, nil
}

// Remove implements [alotwebhook.History], in all shards at once, those that the organization has left
// included: up to limit rows of each kind in each. One after the other would not do: the endpoints of an
// organization that moves are in several, and go first. All of them must be there; one that is not does
// not keep the others from removing.
func (s *Store) Remove(ctx context.Context, organizationID string, limit int) (n int, err error) {
	if err := ended(ctx); err != nil {
		return 0, err
	}
	parts, err := gather(ctx, s.shards, func(ctx context.Context, sh *shard) (int, error) {
		return sh.store.Remove(ctx, organizationID, limit)
	})
	if err != nil {
		return 0, err
	}
	return slices.Max(parts), nil
}

// eraser is what a store returns for a transaction of the host's, as far as it erases.
type eraser interface {
	Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (n int, next string, err error)
}

// Erase is [Store.Erase] for an organization that is in no other shard than that of the transaction. It
// refuses every other, and all organizations at once: their data may be in other databases, too. The
// error is an [errors.ErrUnsupported] if the transaction cannot erase.
func (w *within) Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (n int, next string, err error) {
	if err := w.check(); err != nil {
		return 0, "", err
	}
	q, ok := w.q.(eraser)
	if !ok {
		return 0, "", fmt.Errorf("alotwebhook: shards: the transaction of the shard %q erases nothing: %w", w.shard, errors.ErrUnsupported)
	}
	if len(w.s.shards) > 1 && r.OrganizationID == "" {
		return 0, "", &alotwebhook.FieldError{Field: "organizationId", Problem: fmt.Sprintf("is empty, and the transaction is of the shard %q alone: name the organization, or erase in no transaction", w.shard)}
	}
	list, err := w.s.selected(r.OrganizationID)
	if err != nil {
		return 0, "", err
	}
	if len(list) > 1 || list[0].name != w.shard {
		return 0, "", fmt.Errorf("alotwebhook: shards: the organization %q is in the shards %q, and the transaction is of %q: erase in no transaction",
			r.OrganizationID, namesOf(list), w.shard)
	}
	n, next, err = q.Erase(ctx, r, limit)
	return n, next, fault.Explain(err, "shard %q", w.shard)
}
