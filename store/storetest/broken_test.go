package storetest_test

import (
	"context"
	"strings"

	"github.com/alot/alotwebhook"
)

// The stores in the files broken_*_test.go wrap a store that keeps the contract. Each adds one fault
// to what its file is named for; those in this file have several.

// oneByOne stores each member of a batch by itself.
type oneByOne struct{ alotwebhook.Store }

func (s oneByOne) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	for i := range events {
		if err := s.Store.Enqueue(ctx, events[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (s oneByOne) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) (lost []string, err error) {
	for i := range outcomes {
		one, err := s.Store.Finish(ctx, outcomes[i:i+1])
		if err != nil {
			return nil, err
		}
		lost = append(lost, one...)
	}
	return lost, nil
}

func (s oneByOne) Redeliver(ctx context.Context, ids []string) (n int, err error) {
	for i := range ids {
		one, err := s.Store.Redeliver(ctx, ids[i:i+1])
		if err != nil {
			return n, err
		}
		n += one
	}
	return n, nil
}

func (s oneByOne) Cancel(ctx context.Context, ids []string) (n int, err error) {
	for i := range ids {
		one, err := s.Store.Cancel(ctx, ids[i:i+1])
		if err != nil {
			return n, err
		}
		n += one
	}
	return n, nil
}

// tenDefects has most of the faults at once of a store that somebody wrote in an afternoon
// with other habits. It passed all rules that there were at first.
func tenDefects(s alotwebhook.Store) alotwebhook.Store {
	s = &redeliverReadsFirst{Store: s}
	s = &subscriptionsReadFirst{Store: s}
	s = purgeStuck{s}
	s = oneByOne{s}
	s = cutting{Store: s, secret: 255, url: 255}
	s = storesTheGood{s}
	return folding{Store: s, organization: func(org string) string { return strings.ToLower(withoutAccents(withoutBlanks(org))) }}
}

// bare has the methods of a store and no capability.
type bare struct{ alotwebhook.Store }

// wrapper has the capabilities of the store that it wraps, whatever their faults.
type wrapper struct {
	alotwebhook.Store
	inner alotwebhook.Store
}

func (s wrapper) Unwrap() alotwebhook.Store { return s.inner }
