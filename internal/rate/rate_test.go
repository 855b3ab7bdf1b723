package rate_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/rate"
)

func TestAKeyIsUsedSoManyTimesAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := rate.New("uses", 60)
		for range 60 {
			require.Zero(t, l.Take("a"), "all at once")
		}
		require.Equal(t, time.Second, l.Take("a"))
		require.Equal(t, time.Second, l.Take("a"), "a refused use costs nothing")
		require.Zero(t, l.Take("b"), "each key has its own")
		time.Sleep(time.Second)
		require.Zero(t, l.Take("a"), "the wait was right")
		require.Equal(t, time.Second, l.Take("a"))
		time.Sleep(600 * time.Millisecond)
		require.Equal(t, 400*time.Millisecond, l.Take("a"))
		time.Sleep(time.Hour)
		for range 60 {
			require.Zero(t, l.Take("a"), "never more than that at once, however long it was unused")
		}
		require.Positive(t, l.Take("a"))
	})
}

func TestTheRateHolds(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []int{1, 7, 60, 600} {
		synctest.Test(t, func(t *testing.T) {
			l := rate.New("uses", perMinute)
			used := 0
			for began := time.Now(); time.Since(began) < 3*time.Minute; {
				wait := l.Take("a")
				if wait == 0 {
					used++
				}
				time.Sleep(wait)
			}
			require.InDelta(t, 4*perMinute, used, float64(perMinute)/100+1, "a burst, and three minutes")
		})
	}
}

func TestNoLimit(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, -1} {
		l := rate.New("uses", n)
		for range 1000 {
			require.Zero(t, l.Take("a"))
		}
	}
}

func TestUnusedKeysAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := rate.New("uses", 2)
		for i := range 1000 {
			l.Take(fmt.Sprint(i))
		}
		require.Equal(t, 1000, l.Len())
		time.Sleep(2 * time.Minute)
		l.Take("a")
		require.Equal(t, 1, l.Len())
		for i := range 2 * rate.MaxKeys {
			l.Take(fmt.Sprint(i))
			if i%1000 == 0 {
				require.LessOrEqual(t, l.Len(), rate.MaxKeys)
			}
		}
		require.LessOrEqual(t, l.Len(), rate.MaxKeys)
	})
}

func TestAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := rate.New("uses", 50)
		var used atomic.Int64
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				if l.Take("a") == 0 {
					used.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 50, used.Load())
	})
}
