// Package feed lists the events of an organization, oldest first and with their payloads, so that
// whoever reads on misses none: for customers who compare what happened with what they have
// handled. The management API of package settings serves it, and package webhookclient reads it.
//
//	page, err := feed.Read(ctx, dispatcher, feed.Filter{OrganizationID: "org_123", Cursor: cursor})
//
// # What is not missed
//
// The id of an event is made before its event is stored, and the transaction that stores it may
// commit much later. So a list in the order of the ids, or of any clock, would have events appear
// behind the back of somebody who has read on. A feed has an order of its own. An event takes its
// place in it when its transaction has committed, behind the end of every page that was returned.
// The price is that of a delay: while a transaction that began to write before an event is open, a
// store may hold the event back.
//
// # What ends
//
// Events whose payload was erased, on somebody's request or after [alotwebhook.Config.PayloadRetention],
// are left out. So a cursor expires: [ErrCursorExpired] says that events behind it may have gone
// meanwhile. It never does so within that time of when its reader had read all, nor within an hour of
// when it was given.
package feed

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/envelope"
	"github.com/alot/alotwebhook/internal/storable"
	"github.com/alot/alotwebhook/internal/typeid"
)

// ErrCursorExpired says that a cursor is too old, or is none of this database: what follows it is
// not known. Begin again without it, and leave out what is known already.
var ErrCursorExpired = errors.New("alotwebhook: cursor expired")

// Feeder is an optional capability of a [alotwebhook.Store]. All stores of this module have it, and
// package storetest proves it.
type Feeder interface {
	// Feed returns a page of the events that f selects, in an order of the store's own that never
	// changes. What is stored later, or commits later, comes behind the end of every page that any
	// call has returned. Events whose payload was erased are left out, and tests: nothing happened.
	//
	// A page may be short, even empty, with More: a store passes over few events that do not match,
	// and returns few megabytes. The error is [ErrCursorExpired] if the store has not given the cursor.
	Feed(ctx context.Context, f Filter) (Page, error)
}

// Backfiller is an optional capability of a [alotwebhook.Store] that is a [Feeder]: see
// [alotwebhook.Dispatcher.SendMissed].
type Backfiller interface {
	// Backfill goes through the next up to limit events of a feed that match: of r.OrganizationID, of
	// one of the types, and with an id of r.Since or later, from the beginning or behind r.Cursor. It
	// stores a delivery to the endpoint r.EndpointID, pending and due at once, or parked while that is
	// disabled, of each event that has none to it yet, finished or not. It returns how many it stored
	// and how many it left alone, the time in the id of the last event, zero for none, and the cursor
	// of the next call; "" at the end. The error is [alotwebhook.ErrNotFound] if there is no such endpoint.
	Backfill(ctx context.Context, r alotwebhook.Recovery, types []string, limit int) (sent, left int, at time.Time, next string, err error)
}

// Filter selects events of one organization.
type Filter struct {
	OrganizationID string
	// EventTypes are the types to select; nil for all.
	EventTypes []string
	// Since (inclusive), cut to milliseconds, bounds the time in the event's id. Zero is no bound.
	Since time.Time
	// Cursor is the Next of the page before; "" for the oldest events that there are.
	Cursor string
	// Limit is how many events a page has at most; 0 or less stands for 100.
	Limit int
}

// Page is a page of a feed.
type Page struct {
	Events []alotwebhook.Event
	// Next is the cursor behind the page. It is never "": behind the last event, what comes later
	// follows.
	Next string
	// More says that more may follow already.
	More bool
}

// Read returns a page of a feed. The other fields of f must stay as they were with the page before.
//
// The error is [ErrCursorExpired] for a cursor that has expired, or that none of these pages had; a
// [alotwebhook.FieldError] of a field that is not valid, such as an "organizationId" that is none; and an [errors.ErrUnsupported] if
// the store is no [Feeder].
func Read(ctx context.Context, d *alotwebhook.Dispatcher, f Filter) (Page, error) {
	feeder := feederOf(d.Store())
	if feeder == nil {
		return Page{}, fmt.Errorf("alotwebhook: the store lists no events: %w", errors.ErrUnsupported)
	}
	if problem := envelope.OrganizationProblem(f.OrganizationID); problem != "" {
		return Page{}, &alotwebhook.FieldError{Field: "organizationId", Problem: problem}
	}
	now := time.Now()
	c, err := parse(f.Cursor)
	f.Cursor = c.place
	if field, problem := storable.Problem(f); problem != "" && err == nil {
		err = &alotwebhook.FieldError{Field: field, Problem: problem}
	}
	if err != nil {
		return Page{}, err
	}
	if !c.until.IsZero() && now.After(c.until) {
		return Page{}, fmt.Errorf("%w: it was good until %s", ErrCursorExpired, c.until.UTC().Format(time.RFC3339))
	}
	page, err := feeder.Feed(ctx, f)
	if err != nil {
		return Page{}, err
	}
	page.Next = c.behind(&page, now, d.PayloadRetention()).spell()
	return page, nil
}

// feederOf returns the store as a Feeder, or one that it wraps; nil if none is one.
func feederOf(s alotwebhook.Store) Feeder {
	feeder, ok := s.(Feeder)
	if outer, wraps := s.(interface{ Unwrap() alotwebhook.Store }); wraps && !ok {
		return feederOf(outer.Unwrap())
	}
	return feeder
}

// cursor is a place that a store has given, and until when all that was behind it is kept.
type cursor struct {
	place string
	until time.Time // zero for ever
}

// underWay is for how long a cursor is good at least: who reads page by page comes back within it,
// although the events that he reads are about to be erased.
const underWay = time.Hour

// behind returns the cursor behind a page that was read now. A payload is kept for the retention at
// least after it was stored, which is no earlier than the time in the event's id.
func (c cursor) behind(page *Page, now time.Time, retention time.Duration) cursor {
	next := cursor{place: page.Next}
	if retention <= 0 {
		return next
	}
	next.until = now.Add(underWay)
	kept := c.until
	if n := len(page.Events); n > 0 {
		at, _ := typeid.Time("evt", page.Events[n-1].ID)
		kept = at.Add(retention)
	}
	if !page.More {
		kept = now.Add(retention)
	}
	if kept.After(next.until) {
		next.until = kept
	}
	return next
}

// spell spells a cursor as a number of seconds, a point and the place.
func (c cursor) spell() string {
	var seconds int64
	if !c.until.IsZero() {
		seconds = c.until.Unix()
	}
	return strconv.FormatInt(seconds, 36) + "." + c.place
}

func parse(text string) (c cursor, err error) {
	if text == "" {
		return c, nil
	}
	number, place, _ := strings.Cut(text, ".")
	seconds, err := strconv.ParseInt(number, 36, 64)
	if err != nil || place == "" || !storable.IsText(place) {
		return c, fmt.Errorf("%w: %.64q is no cursor of a feed", ErrCursorExpired, text)
	}
	c.place = place
	if seconds != 0 {
		c.until = time.Unix(seconds, 0)
	}
	return c, nil
}
