package shards_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

var errDown = errors.New("the database is away")

// The ways in which a shard can be ill.
const (
	well      int32 = iota
	fails           // each call returns an error at once
	hangs           // each call ends with its context
	slow            // each call takes a while
	silent          // each call does its work, and its answer is lost
	takesNone       // Finish hangs, all else works
	refuses         // Finish fails, all else works
	stubborn        // each call ends when the shard is cured, whatever its context says
)

// ill is a shard that can be ill.
type ill struct {
	*memory.Store
	way   atomic.Int32
	calls sync.Map // the number of calls by method: *atomic.Int64
	took  time.Duration
	cured chan struct{} // closed when a stubborn shard is cured
}

func newIll() *ill {
	return &ill{Store: memory.New(), took: 200 * time.Millisecond, cured: make(chan struct{})}
}

func (i *ill) count(method string) int64 {
	n, _ := i.calls.LoadOrStore(method, new(atomic.Int64))
	return n.(*atomic.Int64).Load()
}

// call does work as the shard's way is.
func (i *ill) call(ctx context.Context, method string, work func() error) error {
	n, _ := i.calls.LoadOrStore(method, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
	switch way := i.way.Load(); {
	case way == fails, way == refuses && method == "Finish":
		return errDown
	case way == hangs, way == takesNone && method == "Finish":
		<-ctx.Done()
		return ctx.Err()
	case way == silent:
		_ = work()
		<-ctx.Done()
		return ctx.Err()
	case way == slow:
		time.Sleep(i.took)
	case way == stubborn:
		<-i.cured
	}
	return work()
}

func (i *ill) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	return i.call(ctx, "Enqueue", func() error { return i.Store.Enqueue(ctx, events) })
}

func (i *ill) EnqueueTo(ctx context.Context, id string, event alotwebhook.Event) error {
	return i.call(ctx, "EnqueueTo", func() error { return i.Store.EnqueueTo(ctx, id, event) })
}

func (i *ill) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (r alotwebhook.ClaimResult, err error) {
	err = i.call(ctx, "Claim", func() (err error) { r, err = i.Store.Claim(ctx, c); return err })
	return r, err
}

func (i *ill) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) (lost []string, err error) {
	err = i.call(ctx, "Finish", func() (err error) { lost, err = i.Store.Finish(ctx, outcomes); return err })
	return lost, err
}

func (i *ill) Redeliver(ctx context.Context, ids []string) (n int, err error) {
	err = i.call(ctx, "Redeliver", func() (err error) { n, err = i.Store.Redeliver(ctx, ids); return err })
	return n, err
}

func (i *ill) Cancel(ctx context.Context, ids []string) (n int, err error) {
	err = i.call(ctx, "Cancel", func() (err error) { n, err = i.Store.Cancel(ctx, ids); return err })
	return n, err
}

func (i *ill) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	return i.call(ctx, "PutEndpoint", func() error { return i.Store.PutEndpoint(ctx, e, ops...) })
}

func (i *ill) Endpoint(ctx context.Context, id string) (e alotwebhook.Endpoint, err error) {
	err = i.call(ctx, "Endpoint", func() (err error) { e, err = i.Store.Endpoint(ctx, id); return err })
	return e, err
}

func (i *ill) Endpoints(ctx context.Context, f alotwebhook.EndpointFilter) (page []alotwebhook.Endpoint, next string, err error) {
	err = i.call(ctx, "Endpoints", func() (err error) { page, next, err = i.Store.Endpoints(ctx, f); return err })
	return page, next, err
}

func (i *ill) DeleteEndpoint(ctx context.Context, id string, ops ...alotwebhook.Operation) error {
	return i.call(ctx, "DeleteEndpoint", func() error { return i.Store.DeleteEndpoint(ctx, id, ops...) })
}

func (i *ill) Discard(ctx context.Context, id string, before time.Time, limit int) (n int, err error) {
	err = i.call(ctx, "Discard", func() (err error) { n, err = i.Store.Discard(ctx, id, before, limit); return err })
	return n, err
}

func (i *ill) PutRecovery(ctx context.Context, r alotwebhook.Recovery, ops ...alotwebhook.Operation) error {
	return i.call(ctx, "PutRecovery", func() error { return i.Store.PutRecovery(ctx, r, ops...) })
}

func (i *ill) Recoveries(ctx context.Context, f alotwebhook.RecoveryFilter) (page []alotwebhook.Recovery, next string, err error) {
	err = i.call(ctx, "Recoveries", func() (err error) { page, next, err = i.Store.Recoveries(ctx, f); return err })
	return page, next, err
}

func (i *ill) Operations(ctx context.Context, f alotwebhook.OperationFilter) (page []alotwebhook.Operation, next string, err error) {
	err = i.call(ctx, "Operations", func() (err error) { page, next, err = i.Store.Operations(ctx, f); return err })
	return page, next, err
}

func (i *ill) ClaimOperations(ctx context.Context, limit int, lease time.Duration) (claimed []alotwebhook.Operation, err error) {
	err = i.call(ctx, "ClaimOperations", func() (err error) { claimed, err = i.Store.ClaimOperations(ctx, limit, lease); return err })
	return claimed, err
}

func (i *ill) FinishOperations(ctx context.Context, ids []string, again time.Duration) error {
	return i.call(ctx, "FinishOperations", func() error { return i.Store.FinishOperations(ctx, ids, again) })
}

func (i *ill) Event(ctx context.Context, id string) (e alotwebhook.Event, err error) {
	err = i.call(ctx, "Event", func() (err error) { e, err = i.Store.Event(ctx, id); return err })
	return e, err
}

func (i *ill) Deliveries(ctx context.Context, f alotwebhook.Filter) (page []alotwebhook.Delivery, next string, err error) {
	err = i.call(ctx, "Deliveries", func() (err error) { page, next, err = i.Store.Deliveries(ctx, f); return err })
	return page, next, err
}

func (i *ill) Delivery(ctx context.Context, id string) (d alotwebhook.Delivery, err error) {
	err = i.call(ctx, "Delivery", func() (err error) { d, err = i.Store.Delivery(ctx, id); return err })
	return d, err
}

func (i *ill) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (r alotwebhook.PurgeResult, err error) {
	err = i.call(ctx, "Purge", func() (err error) { r, err = i.Store.Purge(ctx, p); return err })
	return r, err
}

func (i *ill) Stats(ctx context.Context) (s alotwebhook.Stats, err error) {
	err = i.call(ctx, "Stats", func() (err error) { s, err = i.Store.Stats(ctx); return err })
	return s, err
}

func (i *ill) AddTallies(ctx context.Context, list []alotwebhook.Tally) error {
	return i.call(ctx, "AddTallies", func() error { return i.Store.AddTallies(ctx, list) })
}

func (i *ill) Tallies(ctx context.Context, ids []string, since time.Time) (list []alotwebhook.Tally, err error) {
	err = i.call(ctx, "Tallies", func() (err error) { list, err = i.Store.Tallies(ctx, ids, since); return err })
	return list, err
}

func (i *ill) PutPause(ctx context.Context, p alotwebhook.Pause, ops ...alotwebhook.Operation) error {
	return i.call(ctx, "PutPause", func() error { return i.Store.PutPause(ctx, p, ops...) })
}

func (i *ill) DeletePause(ctx context.Context, organizationID, endpointID string, ops ...alotwebhook.Operation) error {
	return i.call(ctx, "DeletePause", func() error { return i.Store.DeletePause(ctx, organizationID, endpointID, ops...) })
}

func (i *ill) Pauses(ctx context.Context) (list []alotwebhook.Pause, err error) {
	err = i.call(ctx, "Pauses", func() (err error) { list, err = i.Store.Pauses(ctx); return err })
	return list, err
}

func (i *ill) Backlogs(ctx context.Context, limit int) (list []alotwebhook.Backlog, err error) {
	err = i.call(ctx, "Backlogs", func() (err error) { list, err = i.Store.Backlogs(ctx, limit); return err })
	return list, err
}

func (i *ill) Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (n int, next string, err error) {
	err = i.call(ctx, "Erase", func() (err error) { n, next, err = i.Store.Erase(ctx, r, limit); return err })
	return n, next, err
}

func (i *ill) Remove(ctx context.Context, organizationID string, limit int) (n int, err error) {
	err = i.call(ctx, "Remove", func() (err error) { n, err = i.Store.Remove(ctx, organizationID, limit); return err })
	return n, err
}
