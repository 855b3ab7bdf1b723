package storetest_test

import (
	"context"

	"github.com/alot/alotwebhook"
)

// failingIsLate takes what is due to endpoints that are failing for a sign that processes do not
// keep up.
type failingIsLate struct{ alotwebhook.Store }

func (s failingIsLate) Stats(ctx context.Context) (alotwebhook.Stats, error) {
	st, err := s.Store.Stats(ctx)
	st.OldestDue = max(st.OldestDue, st.OldestDueFailing)
	return st, err
}

// failingWithDisabled counts a disabled endpoint that has failed as failing.
type failingWithDisabled struct{ alotwebhook.Store }

func (s failingWithDisabled) Stats(ctx context.Context) (alotwebhook.Stats, error) {
	st, err := s.Store.Stats(ctx)
	if err != nil {
		return st, err
	}
	all, _, err := s.Endpoints(ctx, alotwebhook.EndpointFilter{})
	for _, e := range all {
		if e.Disabled && !e.FailingSince.IsZero() {
			st.FailingEndpoints++
		}
	}
	return st, err
}

// disabledIfParked counts a disabled endpoint only if something is parked for one.
type disabledIfParked struct{ alotwebhook.Store }

func (s disabledIfParked) Stats(ctx context.Context) (alotwebhook.Stats, error) {
	st, err := s.Store.Stats(ctx)
	st.DisabledEndpoints = min(st.DisabledEndpoints, st.Parked)
	return st, err
}
