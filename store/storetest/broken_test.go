package storetest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/alot/alotwebhook"
)

// The stores in this file wrap a store that keeps the contract. Each adds one fault.

// ackBeforeSend marks deliveries as delivered when they are claimed.
type ackBeforeSend struct{ alotwebhook.Store }

func (s ackBeforeSend) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	for _, d := range r.Deliveries {
		_, err = s.Store.Finish(ctx, []alotwebhook.Outcome{{DeliveryID: d.DeliveryID, Token: d.Token, State: alotwebhook.StateDelivered}})
	}
	return r, err
}

func (s ackBeforeSend) Finish(context.Context, []alotwebhook.Outcome) ([]string, error) {
	return nil, nil
}

// withoutFence accepts any token as the newest.
type withoutFence struct {
	alotwebhook.Store
	newest sync.Map
}

func (s *withoutFence) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	for _, d := range r.Deliveries {
		s.newest.Store(d.DeliveryID, d.Token)
	}
	return r, err
}

func (s *withoutFence) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	outcomes = slices.Clone(outcomes)
	for i, o := range outcomes {
		if lease, ok := s.newest.Load(o.DeliveryID); ok {
			outcomes[i].Token = lease.(int64)
		}
	}
	return s.Store.Finish(ctx, outcomes)
}

// lostNotReported does not return the lost outcomes.
type lostNotReported struct{ alotwebhook.Store }

func (s lostNotReported) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	_, err := s.Store.Finish(ctx, outcomes)
	return nil, err
}

// withoutLease gives leases that end at once.
type withoutLease struct{ alotwebhook.Store }

func (s withoutLease) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	c.Lease = time.Nanosecond
	return s.Store.Claim(ctx, c)
}

// starving claims all deliveries of one endpoint before those of the next.
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

// busyIgnored claims as if all slots were free.
type busyIgnored struct{ alotwebhook.Store }

func (s busyIgnored) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	c.Busy = nil
	return s.Store.Claim(ctx, c)
}

// unlistedIgnored gives endpoints that Busy lacks all of their slots.
type unlistedIgnored struct{ alotwebhook.Store }

func (s unlistedIgnored) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	c.Unlisted = 0
	return s.Store.Claim(ctx, c)
}

// withheldIgnored claims for every organization.
type withheldIgnored struct{ alotwebhook.Store }

func (s withheldIgnored) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	c.Withheld = nil
	return s.Store.Claim(ctx, c)
}

// newestFirst claims the newest delivery first.
type newestFirst struct{ alotwebhook.Store }

func (s newestFirst) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	slices.Reverse(r.Deliveries)
	return r, err
}

// noNextIn never says when the next delivery falls due.
type noNextIn struct{ alotwebhook.Store }

func (s noNextIn) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	r.NextIn = 0
	return r, err
}

// tryNeverAnew does not start Try again after a redelivery.
type tryNeverAnew struct{ alotwebhook.Store }

func (s tryNeverAnew) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	for i := range r.Deliveries {
		r.Deliveries[i].Try = r.Deliveries[i].Attempt
	}
	return r, err
}

// duplicating stores an event that comes again under a new id.
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

// reformatting changes the white space of payloads, as a JSON column does.
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

// releaseCounts stores an attempt for a release.
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

// retryAtOnce ignores NextAttemptIn.
type retryAtOnce struct{ alotwebhook.Store }

func (s retryAtOnce) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	outcomes = slices.Clone(outcomes)
	for i := range outcomes {
		outcomes[i].NextAttemptIn = 0
	}
	return s.Store.Finish(ctx, outcomes)
}

// disabledStillSent never disables an endpoint.
type disabledStillSent struct{ alotwebhook.Store }

func (s disabledStillSent) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint) error {
	e.Disabled = false
	return s.Store.PutEndpoint(ctx, e)
}

// lastWriterWins ignores the version of endpoints.
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

// writesFailingSince stores the FailingSince of an endpoint as it is given.
type writesFailingSince struct {
	alotwebhook.Store
	given sync.Map
}

func (s *writesFailingSince) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint) error {
	err := s.Store.PutEndpoint(ctx, e)
	if err == nil && e.Version > 0 {
		s.given.Store(e.ID, e.FailingSince)
	}
	return err
}

func (s *writesFailingSince) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	e, err := s.Store.Endpoint(ctx, id)
	if given, ok := s.given.Load(id); ok {
		e.FailingSince = given.(time.Time)
	}
	return e, err
}

// ignoresFailingSince replaces an endpoint whatever FailingSince it is given.
type ignoresFailingSince struct{ alotwebhook.Store }

func (s ignoresFailingSince) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint) error {
	if e.Version > 0 {
		e.FailingSince = time.Time{}
	}
	return s.Store.PutEndpoint(ctx, e)
}

// secretTrimmed trims white space around secrets.
type secretTrimmed struct{ alotwebhook.Store }

func (s secretTrimmed) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint) error {
	e.Secret = alotwebhook.Secret(strings.TrimSpace(string(e.Secret)))
	e.NextSecret = alotwebhook.Secret(strings.TrimSpace(string(e.NextSecret)))
	return s.Store.PutEndpoint(ctx, e)
}

// pageHasGap returns a cursor that skips a delivery.
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

// pageRepeats pages by offset, so that a page repeats deliveries when newer ones are stored.
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

// purgeTakesUnfinished also purges deliveries that are due.
type purgeTakesUnfinished struct{ alotwebhook.Store }

func (s purgeTakesUnfinished) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	r, err := s.Store.Claim(ctx, alotwebhook.ClaimRequest{Limit: 1000, PerEndpoint: 1000, Lease: time.Minute})
	for _, d := range r.Deliveries {
		_, err = s.Store.Finish(ctx, []alotwebhook.Outcome{{DeliveryID: d.DeliveryID, Token: d.Token, State: alotwebhook.StateFailed}})
	}
	if err != nil {
		return alotwebhook.PurgeResult{}, err
	}
	return s.Store.Purge(ctx, p)
}

// parkedKept never expires what is parked.
type parkedKept struct{ alotwebhook.Store }

func (s parkedKept) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	p.Parked = 0
	return s.Store.Purge(ctx, p)
}

// expiredForEver shows a delivery that has expired as such, also once it is redelivered.
type expiredForEver struct {
	alotwebhook.Store
	expired sync.Map
}

func (s *expiredForEver) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	d, err := s.Store.Delivery(ctx, id)
	if d.LastReason == alotwebhook.ReasonExpired {
		s.expired.Store(id, true)
	}
	if _, ok := s.expired.Load(id); ok {
		d.LastReason = alotwebhook.ReasonExpired
	}
	return d, err
}

// expiresAtOnce expires what is parked, however short a time.
type expiresAtOnce struct{ alotwebhook.Store }

func (s expiresAtOnce) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	p.Parked = min(p.Parked, 1)
	return s.Store.Purge(ctx, p)
}

// expiresWithoutLimit expires all that is parked for too long in one call.
type expiresWithoutLimit struct{ alotwebhook.Store }

func (s expiresWithoutLimit) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	if p.Parked > 0 {
		p.Limit = 0
	}
	return s.Store.Purge(ctx, p)
}

// discardsAll discards the deliveries of all events.
type discardsAll struct{ alotwebhook.Store }

func (s discardsAll) Discard(ctx context.Context, endpointID string, _ time.Time, limit int) (int, error) {
	return s.Store.Discard(ctx, endpointID, time.Now().Add(time.Hour), limit)
}

// discardsEnabled also discards what an enabled endpoint is to get.
type discardsEnabled struct{ alotwebhook.Store }

func (s discardsEnabled) Discard(ctx context.Context, endpointID string, before time.Time, limit int) (int, error) {
	e, err := s.Store.Endpoint(ctx, endpointID)
	if err != nil {
		return 0, err
	}
	e.Disabled = true
	if err := s.PutEndpoint(ctx, e); err != nil {
		return 0, err
	}
	return s.Store.Discard(ctx, endpointID, before, limit)
}

// discardsLeased also discards what is leased: it ends each lease first.
type discardsLeased struct{ alotwebhook.Store }

func (s discardsLeased) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	c.Lease = time.Nanosecond
	return s.Store.Claim(ctx, c)
}

// disabledAtGiven keeps the DisabledAt that it is given.
type disabledAtGiven struct {
	alotwebhook.Store
	given sync.Map
}

func (s *disabledAtGiven) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint) error {
	s.given.Store(e.ID, e.DisabledAt)
	return s.Store.PutEndpoint(ctx, e)
}

func (s *disabledAtGiven) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	e, err := s.Store.Endpoint(ctx, id)
	if given, ok := s.given.Load(id); ok {
		e.DisabledAt = given.(time.Time)
	}
	return e, err
}

// redeliverCountsAll also counts the deliveries that it did not make due.
type redeliverCountsAll struct{ alotwebhook.Store }

func (s redeliverCountsAll) Redeliver(ctx context.Context, ids []string) (int, error) {
	_, err := s.Store.Redeliver(ctx, ids)
	return len(ids), err
}

// recoveryWithoutVersion ignores the version of recoveries.
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

// recoveryInWholeSeconds rounds a time.
type recoveryInWholeSeconds struct{ alotwebhook.Store }

func (s recoveryInWholeSeconds) PutRecovery(ctx context.Context, r alotwebhook.Recovery) error {
	r.Until = r.Until.Truncate(time.Second)
	return s.Store.PutRecovery(ctx, r)
}

// recoveryStateIgnored ignores a field of the filter.
type recoveryStateIgnored struct{ alotwebhook.Store }

func (s recoveryStateIgnored) Recoveries(ctx context.Context, f alotwebhook.RecoveryFilter) ([]alotwebhook.Recovery, string, error) {
	f.State = ""
	return s.Store.Recoveries(ctx, f)
}

// recoveryGoesWithEndpoint hides the recovery of a deleted endpoint.
type recoveryGoesWithEndpoint struct{ alotwebhook.Store }

func (s recoveryGoesWithEndpoint) Recoveries(ctx context.Context, f alotwebhook.RecoveryFilter) ([]alotwebhook.Recovery, string, error) {
	page, next, err := s.Store.Recoveries(ctx, f)
	return slices.DeleteFunc(page, func(r alotwebhook.Recovery) bool {
		_, err := s.Endpoint(ctx, r.EndpointID)
		return errors.Is(err, alotwebhook.ErrNotFound)
	}), next, err
}

// tallyReplaces keeps the last batch of tallies only.
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

// tallySumsSlowest adds the slowest attempts up.
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

// tallySinceExclusive leaves out the tallies of the hour since.
type tallySinceExclusive struct {
	alotwebhook.Store
	alotwebhook.Tallier
}

func (s tallySinceExclusive) Tallies(ctx context.Context, endpointIDs []string, since time.Time) ([]alotwebhook.Tally, error) {
	return s.Tallier.Tallies(ctx, endpointIDs, since.Add(1))
}

// talliesKept never purges tallies.
type talliesKept struct {
	alotwebhook.Store
	alotwebhook.Tallier
}

func (s talliesKept) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	p.Tallies = 0
	return s.Store.Purge(ctx, p)
}

// pageEndsEarly returns no cursor with a page that is not full.
type pageEndsEarly struct{ alotwebhook.Store }

func (s pageEndsEarly) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	page, next, err := s.Store.Deliveries(ctx, f)
	if len(page) < f.Limit || f.Limit == 1 {
		next = ""
	}
	return page, next, err
}

// pageShort returns half of each page, without need.
type pageShort struct{ alotwebhook.Store }

func (s pageShort) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	f.Limit = max(f.Limit/2, 1)
	return s.Store.Deliveries(ctx, f)
}

// dropsBadText is a store that drops an outcome whose text it cannot take, and stores the
// others.
type dropsBadText struct{ alotwebhook.Store }

func (s dropsBadText) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	var good []alotwebhook.Outcome
	bad := 0
	for _, o := range outcomes {
		if strings.ContainsAny(o.Attempt.ResponseBody, "\x00\x01") || !utf8.ValidString(o.Attempt.ResponseBody) {
			bad++
			continue
		}
		good = append(good, o)
	}
	lost, err := s.Store.Finish(ctx, good)
	if err == nil && bad > 0 {
		err = errors.New("bad text")
	}
	return lost, err
}

// forgetsHeld is a store that releases what is to stay leased.
type forgetsHeld struct{ alotwebhook.Store }

func (s forgetsHeld) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	outcomes = slices.Clone(outcomes)
	for i := range outcomes {
		outcomes[i].Held = false
	}
	return s.Store.Finish(ctx, outcomes)
}

// idsIgnored lists all endpoints, whichever are asked for.
type idsIgnored struct{ alotwebhook.Store }

func (s idsIgnored) Endpoints(ctx context.Context, f alotwebhook.EndpointFilter) ([]alotwebhook.Endpoint, string, error) {
	f.IDs = nil
	return s.Store.Endpoints(ctx, f)
}

// forgetful keeps only the newest ten attempts.
type forgetful struct{ alotwebhook.Store }

func (s forgetful) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	d, err := s.Store.Delivery(ctx, id)
	d.Attempts = d.Attempts[max(0, len(d.Attempts)-10):]
	return d, err
}
