package quota_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/quota"
)

// shelf is what one owner has.
type shelf struct{ n atomic.Int64 }

func (s *shelf) addition() quota.Addition {
	return quota.Addition{
		Count: func(context.Context, int) (int, error) { return int(s.n.Load()), nil },
		Add:   func(context.Context) error { s.n.Add(1); return nil },
		Undo:  func(context.Context) error { s.n.Add(-1); return nil },
	}
}

func TestOneProcessFillsUp(t *testing.T) {
	t.Parallel()
	q, s := quota.Quota{Most: 20}, &shelf{}
	var full atomic.Int64
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if err := q.Add(context.Background(), "a", s.addition()); err != nil {
				require.ErrorIs(t, err, quota.ErrFull)
				full.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 20, s.n.Load())
	require.EqualValues(t, 80, full.Load())
}

func TestNoLimitIsNotCounted(t *testing.T) {
	t.Parallel()
	q, s := quota.Quota{Most: -1}, &shelf{}
	a := s.addition()
	a.Count = nil // would panic
	require.NoError(t, q.Add(t.Context(), "a", a))
}

func TestWhatCameTooLateIsTakenBack(t *testing.T) {
	t.Parallel()
	q, s := quota.Quota{Most: 1}, &shelf{}
	a := s.addition()
	add := a.Add
	ctx, cancel := context.WithCancel(t.Context())
	a.Add = func(ctx context.Context) error {
		s.n.Add(1) // another process
		cancel()   // the caller does not wait any more
		return add(ctx)
	}
	undone := false
	a.Undo = func(ctx context.Context) error {
		undone = true
		s.n.Add(-1)
		return ctx.Err()
	}
	require.ErrorIs(t, q.Add(ctx, "a", a), quota.ErrFull)
	require.True(t, undone)
	require.EqualValues(t, 1, s.n.Load())
}

func TestErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	q, s := quota.Quota{Most: 1}, &shelf{}
	a := s.addition()
	a.Count = func(context.Context, int) (int, error) { return 0, broken }
	require.ErrorIs(t, q.Add(t.Context(), "a", a), broken)
	require.Zero(t, s.n.Load())

	a = s.addition()
	count, calls := a.Count, 0
	a.Count = func(ctx context.Context, limit int) (int, error) {
		if calls++; calls == 2 {
			return 0, broken
		}
		return count(ctx, limit)
	}
	require.NoError(t, q.Add(t.Context(), "a", a), "it is there")
	require.EqualValues(t, 1, s.n.Load())

	a = s.addition()
	s.n.Store(0)
	a.Add = func(context.Context) error { return broken }
	require.ErrorIs(t, q.Add(t.Context(), "a", a), broken)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.n.Store(1)
	require.Error(t, q.Add(ctx, "a", s.addition()))
}
