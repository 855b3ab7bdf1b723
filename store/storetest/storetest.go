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
// The rules of an optional capability, such as [alotwebhook.Pauser], are skipped if neither the store
// nor one that it wraps has it.
//
// Then [RunShared] if several processes may share its database, and [RunTx] if it has a Tx
// method. [BenchmarkClaim] shows what a claim costs as the database grows, and
// [BenchmarkDeliver] how fast a dispatcher is on it.
//
// Each subtest is named after a rule of the contract, and quotes the rule if it fails. The
// comment above its code says why the rule exists. The subtests run in parallel, each on
// its own store. Where time must pass, leases and waits last between 20 and 500
// milliseconds. To run the test of one rule, name it: go test -run TestStore/Lease/Hides.
//
// # What is not proven
//
//   - That what was stored outlives a crash of the process, or of the machine.
//   - That the clock is the database's, and that the same for all processes.
//   - That no call takes long. Only the benchmarks tell, and for large databases only a
//     look at the plans of your queries.
//   - That no query blocks others for long, apart from the rules of RunTx.
//   - That older code refuses a newer schema, and that an upgrade keeps what is stored.
package storetest

import (
	"context"
	"testing"

	"github.com/alot/alotwebhook"
)

// Run tests each rule of [alotwebhook.Store] in a subtest. It calls open once for each
// rule, from several goroutines at the same time. Each call must return a new, empty store,
// and close it by tb.Cleanup.
func Run(t *testing.T, open func(tb testing.TB) alotwebhook.Store) {
	t.Helper()
	runRules(t, topics, func(tb testing.TB) *trial { return &trial{store: open(tb), values: 1} })
}

// runRules tests the rules, each on what open returns for it.
func runRules(t *testing.T, topics []topic, open func(tb testing.TB) *trial) {
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

// topic is a part of the contract.
type topic struct {
	name  string
	rules []rule
}

// topics are the rules by topic, in the order of the contract.
var topics = []topic{
	{"Enqueue", enqueueRules},
	{"Subscriptions", subscriptionRules},
	{"Texts", textRules},
	{"Claim", claimRules},
	{"Fairness", fairnessRules},
	{"Lease", leaseRules},
	{"Finish", finishRules},
	{"Ordered", orderedRules},
	{"Tests", testRules},
	{"URLs", urlRules},
	{"Redeliver", redeliverRules},
	{"Cancel", cancelRules},
	{"Endpoints", endpointRules},
	{"Recoveries", recoveryRules},
	{"Operations", operationRules},
	{"History", historyRules},
	{"Erase", eraseRules},
	{"Remove", removeRules},
	{"Purge", purgeRules},
	{"Stats", statsRules},
	{"Tallies", tallyRules},
	{"Pauses", pauseRules},
	{"Survey", surveyRules},
	{"Feed", feedRules},
	{"Backfill", backfillRules},
	{"Concurrency", concurrencyRules},
	{"Model", modelRules},
}

// rule is a rule of the contract, with a test that fails if a store breaks it.
type rule struct {
	name string
	says string // the rule, in a sentence or two
	test func(t *trial)
}

// prove runs the test of a rule.
func (r rule) prove(t *testing.T, on *trial) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the store breaks this rule of alotwebhook.Store: %s", r.says)
		}
	})
	on.T = t
	if on.host.Begin != nil {
		ctx, cancel := context.WithTimeout(t.Context(), on.patience())
		defer cancel()
		on.bound = ctx
	}
	r.test(on)
}
