package otelwebhook

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errLate says that there is no answer yet.
var errLate = errors.New("alotwebhook: not answered in time")

// asked has one question, and keeps the answer for a while: however often and by how many it
// is wanted, the question is asked once an interval, and never twice at a time.
type asked[T any] struct {
	question          func(context.Context) (T, error)
	interval, timeout time.Duration

	mu       sync.Mutex
	value    T
	err      error
	at       time.Time     // of the answer; zero: none yet
	underWay chan struct{} // closed with the answer; nil while nothing is asked
}

// answer returns the answer, for which it waits until ctx is done. One that comes later
// serves whoever asks then.
func (a *asked[T]) answer(ctx context.Context) (T, error) {
	a.mu.Lock()
	if a.underWay == nil && (a.at.IsZero() || time.Since(a.at) >= a.interval) {
		a.underWay = make(chan struct{})
		go a.ask()
	}
	underWay := a.underWay
	a.mu.Unlock()
	if underWay != nil {
		select {
		case <-underWay:
		case <-ctx.Done():
			var none T
			return none, errLate
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.value, a.err
}

// ask asks, under a context of its own: several may wait for the answer, and none of them
// for ever.
func (a *asked[T]) ask() {
	ctx, cancel := context.WithTimeout(context.Background(), a.timeout)
	defer cancel()
	value, err := a.question(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.value, a.err, a.at = value, err, time.Now()
	close(a.underWay)
	a.underWay = nil
}
