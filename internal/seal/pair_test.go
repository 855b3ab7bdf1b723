package seal_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/seal"
)

func TestARotation(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 25, 14, 23, 0, 0, time.UTC)
	later := now.Add(time.Hour)
	p := seal.Pair[string]{Current: "first"}
	secret, from := p.Newest()
	require.Equal(t, "first", secret)
	require.Zero(t, from, "it is the only one")
	require.Equal(t, seal.Pair[string]{Current: "second"}, p.Rotated("second", time.Time{}, now), "at once")

	p = p.Rotated("second", later.Add(time.Nanosecond), now)
	require.Equal(t, seal.Pair[string]{Current: "first", Next: "second", NextAt: later}, p)
	require.Equal(t, "first", p.Signing(later.Add(-1)))
	require.Equal(t, "second", p.Signing(later))
	secret, from = p.Newest()
	require.Equal(t, "second", secret)
	require.Equal(t, later, from)

	replaced := p.Rotated("third", later, now)
	require.Equal(t, seal.Pair[string]{Current: "first", Next: "third", NextAt: later}, replaced, "what was still to come")
	after := p.Rotated("third", later.Add(time.Hour), later)
	require.Equal(t, seal.Pair[string]{Current: "second", Next: "third", NextAt: later.Add(time.Hour)}, after, "what has come signs on")
}

func TestOpeningBothSecrets(t *testing.T) {
	t.Parallel()
	of := seal.Of[string]{Ring: ring(t, oldKey)}
	safe := seal.Safe[string]{Sealer: of, Log: slog.New(slog.DiscardHandler)}
	p := seal.Pair[string]{Current: of.Ring.Seal("wh_1", "first"), NextAt: time.Unix(1, 0)}
	opened, err := safe.OpenPair("wh_1", p)
	require.NoError(t, err)
	require.Equal(t, seal.Pair[string]{Current: "first", NextAt: p.NextAt}, opened)
	p.Next = of.Ring.Seal("wh_1", "second")
	opened, err = safe.OpenPair("wh_1", p)
	require.NoError(t, err)
	require.Equal(t, seal.Pair[string]{Current: "first", Next: "second", NextAt: p.NextAt}, opened)
	p.Next = of.Ring.Seal("wh_2", "second")
	_, err = safe.OpenPair("wh_1", p)
	require.ErrorContains(t, err, "does not open")
}
