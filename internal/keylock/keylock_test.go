package keylock_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/keylock"
)

func TestOneKeyIsLockedOnce(t *testing.T) {
	t.Parallel()
	var locks keylock.Locks
	inside, most := 0, 0
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			unlock, err := locks.Lock(context.Background(), "a")
			require.NoError(t, err)
			inside++ // the race detector finds two at once
			most = max(most, inside)
			inside--
			unlock()
		})
	}
	wg.Wait()
	require.Equal(t, 1, most)
	require.Zero(t, locks.Len(), "nothing stays behind")
}

func TestKeysDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	var locks keylock.Locks
	a, err := locks.Lock(t.Context(), "a")
	require.NoError(t, err)
	b, err := locks.Lock(t.Context(), "b")
	require.NoError(t, err)
	require.Equal(t, 2, locks.Len())
	a()
	b()
	require.Zero(t, locks.Len())
}

func TestLockEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var locks keylock.Locks
		unlock, err := locks.Lock(t.Context(), "a")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = locks.Lock(ctx, "a")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		unlock()
		unlock, err = locks.Lock(t.Context(), "a")
		require.NoError(t, err, "who gave up holds nobody up")
		unlock()
		require.Zero(t, locks.Len())
	})
}
