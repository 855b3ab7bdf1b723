package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alot/alotwebhook"
)

// quotesAll quotes the whole of an id that is not found.
type quotesAll struct{ alotwebhook.Store }

func (s quotesAll) DeleteEndpoint(ctx context.Context, id string, ops ...alotwebhook.Operation) error {
	err := s.Store.DeleteEndpoint(ctx, id, ops...)
	if errors.Is(err, alotwebhook.ErrNotFound) {
		return fmt.Errorf("%w: endpoint %q", alotwebhook.ErrNotFound, id)
	}
	return err
}

// ownWords says in its own words that an event is not there.
type ownWords struct{ alotwebhook.Store }

func (s ownWords) Event(ctx context.Context, id string) (alotwebhook.Event, error) {
	event, err := s.Store.Event(ctx, id)
	if errors.Is(err, alotwebhook.ErrNotFound) {
		return event, errors.New("no rows in result set (SQLSTATE 02000)")
	}
	return event, err
}

// sinceUnix refuses times that a Unix time of 32 bits does not hold.
type sinceUnix struct{ alotwebhook.Store }

func (s sinceUnix) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	if !f.Since.IsZero() && f.Since.Before(time.Unix(0, 0)) {
		return nil, "", errors.New("date out of range")
	}
	return s.Store.Deliveries(ctx, f)
}

// anyCursor begins a list anew behind a cursor that is none.
type anyCursor struct {
	alotwebhook.Store
	list string // which one
}

func (s anyCursor) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	page, next, err := s.Store.Deliveries(ctx, f)
	if s.list == "Deliveries" && errors.Is(err, alotwebhook.ErrInvalid) {
		f.Cursor = ""
		return s.Store.Deliveries(ctx, f)
	}
	return page, next, err
}

func (s anyCursor) Operations(ctx context.Context, f alotwebhook.OperationFilter) ([]alotwebhook.Operation, string, error) {
	page, next, err := s.Store.Operations(ctx, f)
	if s.list == "Operations" && errors.Is(err, alotwebhook.ErrInvalid) {
		f.Cursor = ""
		return s.Store.Operations(ctx, f)
	}
	return page, next, err
}

func (s anyCursor) Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (int, string, error) {
	n, next, err := s.Store.Erase(ctx, r, limit)
	if s.list == "Erase" && errors.Is(err, alotwebhook.ErrInvalid) {
		r.Cursor = ""
		return s.Store.Erase(ctx, r, limit)
	}
	return n, next, err
}

func takesAnyCursor(list string) mutant {
	return mutant{func(s alotwebhook.Store) alotwebhook.Store { return anyCursor{s, list} }, []string{"Texts/Cursors"}}
}

func unstorableMutants() map[string]mutant {
	return map[string]mutant{
		"QuotesAll": {func(s alotwebhook.Store) alotwebhook.Store { return quotesAll{s} }, []string{"Texts/NotFound"}},
		"OwnWords":  {func(s alotwebhook.Store) alotwebhook.Store { return ownWords{s} }, []string{"Texts/Refused"}},
		"SinceUnix": {func(s alotwebhook.Store) alotwebhook.Store { return sinceUnix{s} }, []string{"Texts/Times"}},

		"AnyDeliveryCursor":  takesAnyCursor("Deliveries"),
		"AnyOperationCursor": takesAnyCursor("Operations"),
		"AnyEraseCursor":     takesAnyCursor("Erase"),
	}
}
