package storetest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
)

// folding compares organizations and event types by what fold makes of them, as a
// collation does. A nil function changes nothing.
type folding struct {
	alotwebhook.Store
	organization, eventType func(string) string
}

func apply(fold func(string) string, s string) string {
	if fold == nil {
		return s
	}
	return fold(s)
}

func (s folding) event(e alotwebhook.Event) alotwebhook.Event {
	e.OrganizationID, e.Type = apply(s.organization, e.OrganizationID), apply(s.eventType, e.Type)
	return e
}

func (s folding) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	folded := make([]alotwebhook.Event, len(events))
	for i, e := range events {
		folded[i] = s.event(e)
	}
	return s.Store.Enqueue(ctx, folded)
}

func (s folding) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	e.OrganizationID, e.EventTypes = apply(s.organization, e.OrganizationID), slices.Clone(e.EventTypes)
	for i, name := range e.EventTypes {
		e.EventTypes[i] = apply(s.eventType, name)
	}
	return s.Store.PutEndpoint(ctx, e, ops...)
}

func (s folding) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	f.OrganizationID, f.EventType = apply(s.organization, f.OrganizationID), apply(s.eventType, f.EventType)
	return s.Store.Deliveries(ctx, f)
}

// withoutAccents returns a text as a database sees it that is "accent insensitive".
func withoutAccents(s string) string {
	return strings.NewReplacer("é", "e", "e\u0301", "e").Replace(s)
}

func withoutBlanks(s string) string { return strings.TrimRight(s, " ") }

// foldingFilter finds the right deliveries, and lists those of other organizations, too.
type foldingFilter struct{ alotwebhook.Store }

func (s foldingFilter) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	f.OrganizationID = strings.ToLower(f.OrganizationID)
	return s.Store.Deliveries(ctx, f)
}

// foldingIDs takes an id for another that differs in case or in blanks at the end.
type foldingIDs struct{ alotwebhook.Store }

func (s foldingIDs) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	return s.Store.Endpoint(ctx, strings.ToLower(withoutBlanks(id)))
}

func (s foldingIDs) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	return s.Store.Delivery(ctx, strings.ToLower(withoutBlanks(id)))
}

// foldingIDsOnDelete does so where it does most harm.
type foldingIDsOnDelete struct{ alotwebhook.Store }

func (s foldingIDsOnDelete) DeleteEndpoint(ctx context.Context, id string, ops ...alotwebhook.Operation) error {
	return s.Store.DeleteEndpoint(ctx, withoutBlanks(id), ops...)
}

// joining looks subscriptions up by one text made of two.
type joining struct{ alotwebhook.Store }

func (s joining) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	joined := slices.Clone(events)
	for i := range joined {
		joined[i].OrganizationID, joined[i].Type = "", joined[i].OrganizationID+joined[i].Type
	}
	return s.Store.Enqueue(ctx, joined)
}

func (s joining) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	e.EventTypes = slices.Clone(e.EventTypes)
	for i := range e.EventTypes {
		e.EventTypes[i] = e.OrganizationID + e.EventTypes[i]
	}
	e.OrganizationID = ""
	return s.Store.PutEndpoint(ctx, e, ops...)
}

// cutting cuts texts off, as columns of a fixed width do in a mode that is not strict. 0
// cuts nothing.
type cutting struct {
	alotwebhook.Store
	organization, url, secret, nextSecret, description, eventType, detail, credentials int
}

// cut returns at most n bytes of s, or s if n is 0.
func cut[T ~string](s T, n int) T {
	if n == 0 || len(s) <= n {
		return s
	}
	return s[:n]
}

func (s cutting) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	events = slices.Clone(events)
	for i := range events {
		events[i].OrganizationID = cut(events[i].OrganizationID, s.organization)
		events[i].Type = cut(events[i].Type, s.eventType)
	}
	return s.Store.Enqueue(ctx, events)
}

func (s cutting) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	e.OrganizationID, e.URL, e.Description = cut(e.OrganizationID, s.organization), cut(e.URL, s.url), cut(e.Description, s.description)
	e.Secret, e.NextSecret, e.Credentials = cut(e.Secret, s.secret), cut(e.NextSecret, s.nextSecret), cut(e.Credentials, s.credentials)
	e.EventTypes = slices.Clone(e.EventTypes)
	for i := range e.EventTypes {
		e.EventTypes[i] = cut(e.EventTypes[i], s.eventType)
	}
	return s.Store.PutEndpoint(ctx, e, ops...)
}

func (s cutting) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	outcomes = slices.Clone(outcomes)
	for i := range outcomes {
		outcomes[i].Attempt.Detail = cut(outcomes[i].Attempt.Detail, s.detail)
	}
	return s.Store.Finish(ctx, outcomes)
}

// rateInWhole keeps the rate of an endpoint in a column of whole numbers.
type rateInWhole struct{ alotwebhook.Store }

func (s rateInWhole) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	e.Rate = float64(int(e.Rate))
	return s.Store.PutEndpoint(ctx, e, ops...)
}

// storesTheGood refuses an event that it cannot take, and stores those before it.
type storesTheGood struct{ alotwebhook.Store }

func (s storesTheGood) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	for i, e := range events {
		if !strings.HasPrefix(e.ID, "evt_0") || strings.Contains(e.OrganizationID, "\x00") {
			return errors.Join(errors.New("bad event"), s.Store.Enqueue(ctx, events[:i]))
		}
	}
	return s.Store.Enqueue(ctx, events)
}

// exactTimestamp returns an event's time as it was given.
type exactTimestamp struct {
	alotwebhook.Store
	given map[string]time.Time
}

func (s exactTimestamp) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	for _, e := range events {
		s.given[e.ID] = e.Timestamp
	}
	return s.Store.Enqueue(ctx, events)
}

func (s exactTimestamp) Event(ctx context.Context, id string) (alotwebhook.Event, error) {
	e, err := s.Store.Event(ctx, id)
	e.Timestamp = s.given[id]
	return e, err
}

// localTimes returns times in the zone of the machine.
type localTimes struct{ alotwebhook.Store }

func (s localTimes) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	d, err := s.Store.Delivery(ctx, id)
	d.CreatedAt = d.CreatedAt.In(time.FixedZone("", 3600))
	return d, err
}

// untilRoundedUp takes a millisecond that has only begun as a whole.
type untilRoundedUp struct{ alotwebhook.Store }

func (s untilRoundedUp) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	if !f.Until.IsZero() {
		f.Until = f.Until.Add(time.Millisecond - 1).Truncate(time.Millisecond)
	}
	return s.Store.Deliveries(ctx, f)
}
