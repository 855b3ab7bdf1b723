package pace_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/pace"
)

func TestPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		require.True(t, pace.Pause(t.Context(), time.Hour))
		require.Equal(t, time.Hour, time.Since(began))

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.False(t, pace.Pause(ctx, time.Hour))
		require.Equal(t, time.Hour+time.Minute, time.Since(began))
	})
}

func TestWakeNeverBlocks(t *testing.T) {
	t.Parallel()
	c := make(chan struct{}, 1)
	pace.Wake(c)
	pace.Wake(c)
	require.Len(t, c, 1)
}

// requireAbout requires a wait of want, less up to an eighth that is random.
func requireAbout(t *testing.T, want, got time.Duration) {
	t.Helper()
	require.LessOrEqual(t, got, want)
	require.GreaterOrEqual(t, got, want-want/8-1)
}

func TestPoller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pace.NewPoller(200 * time.Millisecond)
		for range 100 {
			requireAbout(t, 200*time.Millisecond, p.Wait(0))
		}
		require.Equal(t, 3*time.Millisecond, p.Wait(3*time.Millisecond), "a delivery falls due before")
		requireAbout(t, 200*time.Millisecond, p.Wait(time.Hour))

		p.Soon()
		began := time.Now()
		for range 100 { // as many as cut a wait short
			requireAbout(t, time.Millisecond, p.Wait(0))
		}
		waits := 0
		for passed := time.Duration(0); passed < 199*time.Millisecond; passed = time.Since(began) {
			requireAbout(t, passed+time.Millisecond, p.Wait(0))
			time.Sleep(p.Wait(0))
			waits++
		}
		require.LessOrEqual(t, waits, 10, "each is nearly twice as long as the one before")
		time.Sleep(p.Wait(0))
		requireAbout(t, 200*time.Millisecond, p.Wait(0))
		p.Soon()
		requireAbout(t, time.Millisecond, p.Wait(0))
	})
}

func TestPollersDoNotPollInStep(t *testing.T) {
	t.Parallel()
	waits := map[time.Duration]bool{}
	for range 100 {
		waits[pace.NewPoller(time.Minute).Wait(0)] = true
	}
	require.Greater(t, len(waits), 50)
}

func TestEpisode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		e := pace.Episode{Log: slog.New(slog.NewTextHandler(&log, nil)), Operation: "claim"}
		e.Over()
		require.Empty(t, log.String(), "nothing had failed")

		most := 50 * time.Millisecond
		for range 20 {
			wait := e.Failed(errors.New("no space left"))
			require.GreaterOrEqual(t, wait, most/2)
			require.LessOrEqual(t, wait, most)
			most = min(2*most, 5*time.Second)
		}
		require.Equal(t, 1, strings.Count(log.String(), "\n"), "one line at the start")
		require.Contains(t, log.String(), `operation=claim error="no space left"`)

		time.Sleep(time.Minute) // of faked time
		e.Over()
		e.Over()
		require.Equal(t, 2, strings.Count(log.String(), "\n"), "and one at the end")
		require.Contains(t, log.String(), "operation=claim after=1m0s")
		require.LessOrEqual(t, e.Failed(errors.New("again")), 50*time.Millisecond, "a new episode")
	})
}
