// Package dedupetest holds every [alotwebhook.Deduper] to its contract.
//
// Call [Run] in a test of yours:
//
//	func TestDeduper(t *testing.T) {
//		dedupetest.Run(t, func(tb testing.TB) alotwebhook.Deduper {
//			return open(tb) // an empty one; tb.Cleanup closes it
//		})
//	}
//
// Each subtest is named after the rule that it proves, and when it fails it
// quotes the rule. They run in parallel, each on a Deduper of its own, with
// leases of 200 milliseconds where one must run out.
package dedupetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// Run proves that the Dedupers that open gives keep the contract of
// [alotwebhook.Deduper]. open is called once for every rule, may be called from
// many goroutines at once, and closes what it opened by tb.Cleanup.
func Run(t *testing.T, open func(tb testing.TB) alotwebhook.Deduper) {
	t.Helper()
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			trial := &trial{T: t, deduper: open(t)}
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("the rule of alotwebhook.Deduper that is broken: %s", r.says)
				}
			})
			r.test(trial)
		})
	}
}

// rule is a sentence of the contract and the test that proves it.
type rule struct {
	name, says string
	test       func(t *trial)
}

const (
	// long is a lease that no test outlives; brief one that it waits for.
	long  = time.Hour
	brief = 200 * time.Millisecond
	// crowd is how many claim at once.
	crowd = 32

	someKey = "evt_01jcc7wjz3e4qv8x5k2m9n6p0r"
)

// patience bounds every wait, so that a slow machine passes and a broken Deduper
// ends: half of the time that the tests still have, and at most ten minutes.
func (t *trial) patience() time.Duration {
	if deadline, ok := t.Deadline(); ok {
		return min(10*time.Minute, time.Until(deadline)/2)
	}
	return 10 * time.Minute
}

// trial is one rule on trial: a test with its Deduper.
type trial struct {
	*testing.T
	deduper alotwebhook.Deduper
}

// claim asks for a key, and checks that the answer has a form that makes sense.
func (t *trial) claim(key string, lease time.Duration) alotwebhook.DedupeClaim {
	t.Helper()
	c, err := t.deduper.Claim(t.Context(), key, lease)
	require.NoError(t, err)
	require.Equal(t, key, c.Key, "a claim names its key")
	require.Contains(t, []alotwebhook.DedupeState{alotwebhook.DedupeClaimed, alotwebhook.DedupeInProgress, alotwebhook.DedupeDone}, c.State)
	return c
}

func (t *trial) require(state alotwebhook.DedupeState, c alotwebhook.DedupeClaim, why string) {
	t.Helper()
	require.Equal(t, state, c.State, why)
}

// claimed gets a key that must be free.
func (t *trial) claimed(key string, lease time.Duration) alotwebhook.DedupeClaim {
	t.Helper()
	c := t.claim(key, lease)
	t.require(alotwebhook.DedupeClaimed, c, "the key is free")
	return c
}

// replaced returns a claim whose lease ran out, and the one that replaced it.
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
		time.Sleep(5 * time.Millisecond) // between two polls
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

// crowd calls f from many goroutines at the same moment.
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

// rush claims a key from many goroutines and counts the answers.
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

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
