package storetest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/storetest"
)

// mutantVariable tells a re-executed test binary which broken store to run the suite on.
const mutantVariable = "ALOTWEBHOOK_STORETEST_MUTANT"

// mutants are stores that are broken in one way each, and the rules that must
// find it out.
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
	"RedeliverCountsAll": {
		func(s alotwebhook.Store) alotwebhook.Store { return redeliverCountsAll{s} },
		[]string{"Redeliver/Leased", "Redeliver/EndpointGone", "Redeliver/PayloadGone"},
	},
}

// TestMutant runs the suite on the broken store that the environment names. By
// itself it is skipped: TestMutantsAreFound runs it.
func TestMutant(t *testing.T) {
	name := os.Getenv(mutantVariable)
	if name == "" {
		t.Skip("run by TestMutantsAreFound")
	}
	broken := mutants[name].broken
	storetest.Run(t, func(testing.TB) alotwebhook.Store {
		if broken == nil {
			return alotwebhook.NewMemoryStore()
		}
		return broken(alotwebhook.NewMemoryStore())
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
				require.Contains(t, out, "--- FAIL: TestMutant/"+rule, "the suite failed elsewhere")
				require.Contains(t, out, "the rule of alotwebhook.Store that is broken: ", "a failure quotes the rule")
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

// runMutant runs one rule on a broken store in a process of its own.
func runMutant(t *testing.T, name, rule string) (output string, err error) {
	t.Helper()
	pattern := "^TestMutant$"
	for part := range strings.SplitSeq(rule, "/") {
		if part != "" {
			pattern += "/^" + part + "$"
		}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+pattern, "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), mutantVariable+"="+name)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

type ackBeforeSend struct{ alotwebhook.Store }

func (s ackBeforeSend) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	for _, d := range r.Deliveries {
		_, err = s.Store.Finish(ctx, []alotwebhook.Outcome{{DeliveryID: d.DeliveryID, Lease: d.Lease, State: alotwebhook.StateDelivered}})
	}
	return r, err
}

func (s ackBeforeSend) Finish(context.Context, []alotwebhook.Outcome) ([]string, error) {
	return nil, nil
}

// withoutFence takes any token for the newest.
type withoutFence struct {
	alotwebhook.Store
	newest sync.Map
}

func (s *withoutFence) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	for _, d := range r.Deliveries {
		s.newest.Store(d.DeliveryID, d.Lease)
	}
	return r, err
}

func (s *withoutFence) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	outcomes = slices.Clone(outcomes)
	for i, o := range outcomes {
		if lease, ok := s.newest.Load(o.DeliveryID); ok {
			outcomes[i].Lease = lease.(int64)
		}
	}
	return s.Store.Finish(ctx, outcomes)
}

type lostNotReported struct{ alotwebhook.Store }

func (s lostNotReported) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	_, err := s.Store.Finish(ctx, outcomes)
	return nil, err
}

type withoutLease struct{ alotwebhook.Store }

func (s withoutLease) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	c.Lease = time.Nanosecond
	return s.Store.Claim(ctx, c)
}

// starving serves the endpoints in the order of their ids, each to its end.
type starving struct{ alotwebhook.Store }

func (s starving) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	all, _, err := s.Endpoints(ctx, alotwebhook.EndpointFilter{Limit: 1000})
	var sum alotwebhook.ClaimResult
	for _, e := range all {
		if len(sum.Deliveries) == c.Limit || err != nil {
			break
		}
		one := c
		one.Limit = c.Limit - len(sum.Deliveries)
		one.Busy = map[string]int{}
		for _, other := range all {
			one.Busy[other.ID] = c.PerEndpoint
		}
		one.Busy[e.ID] = c.Busy[e.ID]
		var r alotwebhook.ClaimResult
		r, err = s.Store.Claim(ctx, one)
		sum.Deliveries = append(sum.Deliveries, r.Deliveries...)
		sum.NextIn = r.NextIn
	}
	return sum, err
}

type busyIgnored struct{ alotwebhook.Store }

func (s busyIgnored) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	c.Busy = nil
	return s.Store.Claim(ctx, c)
}

type newestFirst struct{ alotwebhook.Store }

func (s newestFirst) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	slices.Reverse(r.Deliveries)
	return r, err
}

type noNextIn struct{ alotwebhook.Store }

func (s noNextIn) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	r.NextIn = 0
	return r, err
}

type tryNeverAnew struct{ alotwebhook.Store }

func (s tryNeverAnew) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	for i := range r.Deliveries {
		r.Deliveries[i].Try = r.Deliveries[i].Attempt
	}
	return r, err
}

// duplicating stores an event again under another id.
type duplicating struct {
	alotwebhook.Store
	mu   sync.Mutex
	seen map[string]bool
}

func (s *duplicating) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, event := range events {
		if s.seen[event.ID] {
			again, err := alotwebhook.NewEvent(event.Type, event.OrganizationID, event.Data)
			if err != nil {
				return err
			}
			event.ID = again.ID
		}
		s.seen[event.ID] = true
		if err := s.Store.Enqueue(ctx, []alotwebhook.Event{event}); err != nil {
			return err
		}
	}
	return nil
}

// reformatting keeps payloads as a JSON column does.
type reformatting struct{ alotwebhook.Store }

func (s reformatting) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	for i := range r.Deliveries {
		var compact bytes.Buffer
		err = errors.Join(err, json.Compact(&compact, r.Deliveries[i].Payload))
		r.Deliveries[i].Payload = compact.Bytes()
	}
	return r, err
}

type releaseCounts struct{ alotwebhook.Store }

func (s releaseCounts) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	outcomes = slices.Clone(outcomes)
	for i := range outcomes {
		if o := &outcomes[i]; o.Attempt.Number == 0 {
			o.Attempt = alotwebhook.Attempt{Number: 1, StartedAt: time.Now(), Reason: alotwebhook.ReasonNetwork}
		}
	}
	return s.Store.Finish(ctx, outcomes)
}

type retryAtOnce struct{ alotwebhook.Store }

func (s retryAtOnce) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	outcomes = slices.Clone(outcomes)
	for i := range outcomes {
		outcomes[i].NextAttemptIn = 0
	}
	return s.Store.Finish(ctx, outcomes)
}

type disabledStillSent struct{ alotwebhook.Store }

func (s disabledStillSent) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint) error {
	e.Disabled = false
	return s.Store.PutEndpoint(ctx, e)
}

type lastWriterWins struct{ alotwebhook.Store }

func (s lastWriterWins) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint) error {
	err := s.Store.PutEndpoint(ctx, e)
	for errors.Is(err, alotwebhook.ErrConflict) {
		stored, readErr := s.Endpoint(ctx, e.ID)
		if readErr != nil {
			return fmt.Errorf("reading it again: %w", readErr)
		}
		e.Version = stored.Version
		err = s.Store.PutEndpoint(ctx, e)
	}
	return err
}

type secretTrimmed struct{ alotwebhook.Store }

func (s secretTrimmed) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint) error {
	e.Secret = alotwebhook.Secret(strings.TrimSpace(string(e.Secret)))
	e.NextSecret = alotwebhook.Secret(strings.TrimSpace(string(e.NextSecret)))
	return s.Store.PutEndpoint(ctx, e)
}

// pageHasGap gives the cursor of one row too far.
type pageHasGap struct{ alotwebhook.Store }

func (s pageHasGap) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	page, next, err := s.Store.Deliveries(ctx, f)
	if next == "" {
		return page, next, err
	}
	f.Cursor, f.Limit = next, 1
	skipped, _, err := s.Store.Deliveries(ctx, f)
	return page, skipped[0].ID, err
}

// pageRepeats pages by offset while rows come in.
type pageRepeats struct{ alotwebhook.Store }

func (s *pageRepeats) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	offset := 0
	_, _ = fmt.Sscan(f.Cursor, &offset)
	limit := f.Limit
	f.Cursor, f.Limit = "", 100_000
	all, _, err := s.Store.Deliveries(ctx, f)
	all = all[min(offset, len(all)):]
	if len(all) <= limit {
		return all, "", err
	}
	return all[:limit], fmt.Sprint(offset + limit), err
}

type purgeTakesUnfinished struct{ alotwebhook.Store }

func (s purgeTakesUnfinished) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	r, err := s.Store.Claim(ctx, alotwebhook.ClaimRequest{Limit: 1000, PerEndpoint: 1000, Lease: time.Minute})
	for _, d := range r.Deliveries {
		_, err = s.Store.Finish(ctx, []alotwebhook.Outcome{{DeliveryID: d.DeliveryID, Lease: d.Lease, State: alotwebhook.StateFailed}})
	}
	if err != nil {
		return alotwebhook.PurgeResult{}, err
	}
	return s.Store.Purge(ctx, p)
}

type redeliverCountsAll struct{ alotwebhook.Store }

func (s redeliverCountsAll) Redeliver(ctx context.Context, ids []string) (int, error) {
	_, err := s.Store.Redeliver(ctx, ids)
	return len(ids), err
}

// recoveryWithoutVersion lets the last writer win.
type recoveryWithoutVersion struct{ alotwebhook.Store }

func (s recoveryWithoutVersion) PutRecovery(ctx context.Context, r alotwebhook.Recovery) error {
	err := s.Store.PutRecovery(ctx, r)
	for errors.Is(err, alotwebhook.ErrConflict) {
		stored, _, readErr := s.Recoveries(ctx, alotwebhook.RecoveryFilter{EndpointID: r.EndpointID})
		if readErr != nil {
			return readErr
		}
		if r.Version = 0; len(stored) > 0 {
			r.Version = stored[0].Version
		}
		err = s.Store.PutRecovery(ctx, r)
	}
	return err
}

type recoveryInWholeSeconds struct{ alotwebhook.Store }

func (s recoveryInWholeSeconds) PutRecovery(ctx context.Context, r alotwebhook.Recovery) error {
	r.Until = r.Until.Truncate(time.Second)
	return s.Store.PutRecovery(ctx, r)
}

type recoveryStateIgnored struct{ alotwebhook.Store }

func (s recoveryStateIgnored) Recoveries(ctx context.Context, f alotwebhook.RecoveryFilter) ([]alotwebhook.Recovery, string, error) {
	f.State = ""
	return s.Store.Recoveries(ctx, f)
}

type recoveryGoesWithEndpoint struct{ alotwebhook.Store }

func (s recoveryGoesWithEndpoint) Recoveries(ctx context.Context, f alotwebhook.RecoveryFilter) ([]alotwebhook.Recovery, string, error) {
	page, next, err := s.Store.Recoveries(ctx, f)
	return slices.DeleteFunc(page, func(r alotwebhook.Recovery) bool {
		_, err := s.Endpoint(ctx, r.EndpointID)
		return errors.Is(err, alotwebhook.ErrNotFound)
	}), next, err
}

// tallyReplaces keeps what was added last.
type tallyReplaces struct {
	alotwebhook.Store
	alotwebhook.Tallier
	mu   sync.Mutex
	last []alotwebhook.Tally
}

func (s *tallyReplaces) AddTallies(_ context.Context, tallies []alotwebhook.Tally) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = slices.Clone(tallies)
	return nil
}

func (s *tallyReplaces) Tallies(context.Context, []string, time.Time) ([]alotwebhook.Tally, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.last), nil
}

// tallySumsSlowest takes the slowest for one more sum.
type tallySumsSlowest struct {
	alotwebhook.Store
	alotwebhook.Tallier
}

func (s tallySumsSlowest) Tallies(ctx context.Context, endpointIDs []string, since time.Time) ([]alotwebhook.Tally, error) {
	list, err := s.Tallier.Tallies(ctx, endpointIDs, since)
	for i := range list {
		list[i].Slowest = list[i].Duration
	}
	return list, err
}

type tallySinceExclusive struct {
	alotwebhook.Store
	alotwebhook.Tallier
}

func (s tallySinceExclusive) Tallies(ctx context.Context, endpointIDs []string, since time.Time) ([]alotwebhook.Tally, error) {
	return s.Tallier.Tallies(ctx, endpointIDs, since.Add(1))
}

type talliesKept struct {
	alotwebhook.Store
	alotwebhook.Tallier
}

func (s talliesKept) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	p.Tallies = 0
	return s.Store.Purge(ctx, p)
}

// pageEndsEarly gives no cursor with a page that is not full.
type pageEndsEarly struct{ alotwebhook.Store }

func (s pageEndsEarly) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	page, next, err := s.Store.Deliveries(ctx, f)
	if len(page) < f.Limit || f.Limit == 1 {
		next = ""
	}
	return page, next, err
}

// pageShort gives half a page at a time, for no reason.
type pageShort struct{ alotwebhook.Store }

func (s pageShort) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	f.Limit = max(f.Limit/2, 1)
	return s.Store.Deliveries(ctx, f)
}
