package storetest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/alot/alotwebhook"
)

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

// forgetsHeld is a store that releases what is to stay leased.
type forgetsHeld struct{ alotwebhook.Store }

func (s forgetsHeld) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	outcomes = slices.Clone(outcomes)
	for i := range outcomes {
		outcomes[i].Held = false
	}
	return s.Store.Finish(ctx, outcomes)
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

// reasonDropped forgets the reason of an outcome without an attempt.
type reasonDropped struct{ alotwebhook.Store }

func (s reasonDropped) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	outcomes = slices.Clone(outcomes)
	for i := range outcomes {
		if outcomes[i].Attempt.Number == 0 {
			outcomes[i].Attempt.Reason = ""
		}
	}
	return s.Store.Finish(ctx, outcomes)
}

// successByReason takes every attempt without a reason for a success.
type successByReason struct {
	alotwebhook.Store
	failing sync.Map
}

func (s *successByReason) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	for _, o := range outcomes {
		d, err := s.Delivery(ctx, o.DeliveryID)
		if err == nil && o.Attempt.Number > 0 {
			s.failing.Store(d.EndpointID, o.Attempt.Reason != "")
		}
	}
	return s.Store.Finish(ctx, outcomes)
}

func (s *successByReason) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	e, err := s.Store.Endpoint(ctx, id)
	e.FailingSince = time.Time{}
	if failing, ok := s.failing.Load(id); ok && failing.(bool) {
		e.FailingSince = time.Now()
	}
	return e, err
}
