// Package storetest tests whether an [alotwebhook.Store] keeps its contract.
//
// Call [Run] in a test of your store:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(tb testing.TB) alotwebhook.Store {
//			return open(tb) // empty, and closed by tb.Cleanup
//		})
//	}
//
// Each subtest is named after a rule of the contract, and quotes the rule if it fails. The
// comment above its code says why the rule exists. The subtests run in parallel, each on
// its own store. Where time must pass, leases and waits last between 20 and 500
// milliseconds. To run the test of one rule, name it: go test -run TestStore/Lease/Hides.
package storetest

import (
	"testing"

	"github.com/alot/alotwebhook"
)

// Run tests each rule of [alotwebhook.Store] in a subtest. It calls open once for each
// rule, from several goroutines at the same time. Each call must return a new, empty store,
// and close it by tb.Cleanup.
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

// topics are the rules by topic, in the order of the contract.
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

// rule is a rule of the contract, with a test that fails if a store breaks it.
type rule struct {
	name string
	says string // the rule, in a sentence or two
	test func(t *trial)
}

// prove runs the test of a rule on a store.
func (r rule) prove(t *testing.T, store alotwebhook.Store) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the store breaks this rule of alotwebhook.Store: %s", r.says)
		}
	})
	r.test(&trial{T: t, store: store})
}
