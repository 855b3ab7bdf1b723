package storetest_test

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/storetest"
)

// mutantVariable names the environment variable that tells a child process which broken
// store to run the suite on.
const mutantVariable = "ALOTWEBHOOK_STORETEST_MUTANT"

// mutant is a store with one fault, and the rules whose tests must fail because of it.
type mutant struct {
	broken func(alotwebhook.Store) alotwebhook.Store
	found  []string
}

func init() {
	for _, more := range []map[string]mutant{
		operationMutants(), cancelMutants(), cancelRecordMutants(), unfinishedMutants(), endpointFilterMutants(), recoveryMutants(), pauseMutants(),
		backlogMutants(), countMutants(), subjectMutants(), subscriptionMutants(), eraseMutants(), eraseUnfinishedMutants(), removeMutants(), testMutants(), urlMutants(),
		feedMutants(), backfillMutants(), unstorableMutants(),
	} {
		maps.Copy(mutants, more)
	}
	maps.Copy(txMutants, txEraseMutants())
	txMutants["FeedByID"] = txMutant{feedByIDInTx, []string{"Tx/FeedLateCommit"}}
}

// mutants are all of them.
var mutants = map[string]mutant{
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
		[]string{"Lease/Fenced", "Finish/Twice", "Finish/TwiceInOneCall", "Endpoints/DeleteLeased", "Cancel/Leased", "Model/RandomWalk"},
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
		[]string{"Redeliver/Finished", "Cancel/Redelivered", "Model/RandomWalk"},
	},
	"EnqueueDuplicates": {
		func(s alotwebhook.Store) alotwebhook.Store { return &duplicating{Store: s, seen: map[string]bool{}} },
		[]string{"Enqueue/SameIDAgain", "Enqueue/SameIDTwiceInOneCall", "Enqueue/SameIDConcurrently", "Enqueue/SameIDAfterDelivery"},
	},
	"PayloadReformatted": {
		func(s alotwebhook.Store) alotwebhook.Store { return reformatting{s} },
		[]string{"Enqueue/KeepsPayload"},
	},
	"TraceLost": {
		func(s alotwebhook.Store) alotwebhook.Store { return traceLost{s} },
		[]string{"Enqueue/KeepsTraceParent", "Enqueue/TraceParentsOfMany"},
	},
	"TraceNotShown": {
		func(s alotwebhook.Store) alotwebhook.Store { return traceNotShown{s} },
		[]string{"Enqueue/KeepsTraceParent"},
	},
	"TraceLostToOne": {
		func(s alotwebhook.Store) alotwebhook.Store { return traceLostToOne{s} },
		[]string{"Enqueue/KeepsTraceParent"},
	},
	"TraceOfBatch": {
		func(s alotwebhook.Store) alotwebhook.Store { return traceOfBatch{s} },
		[]string{"Enqueue/TraceParentsOfMany"},
	},
	"TraceOfFirstAttempt": {
		func(s alotwebhook.Store) alotwebhook.Store { return traceOfAttempt{s} },
		[]string{"Enqueue/TraceParentStays"},
	},
	"TraceReplaced": {
		func(s alotwebhook.Store) alotwebhook.Store { return &traceReplaced{Store: s} },
		[]string{"Enqueue/TraceParentOfTheFirst"},
	},
	"FailingIsLate": {
		func(s alotwebhook.Store) alotwebhook.Store { return failingIsLate{s} },
		[]string{"Stats/OldestDueFailing"},
	},
	"FailingWithDisabled": {
		func(s alotwebhook.Store) alotwebhook.Store { return failingWithDisabled{s} },
		[]string{"Stats/CountsEndpoints"},
	},
	"DisabledIfParked": {
		func(s alotwebhook.Store) alotwebhook.Store { return disabledIfParked{s} },
		[]string{"Stats/CountsEndpoints"},
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
	"CredentialsTrimmed": {
		func(s alotwebhook.Store) alotwebhook.Store { return credentialsTrimmed{s} },
		[]string{"Endpoints/KeepsAllFields", "Claim/CarriesAll"},
	},
	"CredentialsStay": {
		func(s alotwebhook.Store) alotwebhook.Store { return &credentialsStay{Store: s} },
		[]string{"Endpoints/Credentials"},
	},
	"CredentialsOfAll": {
		func(s alotwebhook.Store) alotwebhook.Store { return &credentialsOfAll{Store: s} },
		[]string{"Endpoints/Replaces"},
	},
	"CredentialsCut": {
		func(s alotwebhook.Store) alotwebhook.Store { return cutting{Store: s, credentials: 65_535} },
		[]string{"Texts/Longest"},
	},
	"PageHasGap": {
		func(s alotwebhook.Store) alotwebhook.Store { return pageHasGap{s} },
		[]string{"History/Pages", "History/PagesWhileAdding"},
	},
	"PageRepeats": {
		func(s alotwebhook.Store) alotwebhook.Store { return &pageRepeats{Store: s} },
		[]string{"History/Pages", "History/PagesWhileAdding"},
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
		func(s alotwebhook.Store) alotwebhook.Store {
			return &reasonForEver{Store: s, reason: alotwebhook.ReasonExpired}
		},
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
	"DiscardsBelowZero": {
		func(s alotwebhook.Store) alotwebhook.Store { return takesBelowZero{s} },
		[]string{"Endpoints/DiscardLimit", "Claim/NoLimit"},
	},
	"PurgesNothingBelowZero": {
		func(s alotwebhook.Store) alotwebhook.Store { return purgesNothing{s} },
		[]string{"Purge/NoLimit"},
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
		[]string{"Redeliver/Leased", "Redeliver/EndpointGone", "Redeliver/PayloadGone", "Redeliver/Due", "Redeliver/Twice", "Erase/Redeliver"},
	},
	"CountedTwice": {
		func(s alotwebhook.Store) alotwebhook.Store { return redeliverTwiceInBatch{s} },
		[]string{"Redeliver/OnceEach"},
	},
	"CaseFolded": {
		func(s alotwebhook.Store) alotwebhook.Store { return folding{Store: s, organization: strings.ToLower} },
		[]string{"Texts/OrganizationsDiffer"},
	},
	"AccentsFolded": {
		func(s alotwebhook.Store) alotwebhook.Store { return folding{Store: s, organization: withoutAccents} },
		[]string{"Texts/OrganizationsDiffer"},
	},
	"BlanksFolded": {
		func(s alotwebhook.Store) alotwebhook.Store { return folding{Store: s, organization: withoutBlanks} },
		[]string{"Texts/OrganizationsDiffer"},
	},
	"FilterFolded": {
		func(s alotwebhook.Store) alotwebhook.Store { return foldingFilter{s} },
		[]string{"Texts/OrganizationsDiffer"},
	},
	"TypesFolded": {
		func(s alotwebhook.Store) alotwebhook.Store { return folding{Store: s, eventType: strings.ToLower} },
		[]string{"Texts/TypesDiffer"},
	},
	"BlanksOfTypesFolded": {
		func(s alotwebhook.Store) alotwebhook.Store { return folding{Store: s, eventType: withoutBlanks} },
		[]string{"Texts/TypesDiffer"},
	},
	"IDsFolded": {
		func(s alotwebhook.Store) alotwebhook.Store { return foldingIDs{s} },
		[]string{"Texts/IDsDiffer"},
	},
	"BlanksOfIDsFolded": {
		func(s alotwebhook.Store) alotwebhook.Store { return foldingIDsOnDelete{s} },
		[]string{"Texts/IDsDiffer"},
	},
	"TextsJoined": {
		func(s alotwebhook.Store) alotwebhook.Store { return joining{s} },
		[]string{"Texts/PutTogether"},
	},
	"OrganizationCut": {
		func(s alotwebhook.Store) alotwebhook.Store { return cutting{Store: s, organization: 250} },
		[]string{"Texts/Longest"},
	},
	"URLCut": {
		func(s alotwebhook.Store) alotwebhook.Store { return cutting{Store: s, url: 2047} },
		[]string{"Texts/Longest"},
	},
	"SecretCut": {
		func(s alotwebhook.Store) alotwebhook.Store { return cutting{Store: s, secret: 255} },
		[]string{"Texts/Longest"},
	},
	"NextSecretCut": {
		func(s alotwebhook.Store) alotwebhook.Store { return cutting{Store: s, nextSecret: 1023} },
		[]string{"Texts/Longest"},
	},
	"DescriptionCut": {
		func(s alotwebhook.Store) alotwebhook.Store { return cutting{Store: s, description: 255} },
		[]string{"Texts/Longest"},
	},
	"OrderIgnored": {
		func(s alotwebhook.Store) alotwebhook.Store { return newOrderOfProcess(s, 1000) },
		[]string{"Ordered/OneAtATime", "Ordered/Retry", "Ordered/WaitsFor"},
	},
	"OrderByLeases": {
		func(s alotwebhook.Store) alotwebhook.Store { return newOrderOfProcess(s, 1) },
		[]string{"Ordered/Retry", "Ordered/LeaseEnds", "Ordered/Release"},
	},
	"PlaceLostByRetry": {
		func(s alotwebhook.Store) alotwebhook.Store {
			return holdsUp{s, func(o *alotwebhook.Outcome) bool { return o.Attempt.Number != 0 }, 0}
		},
		[]string{"Ordered/Retry", "Ordered/Redelivered"},
	},
	"PlaceLostByRelease": {
		func(s alotwebhook.Store) alotwebhook.Store {
			return holdsUp{s, func(o *alotwebhook.Outcome) bool { return o.Attempt.Number == 0 && !o.Held }, 0}
		},
		[]string{"Ordered/Release", "Ordered/GivenAway"},
	},
	"PlaceLostByHeld": {
		func(s alotwebhook.Store) alotwebhook.Store {
			return holdsUp{s, func(o *alotwebhook.Outcome) bool { return o.Held }, 0}
		},
		[]string{"Ordered/Held"},
	},
	"PlaceForEver": {
		func(s alotwebhook.Store) alotwebhook.Store {
			return holdsUp{s, func(*alotwebhook.Outcome) bool { return true }, 1000 * time.Hour}
		},
		[]string{"Ordered/Overtaken", "Ordered/HoldsUpInAll"},
	},
	"HoldsUpFromTheLast": {
		func(s alotwebhook.Store) alotwebhook.Store {
			return holdsUp{s, func(o *alotwebhook.Outcome) bool { return o.NextAttemptIn <= o.HoldsUp }, 1000 * time.Hour}
		},
		[]string{"Ordered/HoldsUpInAll"},
	},
	"HoldsUpAgain": {
		func(s alotwebhook.Store) alotwebhook.Store {
			return &holdsUpAgain{Store: s, until: map[string]time.Time{}}
		},
		[]string{"Ordered/OvertakenOnce"},
	},
	"BatchReversed": {
		func(s alotwebhook.Store) alotwebhook.Store { return batchReversed{s} },
		[]string{"Ordered/Batch"},
	},
	"ParkedAnew": {
		func(s alotwebhook.Store) alotwebhook.Store { return parkedAnew{s} },
		[]string{"Ordered/Parked"},
	},
	"GivesLeasesAway": {
		func(s alotwebhook.Store) alotwebhook.Store { return &givesLeasesAway{Store: s} },
		[]string{"Ordered/GivenAway"},
	},
	"OrderedForGood": {
		func(s alotwebhook.Store) alotwebhook.Store { return orderedForGood{s} },
		[]string{"Ordered/SwitchedOff", "Ordered/WaitsFor"},
	},
	"WaitsForNothing": {
		func(s alotwebhook.Store) alotwebhook.Store { return waitsForNothing{s} },
		[]string{"Ordered/WaitsFor"},
	},
	"RateInWhole": {
		func(s alotwebhook.Store) alotwebhook.Store { return rateInWhole{s} },
		[]string{"Endpoints/KeepsAllFields"},
	},
	"TypeCut": {
		func(s alotwebhook.Store) alotwebhook.Store { return cutting{Store: s, eventType: 127} },
		[]string{"Texts/Longest"},
	},
	"DetailCut": {
		func(s alotwebhook.Store) alotwebhook.Store { return cutting{Store: s, detail: 255} },
		[]string{"Texts/Longest", "Finish/KeepsAttempts"},
	},
	"GoodEventsStored": {
		func(s alotwebhook.Store) alotwebhook.Store { return storesTheGood{s} },
		[]string{"Texts/RefusesAsAWhole"},
	},
	"OneByOne": {
		func(s alotwebhook.Store) alotwebhook.Store { return oneByOne{s} },
		[]string{"Concurrency/EnqueueCutShort", "Concurrency/FinishCutShort", "Concurrency/RedeliverCutShort", "Concurrency/CancelCutShort"},
	},
	"TalliesOneByOne": {
		func(s alotwebhook.Store) alotwebhook.Store { return talliesOneByOne{s, s.(alotwebhook.Tallier)} },
		[]string{"Tallies/CutShort"},
	},
	"SubscriptionsReadFirst": {
		func(s alotwebhook.Store) alotwebhook.Store { return &subscriptionsReadFirst{Store: s} },
		[]string{"Concurrency/EnqueueWhileDeleting"},
	},
	"RedeliverReadsFirst": {
		func(s alotwebhook.Store) alotwebhook.Store { return &redeliverReadsFirst{Store: s} },
		[]string{"Concurrency/RedeliverBesideClaims"},
	},
	"ErasesUnderWay": {
		func(s alotwebhook.Store) alotwebhook.Store { return &erasesUnderWay{Store: s} },
		[]string{"Concurrency/PurgeBesideWork"},
	},
	"PurgeStuck": {
		func(s alotwebhook.Store) alotwebhook.Store { return purgeStuck{s} },
		[]string{"Purge/PastWhatStays"},
	},
	"PurgeFromFirstEnd": {
		func(s alotwebhook.Store) alotwebhook.Store {
			return &purgeFromFirstEnd{Store: s, first: map[string]time.Time{}}
		},
		[]string{"Purge/FromTheLastEnd"},
	},
	"TokensForgotten": {
		func(s alotwebhook.Store) alotwebhook.Store {
			return &countsTokens{Store: s, last: map[string]int64{}, real: map[string]int64{}}
		},
		[]string{"Purge/ForgetsID"},
	},
	"DisabledNotTested": {
		func(s alotwebhook.Store) alotwebhook.Store { return disabledNotTested{s} },
		[]string{"Enqueue/ToDisabledEndpoint"},
	},
	"StoredEventResent": {
		func(s alotwebhook.Store) alotwebhook.Store { return resends{s} },
		[]string{"Enqueue/ToStoredEvent", "Enqueue/ToOneEndpoint"},
	},
	"StoredEventRefused": {
		func(s alotwebhook.Store) alotwebhook.Store { return refusesStored{s} },
		[]string{"Enqueue/ToStoredEvent"},
	},
	"ReleaseKeepsPlace": {
		func(s alotwebhook.Store) alotwebhook.Store { return &releaseKeepsPlace{Store: s} },
		[]string{"Finish/ReleaseGoesBehind"},
	},
	"ReasonDropped": {
		func(s alotwebhook.Store) alotwebhook.Store { return reasonDropped{s} },
		[]string{"Finish/ReasonWithoutAttempt"},
	},
	"SuccessByReason": {
		func(s alotwebhook.Store) alotwebhook.Store { return &successByReason{Store: s} },
		[]string{"Finish/SuccessByState"},
	},
	"StatusGoesWithEndpoint": {
		func(s alotwebhook.Store) alotwebhook.Store { return statusGoesWithEndpoint{s} },
		[]string{"Endpoints/DeleteFails"},
	},
	"ExactTimestamp": {
		func(s alotwebhook.Store) alotwebhook.Store {
			return exactTimestamp{s, map[string]time.Time{}}
		},
		[]string{"History/EventTimestamp"},
	},
	"LocalTimes": {
		func(s alotwebhook.Store) alotwebhook.Store { return localTimes{s} },
		[]string{"History/UTC"},
	},
	"UntilRoundedUp": {
		func(s alotwebhook.Store) alotwebhook.Store { return untilRoundedUp{s} },
		[]string{"History/SinceUntilCut"},
	},
	"Bare": {func(s alotwebhook.Store) alotwebhook.Store { return bare{s} }, nil},
	"WrapsBroken": {
		func(s alotwebhook.Store) alotwebhook.Store {
			return wrapper{s, pauseMutants()["PausesReversed"].broken(s)}
		},
		[]string{"Pauses/Order"},
	},
	"TenDefects": {
		tenDefects,
		[]string{
			"Texts/OrganizationsDiffer", "Texts/Longest", "Texts/RefusesAsAWhole", "Concurrency/EnqueueCutShort", "Concurrency/FinishCutShort",
			"Concurrency/EnqueueWhileDeleting", "Concurrency/RedeliverBesideClaims", "Purge/PastWhatStays",
		},
	},
}

// TestMutant runs the suite on a broken store. The tests below start it in a child process.
func TestMutant(t *testing.T) {
	name := mutantOfChild(t)
	broken := mutants[name].broken
	storetest.Run(t, func(testing.TB) alotwebhook.Store {
		if broken == nil {
			return memory.New()
		}
		return broken(memory.New())
	})
}

// TestSharedMutant is TestMutant for several values.
func TestSharedMutant(t *testing.T) {
	m := sharedMutants[mutantOfChild(t)]
	storetest.RunShared(t, func(testing.TB) []alotwebhook.Store {
		if m.open == nil {
			return values(3, func(of alotwebhook.Store) alotwebhook.Store { return of })
		}
		return m.open()
	})
}

// TestTxMutant is TestMutant for a host's transactions.
func TestTxMutant(t *testing.T) {
	m := txMutants[mutantOfChild(t)]
	storetest.RunTx(t, func(testing.TB) storetest.Host {
		if m.host == nil {
			return host(memory.New(), nil)
		}
		return m.host()
	})
}

// mutantOfChild returns the name of the broken store that this process is to test.
func mutantOfChild(t *testing.T) string {
	t.Helper()
	name := os.Getenv(mutantVariable)
	if name == "" {
		t.Skip("TestMutantsAreFound runs this in a child process")
	}
	return name
}

func TestMutantsAreFound(t *testing.T) {
	t.Parallel()
	for name, m := range mutants {
		requireFound(t, "TestMutant", name, m.found)
	}
	for name, m := range sharedMutants {
		requireFound(t, "TestSharedMutant", name, m.found)
	}
	for name, m := range txMutants {
		requireFound(t, "TestTxMutant", name, m.found)
	}
}

// requireFound requires that the tests of these rules fail on a broken store.
func requireFound(t *testing.T, test, name string, rules []string) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		for _, rule := range rules {
			out, err := runMutant(t, test, name, rule)
			exit := &exec.ExitError{}
			require.ErrorAs(t, err, &exit, "the suite passes a store that is broken: %s\n%s", rule, out)
			require.Contains(t, out, "--- FAIL: "+test+"/"+rule, "another rule failed")
			require.Contains(t, out, "the store breaks this rule of alotwebhook.Store: ", "a failure quotes the rule")
			require.NotContains(t, out, "panic: ", "a failure is no crash")
		}
	})
}

func TestUnbrokenPasses(t *testing.T) {
	t.Parallel()
	for test, rules := range map[string]int{"TestMutant": 150, "TestSharedMutant": 150, "TestTxMutant": 24} {
		t.Run(test, func(t *testing.T) {
			t.Parallel()
			out, err := runMutant(t, test, "none", "")
			require.NoError(t, err, out)
			require.GreaterOrEqual(t, strings.Count(out, "--- PASS: "+test+"/"), rules, "the whole suite was run")
		})
	}
}

func TestCapabilitiesAreOptional(t *testing.T) {
	t.Parallel()
	for _, topic := range []string{"Tallies", "Pauses", "Survey", "Feed", "Backfill"} {
		out, err := runMutant(t, "TestMutant", "Bare", topic)
		require.NoError(t, err, out)
		require.Contains(t, out, "which is optional")
		require.NotContains(t, out, "--- PASS: TestMutant/"+topic+"/")
	}
}

// runMutant runs the test of one rule on a broken store, in a child process. A store that
// holds up its callers, or never gives what they wait for, is given up after half of its time.
func runMutant(t *testing.T, test, name, rule string) (output string, err error) {
	t.Helper()
	pattern := "^" + test + "$"
	for part := range strings.SplitSeq(rule, "/") {
		if part != "" {
			pattern += "/^" + part + "$"
		}
	}
	timeout := "10m"
	if slices.Contains([]string{"HoldsUpClaims", "EraseHoldsUpClaims", "OperationsOnce", "OperationAlwaysHandled", "CanceledKept", "ErasedKept", "ErasedPurgedAtOnce"}, name) {
		timeout = "1m"
	}
	if strings.HasPrefix(name, "Feed") { // many of these wait for what never comes
		timeout = "15s"
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+pattern, "-test.v", "-test.timeout="+timeout)
	cmd.Env = append(os.Environ(), mutantVariable+"="+name)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func BenchmarkStore(b *testing.B) {
	open := func(testing.TB) alotwebhook.Store { return memory.New() }
	b.Run("Claim", func(b *testing.B) { storetest.BenchmarkClaim(b, open) })
	b.Run("Deliver", func(b *testing.B) { storetest.BenchmarkDeliver(b, open) })
}

// Nobody would notice a benchmark that fails: tests run none.
func TestBenchmarksRun(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$", "-test.bench=^BenchmarkStore$", "-test.benchtime=20x")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Regexp(t, `(?m)^BenchmarkStore/Claim/parked/20000\S*\s+20\s`, string(out))
	require.Regexp(t, `(?m)^BenchmarkStore/Deliver/raw\S*\s+20\s.* deliveries/s$`, string(out))
	require.Regexp(t, `(?m)^BenchmarkStore/Deliver/1000_endpoints\S*\s+20\s.* deliveries/s$`, string(out))
}
