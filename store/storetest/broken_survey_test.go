package storetest_test

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
)

// brokenSurveyor has surveys with a fault. What it leaves out is as it should be.
type brokenSurveyor struct {
	alotwebhook.Store
	alotwebhook.Tallier
	alotwebhook.Surveyor
	backlogs  func(ctx context.Context, s *brokenSurveyor, all []alotwebhook.Backlog, limit int) []alotwebhook.Backlog // all are in order
	totals    func(all []alotwebhook.Tally) []alotwebhook.Tally
	processes []alotwebhook.Process
	recovery  func(*alotwebhook.Recovery)
	count     func(ctx context.Context, s *brokenSurveyor, r alotwebhook.Recovery, c *alotwebhook.Count)
	since     time.Duration // is added to since of Totals
	endless   bool          // a context that has ended does not matter
}

func (s *brokenSurveyor) Backlogs(ctx context.Context, limit int) ([]alotwebhook.Backlog, error) {
	if s.backlogs == nil {
		return s.Surveyor.Backlogs(ctx, limit)
	}
	all, err := s.Surveyor.Backlogs(ctx, many)
	all = s.backlogs(ctx, s, all, limit)
	return all[:min(len(all), limit)], err
}

func (s *brokenSurveyor) Totals(ctx context.Context, since time.Time) ([]alotwebhook.Tally, error) {
	all, err := s.Surveyor.Totals(ctx, since.Add(s.since))
	if s.totals != nil {
		all = s.totals(all)
	}
	return all, err
}

func (s *brokenSurveyor) Processes(ctx context.Context) ([]alotwebhook.Process, error) {
	return s.processes, ctx.Err()
}

func (s *brokenSurveyor) Count(ctx context.Context, r alotwebhook.Recovery) (alotwebhook.Count, error) {
	if s.endless {
		ctx = context.WithoutCancel(ctx)
	}
	asked := r
	if s.recovery != nil {
		s.recovery(&r)
	}
	c, err := s.Surveyor.Count(ctx, r)
	if s.count != nil {
		s.count(ctx, s, asked, &c)
	}
	return c, err
}

// surveys returns a store with that fault in its surveys, and the rules that find it.
func surveys(fault func(*brokenSurveyor), found ...string) mutant {
	return mutant{func(s alotwebhook.Store) alotwebhook.Store {
		broken := &brokenSurveyor{Store: s, Tallier: s.(alotwebhook.Tallier), Surveyor: s.(alotwebhook.Surveyor)}
		fault(broken)
		return broken
	}, found}
}

// backlogsSorted sorts the backlogs in another way.
func backlogsSorted(order func(a, b alotwebhook.Backlog) int) func(*brokenSurveyor) {
	return func(s *brokenSurveyor) {
		s.backlogs = func(_ context.Context, _ *brokenSurveyor, all []alotwebhook.Backlog, _ int) []alotwebhook.Backlog {
			slices.SortStableFunc(all, order)
			return all
		}
	}
}

// eachBacklog changes each backlog.
func eachBacklog(change func(*alotwebhook.Backlog)) func(*brokenSurveyor) {
	return func(s *brokenSurveyor) {
		s.backlogs = func(_ context.Context, _ *brokenSurveyor, all []alotwebhook.Backlog, _ int) []alotwebhook.Backlog {
			for i := range all {
				change(&all[i])
			}
			return all
		}
	}
}

// backlogsWithIdle also lists organizations that have nothing to get.
func backlogsWithIdle(ctx context.Context, s *brokenSurveyor, all []alotwebhook.Backlog, _ int) []alotwebhook.Backlog {
	endpoints, _, _ := s.Endpoints(ctx, alotwebhook.EndpointFilter{})
	for _, e := range endpoints {
		if !slices.ContainsFunc(all, func(b alotwebhook.Backlog) bool { return b.OrganizationID == e.OrganizationID }) {
			all = append(all, alotwebhook.Backlog{OrganizationID: e.OrganizationID})
		}
	}
	return all
}

// backlogsFolded takes organizations for the same that differ in case.
func backlogsFolded(_ context.Context, _ *brokenSurveyor, all []alotwebhook.Backlog, _ int) (folded []alotwebhook.Backlog) {
	for _, b := range all {
		i := slices.IndexFunc(folded, func(other alotwebhook.Backlog) bool { return strings.EqualFold(b.OrganizationID, other.OrganizationID) })
		if i < 0 {
			folded = append(folded, b)
			continue
		}
		folded[i].Pending, folded[i].Due = folded[i].Pending+b.Pending, folded[i].Due+b.Due
	}
	return folded
}

// backlogsWithoutFailing leaves out of OldestDue what is due to endpoints that are failing.
func backlogsWithoutFailing(ctx context.Context, s *brokenSurveyor, all []alotwebhook.Backlog, _ int) []alotwebhook.Backlog {
	st, _ := s.Stats(ctx)
	for i := range all {
		all[i].OldestDue = min(all[i].OldestDue, st.OldestDue)
	}
	return all
}

// backlogMutants are stores with a fault in what a survey shows.
func backlogMutants() map[string]mutant {
	list := func(backlogs func(context.Context, *brokenSurveyor, []alotwebhook.Backlog, int) []alotwebhook.Backlog, found ...string) mutant {
		return surveys(func(s *brokenSurveyor) { s.backlogs = backlogs }, found...)
	}
	totals := func(change func([]alotwebhook.Tally) []alotwebhook.Tally) mutant {
		return surveys(func(s *brokenSurveyor) { s.totals = change }, "Survey/Totals")
	}
	eachTotal := func(change func(*alotwebhook.Tally)) mutant {
		return totals(func(all []alotwebhook.Tally) []alotwebhook.Tally {
			for i := range all {
				change(&all[i])
			}
			return all
		})
	}
	processes := func(list ...alotwebhook.Process) mutant {
		return surveys(func(s *brokenSurveyor) { s.processes = list }, "Survey/Processes")
	}
	return map[string]mutant{
		"BacklogsWithoutParked": surveys(eachBacklog(func(b *alotwebhook.Backlog) { b.Parked = 0 }), "Survey/Backlogs", "Survey/BacklogsOrder"),
		"BacklogsParkedPending": surveys(eachBacklog(func(b *alotwebhook.Backlog) { b.Pending, b.Parked = b.Pending+b.Parked, 0 }), "Survey/Backlogs"),
		"BacklogsAllDue":        surveys(eachBacklog(func(b *alotwebhook.Backlog) { b.Due = b.Pending }), "Survey/Backlogs"),
		"BacklogsParkedDue":     surveys(eachBacklog(func(b *alotwebhook.Backlog) { b.Due += b.Parked }), "Survey/Backlogs"),
		"BacklogsNoneDue":       surveys(eachBacklog(func(b *alotwebhook.Backlog) { b.Due, b.OldestDue = 0, 0 }), "Survey/Backlogs"),
		"BacklogsParkedOldest": surveys(eachBacklog(func(b *alotwebhook.Backlog) {
			if b.Parked > 0 {
				b.OldestDue = time.Hour
			}
		}), "Survey/BacklogsOldestDue"),
		"BacklogsWithoutFailing": list(backlogsWithoutFailing, "Survey/BacklogsOldestDue"),
		"BacklogsWithIdle":       list(backlogsWithIdle, "Survey/Backlogs"),
		"BacklogsFolded":         list(backlogsFolded, "Survey/Backlogs"),
		"BacklogsByPending": surveys(backlogsSorted(func(a, b alotwebhook.Backlog) int { return cmp.Compare(b.Pending, a.Pending) }),
			"Survey/BacklogsOrder"),
		"BacklogsLeastFirst": surveys(backlogsSorted(func(a, b alotwebhook.Backlog) int { return cmp.Compare(a.Pending+a.Parked, b.Pending+b.Parked) }),
			"Survey/Backlogs", "Survey/BacklogsOrder"),
		"BacklogsTiesReversed": surveys(backlogsSorted(func(a, b alotwebhook.Backlog) int {
			return cmp.Or(cmp.Compare(b.Pending+b.Parked, a.Pending+a.Parked), cmp.Compare(b.OrganizationID, a.OrganizationID))
		}), "Survey/BacklogsOrder"),
		"BacklogsTiesFolded": surveys(backlogsSorted(func(a, b alotwebhook.Backlog) int {
			return cmp.Or(cmp.Compare(b.Pending+b.Parked, a.Pending+a.Parked), cmp.Compare(strings.ToLower(a.OrganizationID), strings.ToLower(b.OrganizationID)))
		}), "Survey/BacklogsOrder"),
		"BacklogsOfTheFirst": list(func(_ context.Context, _ *brokenSurveyor, all []alotwebhook.Backlog, limit int) []alotwebhook.Backlog {
			slices.SortFunc(all, func(a, b alotwebhook.Backlog) int { return cmp.Compare(a.OrganizationID, b.OrganizationID) })
			return all[:min(len(all), limit)]
		}, "Survey/BacklogsOrder"),
		"BacklogsTooFew": list(func(_ context.Context, _ *brokenSurveyor, all []alotwebhook.Backlog, limit int) []alotwebhook.Backlog {
			return all[:min(len(all), limit-1)]
		}, "Survey/BacklogsOrder"),
		"TotalsSinceExclusive":   surveys(func(s *brokenSurveyor) { s.since = 1 }, "Survey/Totals"),
		"TotalsOfWholeHours":     surveys(func(s *brokenSurveyor) { s.since = -1 }, "Survey/Totals"),
		"TotalsSumSlowest":       eachTotal(func(t *alotwebhook.Tally) { t.Slowest = t.Duration }),
		"TotalsWithoutReasons":   eachTotal(func(t *alotwebhook.Tally) { t.Reasons = nil }),
		"TotalsWithoutSuccesses": eachTotal(func(t *alotwebhook.Tally) { t.Succeeded = 0 }),
		"TotalsWithEndpoint":     eachTotal(func(t *alotwebhook.Tally) { t.EndpointID = "all" }),
		"TotalsInZone":           eachTotal(func(t *alotwebhook.Tally) { t.Hour = t.Hour.In(time.FixedZone("", 3600)) }),
		"TotalsNewestFirst":      totals(func(all []alotwebhook.Tally) []alotwebhook.Tally { slices.Reverse(all); return all }),
		"TotalsOfADay":           totals(func(all []alotwebhook.Tally) []alotwebhook.Tally { return all[:min(len(all), 2)] }),
		"TotalsInOne": totals(func(all []alotwebhook.Tally) []alotwebhook.Tally {
			for _, t := range all[min(len(all), 1):] {
				all[0].Add(t)
			}
			return all[:min(len(all), 1)]
		}),
		"TotalsOfQuietHours": totals(func(all []alotwebhook.Tally) []alotwebhook.Tally {
			return append(all, alotwebhook.Tally{Hour: time.Now().UTC().Truncate(time.Hour)})
		}),
		"ProcessesTwice":     processes(alotwebhook.Process{ID: "a"}, alotwebhook.Process{ID: "a"}),
		"ProcessesUnordered": processes(alotwebhook.Process{ID: "b"}, alotwebhook.Process{ID: "a"}),
		"ProcessesNameless":  processes(alotwebhook.Process{}),
		"ProcessesOwnMore":   processes(alotwebhook.Process{ID: "a", Share: 0.75}, alotwebhook.Process{ID: "b", Share: 0.5}),
		"ProcessesOwnLess":   processes(alotwebhook.Process{ID: "a", Share: -0.5}),
		"ProcessesOfLater":   processes(alotwebhook.Process{ID: "a", Seen: -time.Second}),
	}
}
