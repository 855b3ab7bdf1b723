package anydriver

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

// note stores operations whose ids are not stored yet.
func (t *txn) note(ops ...alotwebhook.Operation) error {
	for i := range ops {
		o := &ops[i]
		k, ok := parseKey(operationPrefix, o.ID)
		if !ok {
			return sayf("store an operation: its id %.64q is not %s and %d characters of base32", o.ID, operationPrefix, suffixLen)
		}
		due := sql.NullInt64{Int64: t.now, Valid: !o.Handled}
		err := t.exec(`INSERT INTO alotwebhook_operations (id, type, organization, endpoint, delivery, actor, note, claims, due_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?) ON CONFLICT (id) DO NOTHING`,
			k[:], string(o.Type), o.OrganizationID, o.EndpointID, o.DeliveryID, o.Actor, o.Note, due)
		if err != nil {
			return err
		}
	}
	return nil
}

// operationColumns are the columns that scanOperation reads.
const operationColumns = "id, type, organization, endpoint, delivery, actor, note, claims, due_at"

func scanOperation(scan func(...any) error) (o alotwebhook.Operation, err error) {
	var k key
	var due sql.NullInt64
	err = scan(&k, &o.Type, &o.OrganizationID, &o.EndpointID, &o.DeliveryID, &o.Actor, &o.Note, &o.Claims, &due)
	o.ID, o.At, o.Handled = k.spell(operationPrefix), k.time(), !due.Valid
	return o, err
}

// Operations implements [alotwebhook.Operations]. It reads an organization's or an endpoint's
// in order, and passes over those of other types.
func (s *Store) Operations(ctx context.Context, f alotwebhook.OperationFilter) (page []alotwebhook.Operation, next string, err error) {
	query, args, err := selectOperations(f)
	if err != nil {
		return nil, "", err
	}
	limit, passed := pageSize(f.Limit), 0
	err = s.read(ctx, "list operations", func(t *txn) error {
		return t.each(query, args, func(scan func(...any) error) error {
			o, err := scanOperation(scan)
			switch {
			case err != nil:
				return err
			case f.Type != "" && o.Type != f.Type:
				if passed++; passed <= stretch {
					return nil
				}
				next = o.ID
			case len(page) < limit:
				page = append(page, o)
				return nil
			default:
				next = page[limit-1].ID
			}
			return errEnough
		})
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, "", err
	}
	return page, next, nil
}

// selectOperations returns the query for the operations that a filter selects, of any type.
func selectOperations(f alotwebhook.OperationFilter) (query string, args []any, err error) {
	from, before := key{}, everyKey
	if !f.Since.IsZero() {
		from = firstKey(f.Since)
	}
	if !f.Until.IsZero() {
		before = firstKey(f.Until)
	}
	if f.Cursor != "" {
		k, ok := parseKey(operationPrefix, f.Cursor)
		if !ok {
			return "", nil, badCursor(f.Cursor, "an operation", "page")
		}
		if k.less(before) {
			before = k
		}
	}
	query, args = "SELECT "+operationColumns+" FROM alotwebhook_operations WHERE id >= ? AND id < ?", []any{from[:], before[:]}
	if f.OrganizationID != "" {
		query, args = query+" AND organization = ?", append(args, f.OrganizationID)
	}
	if f.EndpointID != "" {
		query, args = query+" AND endpoint = ?", append(args, f.EndpointID)
	}
	return query + " ORDER BY id DESC", args, nil
}

// ClaimOperations implements [alotwebhook.Operations]. If there is nothing to claim, it only
// reads.
func (s *Store) ClaimOperations(ctx context.Context, limit int, lease time.Duration) (claimed []alotwebhook.Operation, err error) {
	var some bool
	err = s.read(ctx, "look for operations", func(t *txn) error {
		return t.one("SELECT EXISTS (SELECT 1 FROM alotwebhook_operations WHERE due_at <= ?)", t.now)(&some)
	})
	if err != nil || !some || limit <= 0 {
		return nil, err
	}
	err = s.write(ctx, "claim operations", func(t *txn) error {
		claimed = nil
		return t.each(`UPDATE alotwebhook_operations SET due_at = ?, claims = claims + 1
			WHERE id IN (SELECT id FROM alotwebhook_operations WHERE due_at <= ? ORDER BY due_at, id LIMIT ?)
			RETURNING `+operationColumns, []any{t.now + lease.Microseconds(), t.now, limit}, func(scan func(...any) error) error {
			o, err := scanOperation(scan)
			claimed = append(claimed, o)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(claimed, func(a, b alotwebhook.Operation) int { return cmp.Compare(a.ID, b.ID) })
	return claimed, nil
}

// FinishOperations implements [alotwebhook.Operations].
func (s *Store) FinishOperations(ctx context.Context, ids []string, again time.Duration) error {
	if len(ids) == 0 {
		return ctx.Err()
	}
	return s.write(ctx, "finish operations", func(t *txn) error {
		due := sql.NullInt64{Int64: t.now + again.Microseconds(), Valid: again > 0}
		for _, id := range ids {
			k, ok := parseKey(operationPrefix, id)
			if !ok {
				continue // no row has it
			}
			if err := t.exec("UPDATE alotwebhook_operations SET due_at = ? WHERE id = ? AND due_at IS NOT NULL", due, k[:]); err != nil {
				return err
			}
		}
		return nil
	})
}

// purgeOperations deletes the operations of until (µs since 1970) or before.
func (t *txn) purgeOperations(until int64, limit int, r *alotwebhook.PurgeResult) error {
	before := firstKey(instant(until).Add(time.Millisecond))
	n, err := t.affected(`DELETE FROM alotwebhook_operations
		WHERE id IN (SELECT id FROM alotwebhook_operations WHERE id < ? ORDER BY id LIMIT ?)`, before[:], limit)
	r.Operations = int(n)
	return err
}
