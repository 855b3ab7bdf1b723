package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
)

// disabledStillSent never disables an endpoint.
type disabledStillSent struct{ alotwebhook.Store }

func (s disabledStillSent) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	e.Disabled = false
	return s.Store.PutEndpoint(ctx, e, ops...)
}

// disabledAtGiven keeps the DisabledAt that it is given.
type disabledAtGiven struct {
	alotwebhook.Store
	given sync.Map
}

func (s *disabledAtGiven) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	s.given.Store(e.ID, e.DisabledAt)
	return s.Store.PutEndpoint(ctx, e, ops...)
}

func (s *disabledAtGiven) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	e, err := s.Store.Endpoint(ctx, id)
	if given, ok := s.given.Load(id); ok {
		e.DisabledAt = given.(time.Time)
	}
	return e, err
}

// lastWriterWins ignores the version of endpoints.
type lastWriterWins struct{ alotwebhook.Store }

func (s lastWriterWins) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	err := s.Store.PutEndpoint(ctx, e, ops...)
	for errors.Is(err, alotwebhook.ErrConflict) {
		stored, readErr := s.Endpoint(ctx, e.ID)
		if readErr != nil {
			return fmt.Errorf("reading it again: %w", readErr)
		}
		e.Version = stored.Version
		err = s.Store.PutEndpoint(ctx, e, ops...)
	}
	return err
}

// writesFailingSince stores the FailingSince of an endpoint as it is given.
type writesFailingSince struct {
	alotwebhook.Store
	given sync.Map
}

func (s *writesFailingSince) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	err := s.Store.PutEndpoint(ctx, e, ops...)
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

func (s ignoresFailingSince) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	if e.Version > 0 {
		e.FailingSince = time.Time{}
	}
	return s.Store.PutEndpoint(ctx, e, ops...)
}

// secretTrimmed trims white space around secrets.
type secretTrimmed struct{ alotwebhook.Store }

func (s secretTrimmed) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	e.Secret = alotwebhook.Secret(strings.TrimSpace(string(e.Secret)))
	e.NextSecret = alotwebhook.Secret(strings.TrimSpace(string(e.NextSecret)))
	return s.Store.PutEndpoint(ctx, e, ops...)
}

// credentialsTrimmed trims white space around credentials.
type credentialsTrimmed struct{ alotwebhook.Store }

func (s credentialsTrimmed) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	e.Credentials = alotwebhook.Secret(strings.TrimSpace(string(e.Credentials)))
	return s.Store.PutEndpoint(ctx, e, ops...)
}

// credentialsStay takes no credentials for a change that keeps them, also in an endpoint that is made
// anew with the id of one that was deleted.
type credentialsStay struct {
	alotwebhook.Store
	given sync.Map
}

func (s *credentialsStay) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	if given, ok := s.given.Load(e.ID); ok && e.Credentials == "" {
		e.Credentials = given.(alotwebhook.Secret)
	}
	s.given.Store(e.ID, e.Credentials)
	return s.Store.PutEndpoint(ctx, e, ops...)
}

// credentialsOfAll keeps one text of credentials for all endpoints.
type credentialsOfAll struct {
	alotwebhook.Store
	last sync.Map
}

func (s *credentialsOfAll) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	s.last.Store("", e.Credentials)
	return s.Store.PutEndpoint(ctx, e, ops...)
}

func (s *credentialsOfAll) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	e, err := s.Store.Endpoint(ctx, id)
	if last, ok := s.last.Load(""); ok {
		e.Credentials = last.(alotwebhook.Secret)
	}
	return e, err
}

// idsIgnored lists all endpoints, whichever are asked for.
type idsIgnored struct{ alotwebhook.Store }

func (s idsIgnored) Endpoints(ctx context.Context, f alotwebhook.EndpointFilter) ([]alotwebhook.Endpoint, string, error) {
	f.IDs = nil
	return s.Store.Endpoints(ctx, f)
}

// discardsAll discards the deliveries of all events.
type discardsAll struct{ alotwebhook.Store }

func (s discardsAll) Discard(ctx context.Context, endpointID string, _ time.Time, limit int) (int, error) {
	return s.Store.Discard(ctx, endpointID, time.Now().Add(time.Hour), limit)
}

// takesBelowZero takes a negative limit for none, as SQL of some databases does.
type takesBelowZero struct{ alotwebhook.Store }

func (s takesBelowZero) Discard(ctx context.Context, endpointID string, before time.Time, limit int) (int, error) {
	if limit < 0 {
		limit = many
	}
	return s.Store.Discard(ctx, endpointID, before, limit)
}

func (s takesBelowZero) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	if c.Limit < 0 {
		c.Limit = many
	}
	return s.Store.Claim(ctx, c)
}

// purgesNothing purges nothing with a negative limit.
type purgesNothing struct{ alotwebhook.Store }

func (s purgesNothing) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	if p.Limit < 0 {
		return alotwebhook.PurgeResult{}, ctx.Err()
	}
	return s.Store.Purge(ctx, p)
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

// statusGoesWithEndpoint shows no status code of a delivery whose endpoint was deleted.
type statusGoesWithEndpoint struct{ alotwebhook.Store }

func (s statusGoesWithEndpoint) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	d, err := s.Store.Delivery(ctx, id)
	if d.LastReason == alotwebhook.ReasonEndpointDeleted {
		d.LastStatusCode = 0
	}
	return d, err
}
