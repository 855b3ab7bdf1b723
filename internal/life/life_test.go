package life_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/life"
)

func TestBeginsOnce(t *testing.T) {
	t.Parallel()
	l := life.New()
	require.True(t, l.Begin())
	require.False(t, l.Begin())
	ended := life.New()
	require.NoError(t, ended.Shutdown(t.Context()), "nothing runs")
	require.False(t, ended.Begin())
	require.NoError(t, ended.Shutdown(t.Context()))
}

// Shutdown ends the run's context, and waits for the end of the run.
func TestShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := life.New()
		require.True(t, l.Begin())
		ctx, stop := l.Context(t.Context())
		defer stop()
		go func() {
			<-ctx.Done()
			time.Sleep(time.Second)
			l.End()
		}()
		require.NoError(t, ctx.Err())
		began := time.Now()
		require.NoError(t, l.Shutdown(t.Context()))
		require.Equal(t, time.Second, time.Since(began))
	})
}

// When its context is done, the run is cut off: Drain waits no longer, and Shutdown for the end.
func TestShutdownCutsOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := life.New()
		require.True(t, l.Begin())
		run, stop := l.Context(t.Context())
		defer stop()
		go func() {
			<-run.Done()
			l.Drain(nil, time.Hour) // patience is that of Shutdown's context
			time.Sleep(time.Second)
			l.End()
		}()
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, l.Shutdown(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Minute+time.Second, time.Since(began))
		require.NoError(t, l.Shutdown(t.Context()), "a further call")
	})
}

// Without Shutdown, the work has its patience, and no longer than it takes.
func TestDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := life.New()
		require.True(t, l.Begin())
		began := time.Now()
		l.Drain(nil, time.Hour)
		require.Equal(t, time.Hour, time.Since(began))
		done := make(chan struct{})
		close(done)
		l.Drain(done, time.Hour)
		require.Equal(t, time.Hour, time.Since(began))
	})
}

// What has ended was not cut off, whatever the context says.
func TestShutdownAfterTheEnd(t *testing.T) {
	t.Parallel()
	l := life.New()
	require.True(t, l.Begin())
	l.End()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // of two that are ready, select takes any
		require.NoError(t, l.Shutdown(ctx))
	}
}

// A run waits for the functions that it calls, so these cannot wait for it.
func TestShutdownByWhatTheRunCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := life.New()
		require.True(t, l.Begin())
		run, stop := l.Context(t.Context())
		defer stop()
		began := time.Now()
		require.NoError(t, l.Shutdown(l.Within(t.Context())))
		<-run.Done()
		require.Equal(t, began, time.Now())

		unmarked, cancel := context.WithTimeout(life.New().Within(t.Context()), time.Second)
		defer cancel()
		require.ErrorIs(t, l.Shutdown(unmarked), context.DeadlineExceeded, "its context ends the wait")
		require.Equal(t, time.Minute+time.Second, time.Since(began))
		l.End()
		require.NoError(t, l.Shutdown(unmarked))
	})
}
