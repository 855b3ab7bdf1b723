package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

var _ alotwebhook.Surveyor = (*Store)(nil)

// Backlogs implements [alotwebhook.Surveyor].
func (s *Store) Backlogs(ctx context.Context, limit int) ([]alotwebhook.Backlog, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	now, backlogs := s.now(), map[string]alotwebhook.Backlog{}
	for _, e := range s.endpoints {
		if e.unfinished > 0 {
			b := backlogs[e.OrganizationID]
			b.OrganizationID = e.OrganizationID
			e.addTo(&b, now)
			backlogs[e.OrganizationID] = b
		}
	}
	list := slices.SortedFunc(maps.Values(backlogs), func(a, b alotwebhook.Backlog) int {
		return cmp.Or(cmp.Compare(b.Pending+b.Parked, a.Pending+a.Parked), cmp.Compare(a.OrganizationID, b.OrganizationID))
	})
	return list[:min(len(list), max(limit, 0))], nil
}

// addTo adds the unfinished deliveries of e to the backlog of its organization. It moves none
// that has fallen due: the endpoint's turn is the next claim's to give.
func (e *storedEndpoint) addTo(b *alotwebhook.Backlog, now time.Duration) {
	if e.Disabled {
		b.Parked += e.unfinished
		return
	}
	b.Pending += e.unfinished
	b.Due += int64(e.dueNow.Len())
	for _, d := range e.waiting {
		if d.dueAt <= now {
			b.Due++
		}
	}
	b.OldestDue = max(b.OldestDue, e.oldestDue(now))
}

// Totals implements [alotwebhook.Surveyor].
func (s *Store) Totals(ctx context.Context, since time.Time) ([]alotwebhook.Tally, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	totals := map[int64]alotwebhook.Tally{}
	for _, of := range s.tallies {
		for hour, t := range of.hours {
			if !t.Hour.Before(since) {
				sum := totals[hour]
				sum.Hour = t.Hour
				sum.Add(*t)
				totals[hour] = sum
			}
		}
	}
	return slices.SortedFunc(maps.Values(totals), byEndpointAndHour), nil
}

// Processes implements [alotwebhook.Surveyor]. The process that has the store is the only one, and
// needs no lease: there is none to show.
func (s *Store) Processes(ctx context.Context) ([]alotwebhook.Process, error) {
	return nil, ctx.Err()
}

// Count implements [alotwebhook.Surveyor].
func (s *Store) Count(ctx context.Context, r alotwebhook.Recovery) (count alotwebhook.Count, err error) {
	if err := s.lock(ctx); err != nil {
		return alotwebhook.Count{}, err
	}
	defer s.mu.Unlock()
	f := selection(r)
	from, before := idRange("dlv", f.Since, f.Until, "")
	endpoints, organizations := map[string]bool{}, map[string]bool{}
	for d := range s.narrowest(f).descending(before) {
		if d.id < from {
			break
		}
		if d.matches(f) && s.matchesEnd(d, r) {
			count.Deliveries++
			endpoints[d.endpoint.ID], organizations[d.event.OrganizationID] = true, true
		}
	}
	count.Endpoints, count.Organizations = int64(len(endpoints)), int64(len(organizations))
	return count, nil
}

// selection returns what a [alotwebhook.Filter] can say of the deliveries that r selects.
func selection(r alotwebhook.Recovery) alotwebhook.Filter {
	f := alotwebhook.Filter{
		OrganizationID: r.OrganizationID, EndpointID: r.EndpointID, EventID: r.EventID, EventType: r.EventType,
		State: alotwebhook.StateFailed, NoTests: true, Since: r.Since, Until: r.Until,
	}
	if overMany(r.EndpointID) {
		f.EndpointID = ""
	}
	if r.State == alotwebhook.RecoveryCanceling {
		f.State = alotwebhook.StateUnfinished
	}
	return f
}

// matchesEnd reports whether r selects d by its last reason and, if it has failed, by when.
func (s *Store) matchesEnd(d *storedDelivery, r alotwebhook.Recovery) bool {
	if !matchesText(r.Reason, d.lastReason) {
		return false
	}
	if d.state == alotwebhook.StatePending {
		return true
	}
	if r.Reason == "" && (d.lastReason == alotwebhook.ReasonDiscarded || d.lastReason == alotwebhook.ReasonCanceled) {
		return false
	}
	failed := s.instant(d.finishedAt)
	return !failed.Before(r.FailedSince) && (r.FailedUntil.IsZero() || failed.Before(r.FailedUntil))
}
