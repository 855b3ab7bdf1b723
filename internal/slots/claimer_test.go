package slots_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/pace"
	"github.com/alot/alotwebhook/internal/slots"
)

// claimer is a Claimer whose workers do nothing, so that its jobs stay queued.
type claimer struct {
	*slots.Claimer[int]
	slots *slots.Slots
	wake  chan struct{}
	left  int
}

func newClaimer(inFlight int) *claimer {
	c := &claimer{slots: slots.New(inFlight, inFlight, 0, 0), wake: make(chan struct{}, 1)}
	workers := &slots.Workers{Slots: c.slots, Work: func() {}}
	c.Claimer = slots.NewClaimer[int](workers, c.wake, func() { c.left++ })
	return c
}

func (c *claimer) take(n int) (taken []*slots.Slot) {
	for range n {
		taken = append(taken, c.slots.Take("org_1", "wh_1", 0))
	}
	return taken
}

// took returns how long wait waited.
func took(wait func()) time.Duration {
	began := time.Now()
	wait()
	return time.Since(began)
}

func TestAClaimerWaitsForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const gather = 5 * time.Millisecond
		c := newClaimer(4)
		room := func() { require.True(t, c.AwaitRoom(t.Context(), gather)) }
		require.Zero(t, took(room), "nothing is under way")
		c.take(2)
		require.Equal(t, pace.LeastGather, took(room), "half of it is free")
		c.take(1)
		require.Equal(t, pace.LeastGather+gather, took(room), "less is free, and more may gather")
		full := c.take(1)
		go func() {
			time.Sleep(10 * time.Millisecond)
			c.slots.Release(full[0], slots.Effect{})
			pace.Wake(c.Freed)
		}()
		require.Equal(t, 10*time.Millisecond, took(room), "nothing is free before")
	})
}

func TestAClaimerWithoutRoomLeavesWorkToOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClaimer(4)
		c.take(4)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		require.False(t, c.AwaitRoom(ctx, time.Millisecond))
		require.Equal(t, 1, c.left)
	})
}

func TestAClaimerWaitsForWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClaimer(1)
		work := func() { c.AwaitWork(t.Context(), time.Minute) }
		require.Equal(t, time.Minute, took(work))
		pace.Wake(c.wake)
		require.Zero(t, took(work), "something may be due")
		pace.Wake(c.Freed)
		require.Equal(t, time.Minute, took(work), "nobody was refused the slot that is free")
		require.True(t, c.Queue(t.Context(), 1))
		require.Equal(t, slots.Patience, took(work), "a job waits for a worker")
	})
}

func TestJobsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClaimer(1)
		require.True(t, c.Queue(t.Context(), 1))
		require.True(t, c.Queue(t.Context(), 2))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.False(t, c.Queue(ctx, 3))
		require.Len(t, c.Jobs, 2)
		go func() { <-c.Jobs }()
		require.True(t, c.Queue(t.Context(), 3), "once there is a place")
	})
}
