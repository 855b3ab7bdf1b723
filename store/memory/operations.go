package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/typeid"
)

// storedOperation is an operation with the time from which on it may be claimed.
type storedOperation struct {
	alotwebhook.Operation
	dueAt time.Duration
}

func byOperationID(o *storedOperation, id string) int { return cmp.Compare(o.ID, id) }

// note stores those operations whose ids are not stored yet.
func (s *Store) note(ops []alotwebhook.Operation) {
	for _, op := range ops {
		i, found := slices.BinarySearchFunc(s.operations, op.ID, byOperationID)
		if found {
			continue
		}
		o := &storedOperation{op, s.now()}
		o.At, o.Claims = op.At.UTC(), 0
		s.operations = slices.Insert(s.operations, i, o)
		if !o.Handled {
			s.unhandled = append(s.unhandled, o)
		}
	}
}

// Operations implements [alotwebhook.Operations].
func (s *Store) Operations(ctx context.Context, f alotwebhook.OperationFilter) (page []alotwebhook.Operation, next string, err error) {
	if err := s.lock(ctx); err != nil {
		return nil, "", err
	}
	defer s.mu.Unlock()
	if err := checkCursor("op", f.Cursor, "an operation", "page"); err != nil {
		return nil, "", err
	}
	from, before := idRange("op", f.Since, f.Until, f.Cursor)
	end := len(s.operations)
	if before != "" {
		end, _ = slices.BinarySearchFunc(s.operations, before, byOperationID)
	}
	limit, passed := pageSize(f.Limit), 0
	for _, o := range slices.Backward(s.operations[:end]) {
		if o.ID < from {
			break
		}
		if !o.matches(f) {
			if passed++; passed > maxStretch {
				return page, o.ID, nil
			}
			continue
		}
		if len(page) == limit {
			return page, page[limit-1].ID, nil
		}
		page = append(page, o.Operation)
	}
	return page, "", nil
}

func (o *storedOperation) matches(f alotwebhook.OperationFilter) bool {
	return matchesText(f.OrganizationID, o.OrganizationID) && matchesText(f.EndpointID, o.EndpointID) && matchesText(f.Type, o.Type)
}

// ClaimOperations implements [alotwebhook.Operations]. Each call goes through all that are
// not handled.
func (s *Store) ClaimOperations(ctx context.Context, limit int, lease time.Duration) (claimed []alotwebhook.Operation, err error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	now := s.now()
	var due []*storedOperation
	for _, o := range s.unhandled {
		if o.dueAt <= now {
			due = append(due, o)
		}
	}
	slices.SortStableFunc(due, func(a, b *storedOperation) int { return cmp.Compare(a.dueAt, b.dueAt) })
	for _, o := range due[:min(len(due), max(limit, 0))] {
		o.dueAt = now + lease
		o.Claims++
		claimed = append(claimed, o.Operation)
	}
	slices.SortFunc(claimed, func(a, b alotwebhook.Operation) int { return cmp.Compare(a.ID, b.ID) })
	return claimed, nil
}

// FinishOperations implements [alotwebhook.Operations].
func (s *Store) FinishOperations(ctx context.Context, ids []string, again time.Duration) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, o := range s.unhandled {
		if slices.Contains(ids, o.ID) {
			o.dueAt, o.Handled = s.now()+again, again <= 0
		}
	}
	s.unhandled = slices.DeleteFunc(s.unhandled, func(o *storedOperation) bool { return o.Handled })
	return nil
}

// purgeOperations deletes the operations of until or before.
func (s *Store) purgeOperations(until time.Duration, limit int, r *alotwebhook.PurgeResult) {
	first := typeid.First("op", s.instant(until).Add(time.Millisecond))
	n, _ := slices.BinarySearchFunc(s.operations, first, byOperationID)
	n = min(n, limit)
	for _, o := range s.operations[:n] {
		o.Handled = true
	}
	s.unhandled = slices.DeleteFunc(s.unhandled, func(o *storedOperation) bool { return o.Handled })
	s.operations = slices.Delete(s.operations, 0, n)
	r.Operations = n
}
