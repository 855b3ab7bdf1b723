package repeatkey_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/repeatkey"
	"github.com/alot/alotwebhook/internal/typeid"
)

func TestIDs(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 25, 14, 23, 45, 678e6, time.UTC)
	id := repeatkey.ID("wh", at, "org_a", "k1")
	require.Equal(t, id, repeatkey.ID("wh", at.Add(14*time.Second), "org_a", "k1"), "in the same minute")
	made, ok := typeid.Time("wh", id)
	require.True(t, ok)
	require.Equal(t, at.Truncate(time.Minute), made)
	for name, other := range map[string]string{
		"key":    repeatkey.ID("wh", at, "org_a", "k2"),
		"scope":  repeatkey.ID("wh", at, "org_b", "k1"),
		"parts":  repeatkey.ID("wh", at, "org_ak", "1"),
		"minute": repeatkey.ID("wh", at.Add(15*time.Second), "org_a", "k1"),
	} {
		require.NotEqual(t, id, other, name)
	}

	day := repeatkey.IDs("wh", at, 24*time.Hour, "org_a", "k1")
	require.Len(t, day, 24*60+1)
	require.Equal(t, id, day[0])
	require.Equal(t, repeatkey.ID("wh", at.Add(-24*time.Hour), "org_a", "k1"), day[len(day)-1])
	slices.Reverse(day)
	require.True(t, slices.IsSorted(day), "newest first")
	require.Len(t, slices.Compact(day), 24*60+1)
}

func TestSecret(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		made := time.Now()
		secret := repeatkey.Secret("whsec_", "wh_1", "k1")
		require.Regexp(t, `^whsec_.{44}$`, secret)
		require.NotEqual(t, secret, repeatkey.Secret("whsec_", "wh_1", "k1"), "it is random")
		time.Sleep(time.Hour)
		at, ok := repeatkey.MadeAt(secret, "whsec_", "wh_1", "k1")
		require.True(t, ok)
		require.WithinDuration(t, made, at, time.Second)
		for _, other := range [][3]string{
			{secret, "wh_1", "k2"}, {secret, "wh_2", "k1"}, {"x" + secret, "wh_1", "k1"}, {"whsec_", "wh_1", "k1"}, {"", "wh_1", "k1"},
			{strings.TrimPrefix(secret, "whsec_"), "wh_1", "k1"}, {secret[:len(secret)-4], "wh_1", "k1"}, {"whsec_" + strings.Repeat("A", 43) + "=", "wh_1", "k1"},
		} {
			_, ok := repeatkey.MadeAt(other[0], "whsec_", other[1], other[2])
			require.False(t, ok, other)
		}
	})
}

func TestSameMoment(t *testing.T) {
	t.Parallel()
	now := time.Now()
	later := now.Add(time.Hour).UTC().Truncate(time.Microsecond)
	for _, c := range []struct {
		effective, at time.Time
		same          bool
	}{
		{time.Time{}, time.Time{}, true}, {now.Add(-time.Hour), time.Time{}, true}, {time.Time{}, now.Add(-time.Hour), true},
		{later, later.Add(time.Nanosecond), true}, {later, later.Add(time.Second), false}, {later, time.Time{}, false}, {time.Time{}, later, false},
	} {
		require.Equal(t, c.same, repeatkey.SameMoment(c.effective, c.at), c)
	}
}
