package storetest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/feed"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/storetest"
)

// brokenFeeder has a feed with a fault. What it leaves out is as it should be.
type brokenFeeder struct {
	alotwebhook.Store
	feed.Feeder
	asked func(*feed.Filter)            // changes what is asked for
	page  func(feed.Filter, *feed.Page) // changes the answer
	fails func(feed.Filter, error) error
}

func (s *brokenFeeder) Feed(ctx context.Context, f feed.Filter) (feed.Page, error) {
	if s.fails != nil && ctx.Err() != nil {
		ctx = context.WithoutCancel(ctx)
	}
	asked := f
	if s.asked != nil {
		s.asked(&f)
	}
	page, err := s.Feeder.Feed(ctx, f)
	if err != nil && s.fails != nil {
		if err = s.fails(asked, err); err == nil {
			f.Cursor = ""
			page, err = s.Feeder.Feed(ctx, f)
		}
	}
	if err == nil && s.page != nil {
		s.page(asked, &page)
	}
	return page, err
}

// feeds returns a store with that fault in its feed, and the rules that find it.
func feeds(fault func(*brokenFeeder), found ...string) mutant {
	return mutant{func(s alotwebhook.Store) alotwebhook.Store {
		broken := &brokenFeeder{Store: s, Feeder: s.(feed.Feeder)}
		fault(broken)
		return broken
	}, found}
}

func feedMutants() map[string]mutant {
	asks := func(change func(*feed.Filter), found ...string) mutant {
		return feeds(func(s *brokenFeeder) { s.asked = change }, found...)
	}
	shows := func(change func(feed.Filter, *feed.Page), found ...string) mutant {
		return feeds(func(s *brokenFeeder) { s.page = change }, found...)
	}
	return map[string]mutant{
		"FeedTypesIgnored": asks(func(f *feed.Filter) { f.EventTypes = nil }, "Feed/Types", "Feed/Few"),
		"FeedNoTypesAreAll": asks(func(f *feed.Filter) {
			if len(f.EventTypes) == 0 {
				f.EventTypes = nil
			}
		}, "Feed/Types"),
		"FeedSinceIgnored": asks(func(f *feed.Filter) { f.Since = time.Time{} }, "Feed/Since"),
		"FeedSinceNotCut": asks(func(f *feed.Filter) {
			if cut := f.Since.Truncate(time.Millisecond); !cut.Equal(f.Since) {
				f.Since = cut.Add(time.Millisecond)
			}
		}, "Feed/Since"),
		"FeedSinceExclusive":  asks(func(f *feed.Filter) { f.Since = f.Since.Add(time.Millisecond) }, "Feed/Since"),
		"FeedLimitIgnored":    asks(func(f *feed.Filter) { f.Limit = 1000 }, "Feed/Pages"),
		"FeedCursorIgnored":   asks(func(f *feed.Filter) { f.Cursor = "" }, "Feed/Pages", "Feed/GoesOn", "Feed/UnknownCursor", "Feed/Concurrent"),
		"FeedOfEverybody":     asks(func(f *feed.Filter) { f.OrganizationID = strings.ToLower(f.OrganizationID) }, "Feed/Events"),
		"FeedWithoutMore":     shows(func(_ feed.Filter, p *feed.Page) { p.More = false }, "Feed/Pages", "Feed/Few"),
		"FeedMoreForEver":     shows(func(_ feed.Filter, p *feed.Page) { p.More = true }, "Feed/GoesOn"),
		"FeedEnds":            shows(func(_ feed.Filter, p *feed.Page) { p.Next = cursorIf(p.More, p.Next) }, "Feed/GoesOn"),
		"FeedWithoutPayloads": shows(eachFed(func(e *alotwebhook.Event) { e.Data = nil }), "Feed/Events"),
		"FeedReformats":       shows(eachFed(func(e *alotwebhook.Event) { e.Data = []byte(strings.ReplaceAll(string(e.Data), " ", "")) }), "Feed/Events"),
		"FeedSubjectLost":     shows(eachFed(func(e *alotwebhook.Event) { e.Subject = "" }), "Feed/Events"),
		"FeedTraceLost":       shows(eachFed(func(e *alotwebhook.Event) { e.TraceParent = "" }), "Feed/Events"),
		"FeedCutLarge": shows(func(_ feed.Filter, p *feed.Page) {
			p.Events = slices.DeleteFunc(p.Events, func(e alotwebhook.Event) bool { return len(e.Data) > 1<<20 })
		}, "Feed/Large"),
		"FeedByID": feeds(byID, "Feed/OldIDs"),
		"FeedNewestFirst": shows(func(_ feed.Filter, p *feed.Page) { slices.Reverse(p.Events) },
			"Feed/Pages", "Feed/GoesOn"),
		"FeedCursorNotChecked": feeds(func(s *brokenFeeder) {
			s.fails = func(_ feed.Filter, err error) error { return nil }
		}, "Feed/UnknownCursor"),
		"FeedOtherError": feeds(func(s *brokenFeeder) {
			s.fails = func(feed.Filter, error) error { return errors.New("no such cursor") }
		}, "Feed/UnknownCursor"),
		"FeedEndless":         feeds(func(s *brokenFeeder) { s.fails = func(_ feed.Filter, err error) error { return err } }, "Feed/Ended"),
		"FeedSubscribedAlone": feeds(subscribedAlone, "Feed/Events"),
		"FeedStopsAtErased":   feeds(stopsAtErased, "Feed/Erased"),
		"FeedNumbersAgain":    feeds(numbersAgain, "Feed/AfterDeletion"),
	}
}

func cursorIf(is bool, cursor string) string {
	if is {
		return cursor
	}
	return ""
}

// eachFed changes each event.
func eachFed(change func(*alotwebhook.Event)) func(feed.Filter, *feed.Page) {
	return func(_ feed.Filter, p *feed.Page) {
		for i := range p.Events {
			change(&p.Events[i])
		}
	}
}

// byID has a feed that goes by the ids, as a list of deliveries does.
func byID(s *brokenFeeder) {
	var mu sync.Mutex
	passed := map[string]string{} // the greatest id before a cursor
	s.page = func(f feed.Filter, p *feed.Page) {
		mu.Lock()
		defer mu.Unlock()
		last := passed[f.Cursor]
		p.Events = slices.DeleteFunc(p.Events, func(e alotwebhook.Event) bool { return e.ID <= last })
		for _, e := range p.Events {
			last = max(last, e.ID)
		}
		passed[p.Next] = max(passed[p.Next], last)
	}
}

// feedByIDInTx is a host whose store has such a feed.
func feedByIDInTx() storetest.Host {
	broken := &brokenFeeder{Store: memory.New()}
	broken.Feeder = broken.Store.(feed.Feeder)
	byID(broken)
	return host(broken, nil)
}

// subscribedAlone has a feed of events that somebody subscribes to.
func subscribedAlone(s *brokenFeeder) {
	s.page = func(_ feed.Filter, p *feed.Page) {
		p.Events = slices.DeleteFunc(p.Events, func(e alotwebhook.Event) bool {
			page, _, err := s.Deliveries(context.Background(), alotwebhook.Filter{EventID: e.ID})
			return err != nil || len(page) == 0
		})
	}
}

// stopsAtErased has a feed that has no events behind a place whose own event is gone.
func stopsAtErased(s *brokenFeeder) {
	var mu sync.Mutex
	last := map[string]string{} // the event before a cursor
	s.page = func(f feed.Filter, p *feed.Page) {
		mu.Lock()
		defer mu.Unlock()
		if id := last[f.Cursor]; id != "" {
			if _, err := s.Event(context.Background(), id); err != nil {
				p.Events, p.More = nil, false
			}
		}
		if n := len(p.Events); n > 0 {
			last[p.Next] = p.Events[n-1].ID
		}
	}
}

// numbersAgain has a feed whose numbers begin anew once there are no events.
func numbersAgain(s *brokenFeeder) {
	purged := false
	s.Store = purgeTold{s.Store, func() { purged = true }}
	s.page = func(f feed.Filter, p *feed.Page) {
		if purged && f.Cursor != "" {
			p.Events, p.More = nil, false
		}
	}
}

// purgeTold tells when history was purged.
type purgeTold struct {
	alotwebhook.Store
	told func()
}

func (s purgeTold) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	r, err := s.Store.Purge(ctx, p)
	if r.Events > 0 {
		s.told()
	}
	return r, err
}
