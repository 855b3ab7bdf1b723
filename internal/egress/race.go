package egress

import (
	"context"
	"time"

	"github.com/alot/alotwebhook/internal/caught"
)

// race tries the same in several ways, each one after a wait beside those before it.
type race[T any] struct {
	tries int
	wait  time.Duration
	try   func(ctx context.Context, i int) (T, error)
	// host calls try: what the host has put around the transport may have hooks in the context.
	host *caught.Host
	// goesOn has an error start the next try at once. Otherwise the first error ends the race.
	goesOn bool
	// drop frees what comes in after the winner; nil for nothing.
	drop func(T)
}

// result is what a try came to.
type result[T any] struct {
	value T
	i     int
	err   error
}

// run returns the first success with its number, or the first error once no try is left.
func (r *race[T]) run(ctx context.Context) (none T, _ int, first error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result[T])
	next := time.NewTimer(0)
	defer next.Stop()
	for started, failed := 0, 0; failed < r.tries; {
		select {
		case <-next.C:
			go r.start(ctx, started, results)
			if started++; started < r.tries {
				next.Reset(r.wait)
			}
		case got := <-results:
			if got.err == nil {
				return got.value, got.i, nil
			}
			if first == nil {
				first = got.err
			}
			if !r.goesOn {
				return none, 0, first
			}
			if failed++; started < r.tries {
				next.Reset(0)
			}
		case <-ctx.Done():
			if first == nil {
				first = context.Cause(ctx)
			}
			return none, 0, first
		}
	}
	return none, 0, first
}

// start makes a try and hands in its result, unless the race is over.
func (r *race[T]) start(ctx context.Context, i int, results chan<- result[T]) {
	var value T
	err := r.host.Call("Config.WrapTransport", func() (err error) { value, err = r.try(ctx, i); return err })
	select {
	case results <- result[T]{value, i, err}:
	case <-ctx.Done():
		if err == nil && r.drop != nil {
			r.drop(value)
		}
	}
}
