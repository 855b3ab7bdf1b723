package teller_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/teller"
)

func TestCallsComeInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tell := teller.New(slog.New(slog.DiscardHandler), nil)
		var got []int
		for i := range 100 {
			tell.Tell(1, func() { got = append(got, i) })
		}
		tell.Wait(t.Context())
		for i := range 100 {
			require.Equal(t, i, got[i])
		}
		tell.Wait(t.Context()) // for nothing
	})
}

func TestWhatCannotWaitIsMissed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		missed, told := 0, 0
		tell := teller.New(slog.New(slog.DiscardHandler), func(n int) { missed += n })
		release := make(chan struct{})
		tell.Tell(1, func() { <-release })
		synctest.Wait()
		for range 40 {
			tell.Tell(1000, func() { told++ })
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		tell.Wait(ctx)
		require.Equal(t, time.Second, time.Since(began))
		close(release)
		tell.Wait(t.Context())
		require.Equal(t, 17, told)
		require.Equal(t, 23, missed)
		tell.Tell(1000, func() { told++ })
		tell.Wait(t.Context())
		require.Equal(t, 18, told, "there is room again")
	})
}

func TestPanicsAreLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		tell := teller.New(slog.New(slog.NewTextHandler(&log, nil)), func(int) { panic("once more") })
		told := false
		for range 1000 {
			tell.Tell(1, func() { panic("at the disco") })
		}
		tell.Tell(1, func() { told = true })
		tell.Wait(t.Context())
		require.True(t, told)
		require.Equal(t, 10, strings.Count(log.String(), "the observer panicked"), "in a minute")
		require.Contains(t, log.String(), "teller_test.go", "the log says where")
		require.NotContains(t, log.String(), "at the disco", "it may be a secret")
	})
}
