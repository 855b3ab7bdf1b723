package shards

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/fault"
)

// askTimeout bounds how long one shard among several is asked, so that one that hangs does
// not hold a caller without a deadline for ever.
//
// illTimeout is that of a shard that fails, or was not in time, at its last claim. What is
// found nowhere else needs its answer, and nobody should wait for that for long.
const askTimeout, illTimeout = 30 * time.Second, 3 * time.Second

// answer is what a shard has answered.
type answer[T any] struct {
	shard *shard
	value T
	err   error
}

// ask calls get for each shard at once, and returns a channel with their answers.
func ask[T any](ctx context.Context, of []*shard, get func(context.Context, *shard) (T, error)) <-chan answer[T] {
	answers := make(chan answer[T], len(of))
	for _, sh := range of {
		go func() {
			value, err := get(ctx, sh)
			answers <- answer[T]{sh, value, err}
		}()
	}
	return answers
}

// inTime returns get with a deadline of its own.
func inTime[T any](get func(context.Context, *shard) (T, error)) func(context.Context, *shard) (T, error) {
	return func(ctx context.Context, sh *shard) (T, error) {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		return get(ctx, sh)
	}
}

// ended refuses a context that has ended.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fault.Explain(err, "shards: the call's context has ended")
	}
	return nil
}

// gather returns what each of the shards answers, in their order. It needs all of them.
func gather[T any](ctx context.Context, of []*shard, get func(context.Context, *shard) (T, error)) ([]T, error) {
	if len(of) == 1 {
		value, err := get(ctx, of[0])
		return []T{value}, err
	}
	values, err := answersOf(ctx, of, inTime(get))
	if err != nil {
		return nil, err
	}
	return values, nil
}

// answersOf is gather with the answers that there are beside an error: the others are zero.
func answersOf[T any](ctx context.Context, of []*shard, get func(context.Context, *shard) (T, error)) (values []T, err error) {
	values = make([]T, len(of))
	var errs []error
	answers := ask(ctx, of, get)
	for i := range of {
		select {
		case a := <-answers:
			values[slices.Index(of, a.shard)] = a.value
			if a.err != nil {
				errs = append(errs, a.shard.explain(a.err))
			}
		case <-ctx.Done():
			return values, fmt.Errorf("alotwebhook: shards: %d of %d have not answered in time: %w", len(of)-i, len(of), ctx.Err())
		}
	}
	return values, joined(errs)
}

// find asks the shards for what one of them has, and returns the first answer that best
// approves of, or else any. The error is ErrNotFound only if no shard has it. Shards that
// fail at the moment are asked last.
func find[T any](ctx context.Context, s *Store, of []*shard, get func(context.Context, *shard) (T, error), best func(*shard, T) bool) (found T, err error) {
	if err := ended(ctx); err != nil {
		return found, err
	}
	well, ill := s.byHealth(of)
	hit, found, err := search(ctx, well, get, best)
	if hit || len(ill) == 0 {
		return found, err
	}
	ctx, cancel := context.WithTimeout(ctx, illTimeout)
	defer cancel()
	hit, found, other := search(ctx, ill, get, best)
	if !hit && err != nil && !errors.Is(err, alotwebhook.ErrNotFound) {
		return found, err
	}
	return found, other
}

// search is find in shards that are asked at the same time. A call that is not waited for
// goes on: to end it would cost some databases their connection.
func search[T any](ctx context.Context, of []*shard, get func(context.Context, *shard) (T, error), best func(*shard, T) bool) (hit bool, found T, err error) {
	var missing error
	var errs []error
	answers := ask(context.WithoutCancel(ctx), of, inTime(get))
	for i := range of {
		select {
		case a := <-answers:
			switch {
			case a.err == nil && best(a.shard, a.value):
				return true, a.value, nil
			case a.err == nil && !hit:
				hit, found = true, a.value
			case errors.Is(a.err, alotwebhook.ErrNotFound):
				missing = a.err
			case a.err != nil:
				errs = append(errs, a.shard.explain(a.err))
			}
		case <-ctx.Done():
			return hit, found, fmt.Errorf("alotwebhook: shards: %d of %d have not answered in time: %w", len(of)-i, len(of), ctx.Err())
		}
	}
	switch {
	case hit:
		return true, found, nil
	case errs != nil:
		return false, found, joined(errs)
	}
	return false, found, missing
}

// byHealth parts the shards into those whose last claim was in time, and the others.
func (s *Store) byHealth(of []*shard) (well, ill []*shard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range of {
		if sh.claims.suspect {
			ill = append(ill, sh)
		} else {
			well = append(well, sh)
		}
	}
	return well, ill
}
