package storetest_test

import (
	"context"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/feed"
)

// brokenBackfiller has a backfill with a fault. What it leaves out is as it should be.
type brokenBackfiller struct {
	alotwebhook.Store
	feed.Feeder
	feed.Backfiller
	asked func(r *alotwebhook.Recovery, types *[]string, limit *int)
	after func(r alotwebhook.Recovery, next *string, sent, left *int)
	fails func(error) error
}

func (s *brokenBackfiller) Backfill(ctx context.Context, r alotwebhook.Recovery, types []string, limit int) (sent, left int, at time.Time, next string, err error) {
	if s.asked != nil {
		s.asked(&r, &types, &limit)
	}
	sent, left, at, next, err = s.Backfiller.Backfill(ctx, r, types, limit)
	if s.after != nil && err == nil {
		s.after(r, &next, &sent, &left)
	}
	if s.fails != nil {
		err = s.fails(err)
	}
	return sent, left, at, next, err
}

// backfills returns a store with that fault in its backfill, and the rules that find it.
func backfills(fault func(*brokenBackfiller), found ...string) mutant {
	return mutant{func(s alotwebhook.Store) alotwebhook.Store {
		broken := &brokenBackfiller{Store: s, Feeder: s.(feed.Feeder), Backfiller: s.(feed.Backfiller)}
		fault(broken)
		return broken
	}, found}
}

func backfillMutants() map[string]mutant {
	return map[string]mutant{
		"FeedBackfillAllTypes": backfills(func(s *brokenBackfiller) {
			s.asked = func(_ *alotwebhook.Recovery, types *[]string, _ *int) { *types = append(*types, "candidate.invited") }
		}, "Backfill/Missed"),
		"FeedBackfillSinceIgnored": backfills(func(s *brokenBackfiller) {
			s.asked = func(r *alotwebhook.Recovery, _ *[]string, _ *int) { r.Since = time.Time{} }
		}, "Backfill/Since"),
		"FeedBackfillLimitIgnored": backfills(func(s *brokenBackfiller) {
			s.asked = func(_ *alotwebhook.Recovery, _ *[]string, limit *int) { *limit = 1000 }
		}, "Backfill/Pages"),
		"FeedBackfillOnePage": backfills(func(s *brokenBackfiller) {
			s.after = func(_ alotwebhook.Recovery, next *string, _, _ *int) { *next = "" }
		}, "Backfill/Pages"),
		"FeedBackfillCountsAll": backfills(func(s *brokenBackfiller) {
			s.after = func(_ alotwebhook.Recovery, _ *string, sent, left *int) { *sent, *left = *sent+*left, 0 }
		}, "Backfill/LeavesAlone"),
		"FeedBackfillRedelivers": backfills(func(s *brokenBackfiller) {
			s.after = func(r alotwebhook.Recovery, _ *string, _, _ *int) {
				page, _, _ := s.Deliveries(context.Background(), alotwebhook.Filter{EndpointID: r.EndpointID, State: alotwebhook.StateFailed})
				for _, d := range page {
					_, _ = s.Redeliver(context.Background(), []string{d.ID})
				}
			}
		}, "Backfill/LeavesAlone"),
		"FeedBackfillNoEndpoint": backfills(func(s *brokenBackfiller) { s.fails = func(error) error { return nil } }, "Backfill/Disabled"),
	}
}
