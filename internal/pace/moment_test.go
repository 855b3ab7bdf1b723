package pace_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/pace"
)

func TestMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var m pace.Moment
		_, ok := m.Ago()
		require.False(t, ok)
		m.Note()
		time.Sleep(time.Hour)
		passed, ok := m.Ago()
		require.True(t, ok)
		require.Equal(t, time.Hour, passed)
		m.Clear()
		_, ok = m.Ago()
		require.False(t, ok)
	})
}

func TestPulse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p pace.Pulse
		require.Zero(t, p.For())
		p.Begin()
		require.Positive(t, p.For(), "a step is under way")
		time.Sleep(time.Minute)
		require.Equal(t, time.Minute, p.For())
		p.End()
		require.Zero(t, p.For())
	})
}
