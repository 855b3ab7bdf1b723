package storetest_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/storetest"
)

// mutantVariable names the environment variable that tells a child process which broken
// store to run the suite on.
const mutantVariable = "ALOTWEBHOOK_STORETEST_MUTANT"

// mutants are stores with one fault each, and the rules whose tests must fail because of
// it.
var mutants = map[string]struct {
	broken func(alotwebhook.Store) alotwebhook.Store
	found  []string
}{
	"AckBeforeSend": {
		func(s alotwebhook.Store) alotwebhook.Store { return ackBeforeSend{s} },
		[]string{"Lease/Hides", "Lease/NextAttemptAt", "Stats/Counts"},
	},
	"FinishWithoutFence": {
		func(s alotwebhook.Store) alotwebhook.Store { return &withoutFence{Store: s} },
		[]string{"Lease/Fenced", "Finish/WrongToken"},
	},
	"LostNotReported": {
		func(s alotwebhook.Store) alotwebhook.Store { return lostNotReported{s} },
		[]string{"Lease/Fenced", "Finish/Twice", "Finish/TwiceInOneCall", "Endpoints/DeleteLeased", "Model/RandomWalk"},
	},
	"ClaimWithoutLease": {
		func(s alotwebhook.Store) alotwebhook.Store { return withoutLease{s} },
		[]string{"Lease/Hides", "Claim/Limit", "Concurrency/ClaimersShare"},
	},
	"StarvingClaim": {
		func(s alotwebhook.Store) alotwebhook.Store { return starving{s} },
		[]string{"Fairness/BigBacklog", "Fairness/ManyEndpoints", "Fairness/LateComer"},
	},
	"BusyIgnored": {
		func(s alotwebhook.Store) alotwebhook.Store { return busyIgnored{s} },
		[]string{"Claim/PerEndpoint", "Claim/BusyExcludes", "Fairness/BusyHidesNobody"},
	},
	"UnlistedIgnored": {
		func(s alotwebhook.Store) alotwebhook.Store { return unlistedIgnored{s} },
		[]string{"Claim/Unlisted"},
	},
	"WithheldIgnored": {
		func(s alotwebhook.Store) alotwebhook.Store { return withheldIgnored{s} },
		[]string{"Claim/Withheld"},
	},
	"NewestFirst": {
		func(s alotwebhook.Store) alotwebhook.Store { return newestFirst{s} },
		[]string{"Claim/OldestFirst"},
	},
	"NoNextIn": {
		func(s alotwebhook.Store) alotwebhook.Store { return noNextIn{s} },
		[]string{"Claim/NextIn", "Claim/NextInNotForDisabled"},
	},
	"TryNeverAnew": {
		func(s alotwebhook.Store) alotwebhook.Store { return tryNeverAnew{s} },
		[]string{"Redeliver/Finished", "Model/RandomWalk"},
	},
	"EnqueueDuplicates": {
		func(s alotwebhook.Store) alotwebhook.Store { return &duplicating{Store: s, seen: map[string]bool{}} },
		[]string{"Enqueue/SameIDAgain", "Enqueue/SameIDTwiceInOneCall", "Enqueue/SameIDConcurrently", "Enqueue/SameIDAfterDelivery"},
	},
	"PayloadReformatted": {
		func(s alotwebhook.Store) alotwebhook.Store { return reformatting{s} },
		[]string{"Enqueue/KeepsPayload"},
	},
	"HeldReleased": {
		func(s alotwebhook.Store) alotwebhook.Store { return forgetsHeld{s} },
		[]string{"Finish/Held"},
	},
	"BadTextDropped": {
		func(s alotwebhook.Store) alotwebhook.Store { return dropsBadText{s} },
		[]string{"Finish/KeepsEveryCharacter", "Finish/RefusesAsAWhole"},
	},
	"ReleaseCounts": {
		func(s alotwebhook.Store) alotwebhook.Store { return releaseCounts{s} },
		[]string{"Finish/Release", "Model/RandomWalk"},
	},
	"RetryAtOnce": {
		func(s alotwebhook.Store) alotwebhook.Store { return retryAtOnce{s} },
		[]string{"Finish/Retry", "Finish/RetryFallsDue", "Model/RandomWalk"},
	},
	"DisabledStillSent": {
		func(s alotwebhook.Store) alotwebhook.Store { return disabledStillSent{s} },
		[]string{"Enqueue/ParksForDisabled", "Claim/NotDisabled", "Endpoints/DisableParks"},
	},
	"LastWriterWins": {
		func(s alotwebhook.Store) alotwebhook.Store { return lastWriterWins{s} },
		[]string{"Endpoints/Conflict", "Endpoints/ConcurrentWriters"},
	},
	"AttemptsForgottenEarly": {
		func(s alotwebhook.Store) alotwebhook.Store { return forgetful{s} },
		[]string{"Finish/ForgetsOldAttempts"},
	},
	"IDsIgnored": {
		func(s alotwebhook.Store) alotwebhook.Store { return idsIgnored{s} },
		[]string{"Endpoints/ByID"},
	},
	"FailingSinceWrittenBack": {
		func(s alotwebhook.Store) alotwebhook.Store { return &writesFailingSince{Store: s} },
		[]string{"Endpoints/KeepsFailingSince"},
	},
	"FailingSinceNotCompared": {
		func(s alotwebhook.Store) alotwebhook.Store { return ignoresFailingSince{s} },
		[]string{"Endpoints/FailingSinceConflict"},
	},
	"SecretTrimmed": {
		func(s alotwebhook.Store) alotwebhook.Store { return secretTrimmed{s} },
		[]string{"Endpoints/KeepsAllFields"},
	},
	"PageHasGap": {
		func(s alotwebhook.Store) alotwebhook.Store { return pageHasGap{s} },
		[]string{"History/Pages", "History/PagesWhileAdding"},
	},
	"PageRepeats": {
		func(s alotwebhook.Store) alotwebhook.Store { return &pageRepeats{Store: s} },
		[]string{"History/Pages", "History/PagesWhileAdding"},
	},
	"RecoveryWithoutVersion": {
		func(s alotwebhook.Store) alotwebhook.Store { return recoveryWithoutVersion{s} },
		[]string{"Recoveries/Conflict", "Recoveries/ConcurrentWriters"},
	},
	"RecoveryInWholeSeconds": {
		func(s alotwebhook.Store) alotwebhook.Store { return recoveryInWholeSeconds{s} },
		[]string{"Recoveries/KeepsAllFields"},
	},
	"RecoveryStateIgnored": {
		func(s alotwebhook.Store) alotwebhook.Store { return recoveryStateIgnored{s} },
		[]string{"Recoveries/Filters"},
	},
	"RecoveryGoesWithEndpoint": {
		func(s alotwebhook.Store) alotwebhook.Store { return recoveryGoesWithEndpoint{s} },
		[]string{"Recoveries/OutlivesEndpoint", "Recoveries/Purge"},
	},
	"TallyReplaces": {
		func(s alotwebhook.Store) alotwebhook.Store {
			return &tallyReplaces{Store: s, Tallier: s.(alotwebhook.Tallier)}
		},
		[]string{"Tallies/AddUp", "Tallies/Concurrently"},
	},
	"TallySumsSlowest": {
		func(s alotwebhook.Store) alotwebhook.Store { return tallySumsSlowest{s, s.(alotwebhook.Tallier)} },
		[]string{"Tallies/AddUp", "Tallies/SameHourTwice"},
	},
	"TallySinceExclusive": {
		func(s alotwebhook.Store) alotwebhook.Store { return tallySinceExclusive{s, s.(alotwebhook.Tallier)} },
		[]string{"Tallies/Selects"},
	},
	"TalliesKept": {
		func(s alotwebhook.Store) alotwebhook.Store { return talliesKept{s, s.(alotwebhook.Tallier)} },
		[]string{"Tallies/Purge"},
	},
	"PageEndsEarly": {
		func(s alotwebhook.Store) alotwebhook.Store { return pageEndsEarly{s} },
		[]string{"History/Pages", "History/RareInMany"},
	},
	"PageShortWithoutCause": {
		func(s alotwebhook.Store) alotwebhook.Store { return pageShort{s} },
		[]string{"History/Pages"},
	},
	"PurgeTakesUnfinished": {
		func(s alotwebhook.Store) alotwebhook.Store { return purgeTakesUnfinished{s} },
		[]string{"Purge/Unfinished"},
	},
	"ParkedKept": {
		func(s alotwebhook.Store) alotwebhook.Store { return parkedKept{s} },
		[]string{"Purge/ExpiresLimit"},
	},
	"ExpiredForEver": {
		func(s alotwebhook.Store) alotwebhook.Store { return &expiredForEver{Store: s} },
		[]string{"Purge/Expires"},
	},
	"ExpiresAtOnce": {
		func(s alotwebhook.Store) alotwebhook.Store { return expiresAtOnce{s} },
		[]string{"Purge/ExpiresOnlyParked", "Purge/ExpiresFromDisabling", "Purge/ExpiresFromDue"},
	},
	"ExpiresWithoutLimit": {
		func(s alotwebhook.Store) alotwebhook.Store { return expiresWithoutLimit{s} },
		[]string{"Purge/ExpiresLimit"},
	},
	"DiscardsAll": {
		func(s alotwebhook.Store) alotwebhook.Store { return discardsAll{s} },
		[]string{"Endpoints/Discard"},
	},
	"DiscardsWaiting": {
		func(s alotwebhook.Store) alotwebhook.Store { return discardsEnabled{s} },
		[]string{"Endpoints/DiscardEnabled"},
	},
	"DiscardsLeased": {
		func(s alotwebhook.Store) alotwebhook.Store { return discardsLeased{s} },
		[]string{"Endpoints/DiscardLeased"},
	},
	"DisabledAtGiven": {
		func(s alotwebhook.Store) alotwebhook.Store { return &disabledAtGiven{Store: s} },
		[]string{"Endpoints/DisabledAt"},
	},
	"RedeliverCountsAll": {
		func(s alotwebhook.Store) alotwebhook.Store { return redeliverCountsAll{s} },
		[]string{"Redeliver/Leased", "Redeliver/EndpointGone", "Redeliver/PayloadGone"},
	},
}

// TestMutant runs the suite on a broken store. The tests below start it in a child process.
func TestMutant(t *testing.T) {
	name := os.Getenv(mutantVariable)
	if name == "" {
		t.Skip("TestMutantsAreFound runs this in a child process")
	}
	broken := mutants[name].broken
	storetest.Run(t, func(testing.TB) alotwebhook.Store {
		if broken == nil {
			return memory.New()
		}
		return broken(memory.New())
	})
}

func TestMutantsAreFound(t *testing.T) {
	t.Parallel()
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, rule := range m.found {
				out, err := runMutant(t, name, rule)
				exit := &exec.ExitError{}
				require.ErrorAs(t, err, &exit, "the suite passes a store that is broken: %s\n%s", rule, out)
				require.Contains(t, out, "--- FAIL: TestMutant/"+rule, "another rule failed")
				require.Contains(t, out, "the store breaks this rule of alotwebhook.Store: ", "a failure quotes the rule")
			}
		})
	}
}

func TestUnbrokenPasses(t *testing.T) {
	t.Parallel()
	out, err := runMutant(t, "none", "")
	require.NoError(t, err, out)
	require.Greater(t, strings.Count(out, "--- PASS: TestMutant/"), 100, "the whole suite was run")
}

// runMutant runs the test of one rule on a broken store, in a child process.
func runMutant(t *testing.T, name, rule string) (output string, err error) {
	t.Helper()
	pattern := "^TestMutant$"
	for part := range strings.SplitSeq(rule, "/") {
		if part != "" {
			pattern += "/^" + part + "$"
		}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+pattern, "-test.v", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), mutantVariable+"="+name)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
