package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/bench/internal/stores"
)

// dispatcher returns a contender that delivers from a store to a number of endpoints, with or
// without a disturbance.
func dispatcher(store string, endpoints, inFlight int, disturbed disturbance) contender {
	name := fmt.Sprintf("%s, %d endpoints%s", store, endpoints, disturbed.name)
	return contender{name: name, prepare: func(ctx context.Context, rx *receiver, n int) (work, error) {
		s, err := stores.New(ctx, store)
		if err != nil {
			return work{}, err
		}
		d, run, err := preload(ctx, s, rx.url, endpoints, inFlight, n)
		if err != nil {
			return work{}, errors.Join(err, s.Close())
		}
		if disturbed.begin == nil {
			return work{run: run, close: sync.OnceValue(s.Close)}, nil
		}
		end, err := disturbed.begin(ctx, s, d)
		if err != nil {
			return work{}, errors.Join(err, s.Close())
		}
		return work{run: run, close: sync.OnceValue(func() error { return errors.Join(end(), s.Close()) })}, nil
	}}
}

// preload stores n events, and returns a dispatcher with the function that delivers them.
func preload(ctx context.Context, s alotwebhook.Store, url string, endpoints, inFlight, n int) (d *alotwebhook.Dispatcher, run func(context.Context) error, err error) {
	var attempts, failures atomic.Int64
	done := make(chan struct{})
	d, err = alotwebhook.NewDispatcher(s, &alotwebhook.Config{
		InFlight:            inFlight,
		InFlightPerEndpoint: max(1, min(inFlight, 32)),
		AllowHTTP:           true,
		AllowNets:           []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Logger:              slog.New(slog.DiscardHandler),
		OnAttempt: func(a alotwebhook.AttemptInfo) {
			if a.Attempt.Reason != "" {
				failures.Add(1)
			}
			if attempts.Add(1) == int64(n) {
				close(done)
			}
		},
	})
	if err != nil {
		return nil, nil, err
	}
	if err := createEndpoints(ctx, d, url, endpoints); err != nil {
		return nil, nil, err
	}
	if err := emit(ctx, d, endpoints, n); err != nil {
		return nil, nil, err
	}
	return d, func(ctx context.Context) error {
		if err := runUntil(ctx, d, done); err != nil {
			return err
		}
		return allDelivered(ctx, d, failures.Load())
	}, nil
}

// organization returns the name of organization i. It has endpoint i only, so that n events
// are n deliveries.
func organization(i int) string { return fmt.Sprintf("org_%d", i) }

func createEndpoints(ctx context.Context, d *alotwebhook.Dispatcher, url string, endpoints int) error {
	for i := range endpoints {
		_, err := d.CreateEndpoint(ctx, alotwebhook.Endpoint{
			OrganizationID: organization(i),
			URL:            fmt.Sprintf("%s/%d", url, i),
			EventTypes:     []string{"candidate.completed"},
			Secret:         benchSecret,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func emit(ctx context.Context, d *alotwebhook.Dispatcher, endpoints, n int) error {
	const batch = 1000
	events := make([]alotwebhook.Event, 0, batch)
	for i := range n {
		e, err := newEvent(organization(i % endpoints))
		if err != nil {
			return err
		}
		events = append(events, e)
		if len(events) == batch || i == n-1 {
			if err := d.Emit(ctx, events...); err != nil {
				return err
			}
			events = events[:0]
		}
	}
	return nil
}

// runUntil runs the dispatcher until done is closed, and until all outcomes are stored.
func runUntil(ctx context.Context, d *alotwebhook.Dispatcher, done <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	select {
	case <-done:
		cancel()
		return <-ended
	case err := <-ended:
		return errors.Join(err, errors.New("the dispatcher ended before all events were delivered"))
	}
}

// allDelivered checks that no attempt failed and no delivery is pending.
func allDelivered(ctx context.Context, d *alotwebhook.Dispatcher, failures int64) error {
	stats, err := d.Stats(ctx)
	if err != nil {
		return err
	}
	if stats.Pending+failures > 0 {
		return fmt.Errorf("%d attempts failed and %d deliveries are still pending", failures, stats.Pending)
	}
	return nil
}
