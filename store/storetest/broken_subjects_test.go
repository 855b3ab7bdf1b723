package storetest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/alot/alotwebhook"
)

// remembering knows the events that were stored, and what was said of their attempts.
type remembering struct {
	alotwebhook.Store
	events   sync.Map // by id
	attempts sync.Map // by attemptKey
}

type attemptKey struct {
	deliveryID string
	number     int
}

func (s *remembering) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	for _, e := range events {
		s.events.LoadOrStore(e.ID, e)
	}
	return s.Store.Enqueue(ctx, events)
}

func (s *remembering) EnqueueTo(ctx context.Context, endpointID string, event alotwebhook.Event) error {
	s.events.LoadOrStore(event.ID, event)
	return s.Store.EnqueueTo(ctx, endpointID, event)
}

func (s *remembering) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	for _, o := range outcomes {
		s.attempts.Store(attemptKey{o.DeliveryID, o.Attempt.Number}, o.Attempt)
	}
	return s.Store.Finish(ctx, outcomes)
}

// matching returns the events that an erasure selects, newest first, also those that are erased.
func (s *remembering) matching(r alotwebhook.Recovery) (found []alotwebhook.Event) {
	s.events.Range(func(_, stored any) bool {
		e := stored.(alotwebhook.Event)
		if (r.EventID == "" || r.EventID == e.ID) && (r.Subject == "" || r.Subject == e.Subject) &&
			(r.OrganizationID == "" || r.OrganizationID == e.OrganizationID) && (r.Cursor == "" || e.ID < r.Cursor) {
			found = append(found, e)
		}
		return true
	})
	slices.SortFunc(found, func(a, b alotwebhook.Event) int { return strings.Compare(b.ID, a.ID) })
	return found
}

// isErased reports whether the event has no payload any more.
func (s *remembering) isErased(ctx context.Context, id string) bool {
	_, err := s.Store.Event(ctx, id)
	return errors.Is(err, alotwebhook.ErrNotFound)
}

// storesSubject stores events with another subject.
type storesSubject struct {
	alotwebhook.Store
	of  func(events []alotwebhook.Event, i int) string
	one bool // those to one endpoint only
}

func (s storesSubject) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	changed := slices.Clone(events)
	for i := range changed {
		if !s.one {
			changed[i].Subject = s.of(events, i)
		}
	}
	return s.Store.Enqueue(ctx, changed)
}

func (s storesSubject) EnqueueTo(ctx context.Context, endpointID string, event alotwebhook.Event) error {
	event.Subject = s.of([]alotwebhook.Event{event}, 0)
	return s.Store.EnqueueTo(ctx, endpointID, event)
}

// subjectNotShown finds events by it only.
type subjectNotShown struct{ alotwebhook.Store }

func (s subjectNotShown) Event(ctx context.Context, id string) (alotwebhook.Event, error) {
	e, err := s.Store.Event(ctx, id)
	e.Subject = ""
	return e, err
}

// subjectReplaced shows the newest one that was given with an id.
type subjectReplaced struct {
	alotwebhook.Store
	newest sync.Map
}

func (s *subjectReplaced) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	for _, e := range events {
		s.newest.Store(e.ID, e.Subject)
	}
	return s.Store.Enqueue(ctx, events)
}

func (s *subjectReplaced) Event(ctx context.Context, id string) (alotwebhook.Event, error) {
	e, err := s.Store.Event(ctx, id)
	if subject, ok := s.newest.Load(id); ok {
		e.Subject = subject.(string)
	}
	return e, err
}

// listsSubject selects by the subject in another way.
type listsSubject struct {
	*remembering
	list func(s *remembering, ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error)
}

func (s listsSubject) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	if f.Subject == "" {
		return s.Store.Deliveries(ctx, f)
	}
	return s.list(s.remembering, ctx, f)
}

// subjectMutants are stores with a fault in the subjects of events.
func subjectMutants() map[string]mutant {
	stores := func(of func(events []alotwebhook.Event, i int) string, found ...string) mutant {
		return mutant{func(s alotwebhook.Store) alotwebhook.Store { return storesSubject{s, of, false} }, found}
	}
	lists := func(list func(*remembering, context.Context, alotwebhook.Filter) ([]alotwebhook.Delivery, string, error), found ...string) mutant {
		return mutant{func(s alotwebhook.Store) alotwebhook.Store { return listsSubject{&remembering{Store: s}, list} }, found}
	}
	own := func(events []alotwebhook.Event, i int) string { return events[i].Subject }
	return map[string]mutant{
		"SubjectLost": stores(func([]alotwebhook.Event, int) string { return "" }, "Enqueue/KeepsSubject", "Enqueue/SubjectsOfMany", "Erase/Content"),
		"SubjectLostToOne": {
			func(s alotwebhook.Store) alotwebhook.Store {
				return storesSubject{s, func([]alotwebhook.Event, int) string { return "" }, true}
			},
			[]string{"Enqueue/KeepsSubject"},
		},
		"SubjectOfBatch": stores(func(events []alotwebhook.Event, _ int) string { return events[0].Subject }, "Enqueue/SubjectsOfMany", "Erase/Selects"),
		"SubjectOfFew": stores(func(events []alotwebhook.Event, i int) string {
			if len(events) > 100 {
				return ""
			}
			return events[i].Subject
		}, "Enqueue/SubjectsOfMany"),
		"SubjectCut":     stores(func(events []alotwebhook.Event, i int) string { return own(events, i)[:min(len(own(events, i)), 127)] }, "Texts/SubjectsDiffer"),
		"SubjectFolded":  stores(func(events []alotwebhook.Event, i int) string { return strings.ToLower(own(events, i)) }, "Texts/SubjectsDiffer"),
		"SubjectTrimmed": stores(func(events []alotwebhook.Event, i int) string { return strings.TrimSpace(own(events, i)) }, "Texts/SubjectsDiffer"),
		"SubjectSent": {
			func(s alotwebhook.Store) alotwebhook.Store { return subjectSent{s} },
			[]string{"Enqueue/KeepsSubject"},
		},
		"SubjectNotShown": {
			func(s alotwebhook.Store) alotwebhook.Store { return subjectNotShown{s} },
			[]string{"Enqueue/KeepsSubject"},
		},
		"SubjectReplaced": {
			func(s alotwebhook.Store) alotwebhook.Store { return &subjectReplaced{Store: s} },
			[]string{"Enqueue/SubjectOfTheFirst"},
		},
		"SubjectIgnored": lists(func(s *remembering, ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
			f.Subject = ""
			return s.Store.Deliveries(ctx, f)
		}, "Enqueue/KeepsSubject", "History/Subject"),
		"SubjectAlone": lists(func(s *remembering, ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
			return s.Store.Deliveries(ctx, alotwebhook.Filter{Subject: f.Subject, Cursor: f.Cursor, Limit: f.Limit})
		}, "History/Subject", "History/SubjectAmongMany"),
		"SubjectWithoutCursor": lists(func(s *remembering, ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
			f.Cursor = ""
			return s.Store.Deliveries(ctx, f)
		}, "History/Subject"),
		"SubjectGoesWithPayload": lists(func(s *remembering, ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
			page, next, err := s.Store.Deliveries(ctx, f)
			return slices.DeleteFunc(page, func(d alotwebhook.Delivery) bool { return s.isErased(ctx, d.EventID) }), next, err
		}, "Enqueue/SubjectStays"),
		"SubjectAfterPage": lists(func(s *remembering, ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
			subject := f.Subject
			f.Subject = ""
			page, next, err := s.Store.Deliveries(ctx, f)
			return slices.DeleteFunc(page, func(d alotwebhook.Delivery) bool {
				e, _ := s.events.Load(d.EventID)
				return e.(alotwebhook.Event).Subject != subject
			}), next, err
		}, "History/SubjectAmongMany"),
	}
}

// subjectSent has it in what it sends.
type subjectSent struct{ alotwebhook.Store }

func (s subjectSent) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		if e, err := s.Event(ctx, d.EventID); err == nil && e.Subject != "" {
			d.Payload = []byte(strings.Replace(string(d.Payload), "{", `{"subject":"`+e.Subject+`",`, 1))
		}
	}
	return r, err
}
