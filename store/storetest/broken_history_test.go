package storetest_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
)

// pageHasGap returns a cursor that skips a delivery.
type pageHasGap struct{ alotwebhook.Store }

func (s pageHasGap) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	page, next, err := s.Store.Deliveries(ctx, f)
	if next == "" {
		return page, next, err
	}
	f.Cursor, f.Limit = next, 1
	skipped, _, err := s.Store.Deliveries(ctx, f)
	return page, skipped[0].ID, err
}

// pageRepeats pages by offset, so that a page repeats deliveries when newer ones are stored.
type pageRepeats struct{ alotwebhook.Store }

func (s *pageRepeats) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	offset := 0
	_, _ = fmt.Sscan(f.Cursor, &offset)
	limit := f.Limit
	f.Cursor, f.Limit = "", 100_000
	all, _, err := s.Store.Deliveries(ctx, f)
	all = all[min(offset, len(all)):]
	if len(all) <= limit {
		return all, "", err
	}
	return all[:limit], fmt.Sprint(offset + limit), err
}

// pageEndsEarly returns no cursor with a page that is not full.
type pageEndsEarly struct{ alotwebhook.Store }

func (s pageEndsEarly) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	page, next, err := s.Store.Deliveries(ctx, f)
	if len(page) < f.Limit || f.Limit == 1 {
		next = ""
	}
	return page, next, err
}

// pageShort returns half of each page, without need.
type pageShort struct{ alotwebhook.Store }

func (s pageShort) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	f.Limit = max(f.Limit/2, 1)
	return s.Store.Deliveries(ctx, f)
}

// forgetful keeps only the newest ten attempts.
type forgetful struct{ alotwebhook.Store }

func (s forgetful) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	d, err := s.Store.Delivery(ctx, id)
	d.Attempts = d.Attempts[max(0, len(d.Attempts)-10):]
	return d, err
}

// redeliverCountsAll also counts the deliveries that it did not make due.
type redeliverCountsAll struct{ alotwebhook.Store }

func (s redeliverCountsAll) Redeliver(ctx context.Context, ids []string) (int, error) {
	_, err := s.Store.Redeliver(ctx, ids)
	return len(ids), err
}

// redeliverTwiceInBatch counts a delivery as often as it is in the batch.
type redeliverTwiceInBatch struct{ alotwebhook.Store }

func (s redeliverTwiceInBatch) Redeliver(ctx context.Context, ids []string) (int, error) {
	n, err := s.Store.Redeliver(ctx, ids)
	distinct := slices.Compact(slices.Sorted(slices.Values(ids)))
	return n + len(ids) - len(distinct), err
}

// redeliverReadsFirst looks at a delivery and then makes it due, without a lock in
// between: one that was claimed meanwhile is due again.
type redeliverReadsFirst struct {
	alotwebhook.Store
	newest sync.Map // the token of each delivery's newest claim
}

func (s *redeliverReadsFirst) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	for _, d := range r.Deliveries {
		s.newest.Store(d.DeliveryID, d.Token)
	}
	return r, err
}

func (s *redeliverReadsFirst) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	lost, err := s.Store.Finish(ctx, outcomes)
	for _, o := range outcomes {
		if !o.Held {
			s.newest.Delete(o.DeliveryID)
		}
	}
	return lost, err
}

func (s *redeliverReadsFirst) Redeliver(ctx context.Context, ids []string) (int, error) {
	var free []string
	for _, id := range ids {
		if _, leased := s.newest.Load(id); !leased {
			free = append(free, id)
		}
	}
	time.Sleep(3 * time.Millisecond) // the window
	n, err := s.Store.Redeliver(ctx, free)
	for _, id := range free {
		if token, leased := s.newest.Load(id); leased && err == nil {
			_, err = s.Store.Finish(ctx, []alotwebhook.Outcome{{DeliveryID: id, Token: token.(int64), State: alotwebhook.StatePending}})
			n++
		}
	}
	return n, err
}
