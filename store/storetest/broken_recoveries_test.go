package storetest_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

// recoveryWithoutVersion ignores the version of recoveries.
type recoveryWithoutVersion struct{ alotwebhook.Store }

func (s recoveryWithoutVersion) PutRecovery(ctx context.Context, r alotwebhook.Recovery, ops ...alotwebhook.Operation) error {
	err := s.Store.PutRecovery(ctx, r, ops...)
	for errors.Is(err, alotwebhook.ErrConflict) {
		stored, _, readErr := s.Recoveries(ctx, alotwebhook.RecoveryFilter{EndpointID: r.EndpointID})
		if readErr != nil {
			return readErr
		}
		if r.Version = 0; len(stored) > 0 {
			r.Version = stored[0].Version
		}
		err = s.Store.PutRecovery(ctx, r, ops...)
	}
	return err
}

// recoveryInWholeSeconds rounds a time.
type recoveryInWholeSeconds struct{ alotwebhook.Store }

func (s recoveryInWholeSeconds) PutRecovery(ctx context.Context, r alotwebhook.Recovery, ops ...alotwebhook.Operation) error {
	r.Until = r.Until.Truncate(time.Second)
	return s.Store.PutRecovery(ctx, r, ops...)
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
