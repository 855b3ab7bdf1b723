// Package storetest holds every [alotwebhook.Store] to its contract.
//
// Call [Run] in a test of your store:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(tb testing.TB) alotwebhook.Store {
//			return open(tb) // an empty store; tb.Cleanup closes it
//		})
//	}
//
// Each subtest is named after the rule that it proves, and when it fails it
// quotes the rule. The subtests run in parallel, each on a store of its own,
// with leases and waits between 20 and 500 milliseconds where time must pass.
// To see one rule alone: go test -run TestStore/Claim/LeaseHides.
package storetest

import (
	"testing"

	"github.com/alot/alotwebhook"
)

// Run proves that the stores that open gives keep the contract of
// [alotwebhook.Store]. open is called once for every rule and must give an
// empty store of its own each time; it may be called from many goroutines at
// once, and closes what it opened by tb.Cleanup.
func Run(t *testing.T, open func(tb testing.TB) alotwebhook.Store) {
	t.Helper()
	for _, topic := range topics {
		t.Run(topic.name, func(t *testing.T) {
			t.Parallel()
			for _, r := range topic.rules {
				t.Run(r.name, func(t *testing.T) {
					t.Parallel()
					r.prove(t, open(t))
				})
			}
		})
	}
}

// topics are all rules, in the order of the contract.
var topics = []struct {
	name  string
	rules []rule
}{
	{"Enqueue", enqueueRules},
	{"Claim", claimRules},
	{"Fairness", fairnessRules},
	{"Lease", leaseRules},
	{"Finish", finishRules},
	{"Redeliver", redeliverRules},
	{"Endpoints", endpointRules},
	{"Recoveries", recoveryRules},
	{"History", historyRules},
	{"Purge", purgeRules},
	{"Stats", statsRules},
	{"Tallies", tallyRules},
	{"Concurrency", concurrencyRules},
	{"Model", modelRules},
}

// rule is a sentence of the contract and the test that proves it.
type rule struct {
	name string
	says string
	test func(t *trial)
}

func (r rule) prove(t *testing.T, store alotwebhook.Store) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the rule of alotwebhook.Store that is broken: %s", r.says)
		}
	})
	r.test(&trial{T: t, store: store})
}
