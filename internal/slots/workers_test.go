package slots_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/slots"
)

func TestWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const inFlight, waiting = 2, 3
		s := slots.New(inFlight, 10, waiting, 0)
		jobs := make(chan bool)
		var running atomic.Int64
		w := &slots.Workers{Slots: s}
		w.Work = func() {
			running.Add(1)
			defer running.Add(-1)
			for range jobs {
				if w.IsSurplus() {
					return
				}
			}
		}
		require.Zero(t, staffed(w, &running), "there is nothing to do")
		var taken []*slots.Slot
		for range inFlight + 2 {
			taken = append(taken, s.Take("org_1", "wh_1", 0))
		}
		require.EqualValues(t, inFlight, staffed(w, &running), "no more than may be in flight")
		require.EqualValues(t, inFlight, staffed(w, &running))
		for _, slot := range taken[:2] {
			require.True(t, s.Begin(t.Context(), slot))
		}
		time.Sleep(time.Second) // they have become slow
		require.EqualValues(t, inFlight+2, staffed(w, &running), "one more for each that waits for its receiver")

		for _, slot := range taken {
			s.Release(slot, slots.Effect{Succeeded: true})
		}
		for range 2 {
			jobs <- true
			synctest.Wait()
		}
		require.EqualValues(t, inFlight, running.Load(), "who is not needed any more ends")
		jobs <- true
		synctest.Wait()
		require.EqualValues(t, inFlight, running.Load())
		done := w.Done()
		select {
		case <-done:
			require.Fail(t, "they still work")
		default:
		}
		close(jobs)
		<-done
		require.Zero(t, running.Load())
	})
}

// staffed returns how many workers there are after a call of Staff.
func staffed(w *slots.Workers, running *atomic.Int64) int64 {
	w.Staff()
	synctest.Wait()
	return running.Load()
}
