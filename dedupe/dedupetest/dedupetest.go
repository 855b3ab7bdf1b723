// Package dedupetest tests whether an [alotwebhook.Deduper] keeps its contract.
//
// Call [Run] in a test of yours:
//
//	func TestDeduper(t *testing.T) {
//		dedupetest.Run(t, func(tb testing.TB) alotwebhook.Deduper {
//			return open(tb) // empty, and closed by tb.Cleanup
//		})
//	}
//
// Each subtest is named after a rule of the contract, and quotes the rule if it
// fails. The subtests run in parallel, each on its own Deduper. A lease that must run
// out during a test lasts 200 milliseconds.
package dedupetest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// Run tests each rule of [alotwebhook.Deduper] in a subtest. It calls open once for
// each rule, from several goroutines at the same time. Each call must return a new,
// empty Deduper, and close it by tb.Cleanup.
func Run(t *testing.T, open func(tb testing.TB) alotwebhook.Deduper) {
	t.Helper()
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			trial := &trial{T: t, deduper: open(t)}
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("the Deduper breaks this rule of alotwebhook.Deduper: %s", r.says)
				}
			})
			r.test(trial)
		})
	}
}

// rule is a sentence of the contract, and the test that fails if a Deduper breaks it.
type rule struct {
	name, says string
	test       func(t *trial)
}

const (
	// long is a lease that never runs out during a test.
	long = time.Hour
	// brief is a lease that runs out while a test waits for it.
	brief = 200 * time.Millisecond
	// crowd is the number of goroutines that claim at the same time.
	crowd = 32

	someKey = "evt_01jcc7wjz3e4qv8x5k2m9n6p0r"
)

// patience returns how long a test waits for a lease to run out: half of the time
// that is left before the test binary's timeout, and at most ten minutes. It is long, so
// that a slow machine passes; it is bounded, so that a Deduper whose leases never run
// out fails.
func (t *trial) patience() time.Duration {
	if deadline, ok := t.Deadline(); ok {
		return min(10*time.Minute, time.Until(deadline)/2)
	}
	return 10 * time.Minute
}

// trial is the test of one rule, with its Deduper.
type trial struct {
	*testing.T
	deduper alotwebhook.Deduper
}

// claim calls Claim, and checks that the result is well formed.
func (t *trial) claim(key string, lease time.Duration) alotwebhook.DedupeClaim {
	t.Helper()
	c, err := t.deduper.Claim(t.Context(), key, lease)
	require.NoError(t, err)
	require.Equal(t, key, c.Key, "a claim names its key")
	require.Contains(t, []alotwebhook.DedupeState{alotwebhook.DedupeClaimed, alotwebhook.DedupeInProgress, alotwebhook.DedupeDone}, c.State)
	return c
}

// require fails the test if a claim has another state.
func (t *trial) require(state alotwebhook.DedupeState, c alotwebhook.DedupeClaim, why string) {
	t.Helper()
	require.Equal(t, state, c.State, why)
}

// claimed claims a key that must be free.
func (t *trial) claimed(key string, lease time.Duration) alotwebhook.DedupeClaim {
	t.Helper()
	c := t.claim(key, lease)
	t.require(alotwebhook.DedupeClaimed, c, "the key is free")
	return c
}

// replaced returns a claim whose lease has run out, and the claim that replaced it.
func (t *trial) replaced(key string) (old, next alotwebhook.DedupeClaim) {
	t.Helper()
	old = t.claimed(key, brief)
	patience := t.patience()
	for deadline := time.Now().Add(patience); ; {
		if next = t.claim(key, long); next.State == alotwebhook.DedupeClaimed {
			return old, next
		}
		t.require(alotwebhook.DedupeInProgress, next, "nobody completed it")
		require.True(t, time.Now().Before(deadline), "waited %v in vain for a lease of %v to run out", patience, brief)
		time.Sleep(5 * time.Millisecond) // nothing tells when a lease has run out, so this polls
	}
}

func (t *trial) complete(c alotwebhook.DedupeClaim) {
	t.Helper()
	require.NoError(t, t.deduper.Complete(t.Context(), c))
}

func (t *trial) release(c alotwebhook.DedupeClaim) {
	t.Helper()
	require.NoError(t, t.deduper.Release(t.Context(), c))
}

// crowd calls f from many goroutines at the same time.
func (t *trial) crowd(f func(i int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	ready.Add(crowd)
	for i := range crowd {
		done.Go(func() {
			ready.Done()
			<-start
			f(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

// rush claims one key from many goroutines, and counts the states that they get.
func (t *trial) rush(key string, lease time.Duration) map[alotwebhook.DedupeState]int {
	t.Helper()
	var mu sync.Mutex
	states := map[alotwebhook.DedupeState]int{}
	t.crowd(func(int) {
		c, err := t.deduper.Claim(t.Context(), key, lease)
		if err != nil {
			t.Errorf("claim: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		states[c.State]++
	})
	return states
}

// ended returns a context that has ended.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// ending is a context that ends when it has been looked at a number of times.
type ending struct {
	context.Context
	end   context.CancelFunc
	looks atomic.Int64 // that are left
}

// endsAfter returns a context that ends with the look behind the given number of them.
func endsAfter(looks int64) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	e := &ending{Context: ctx, end: cancel}
	e.looks.Store(looks)
	return e
}

func (e *ending) look() {
	if e.looks.Add(-1) < 0 {
		e.end()
	}
}

func (e *ending) Done() <-chan struct{} { e.look(); return e.Context.Done() }
func (e *ending) Err() error            { e.look(); return e.Context.Err() }
