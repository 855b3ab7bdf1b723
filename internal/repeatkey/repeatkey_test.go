package repeatkey_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/repeatkey"
)

func TestID(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 25, 14, 23, 59, 999, time.UTC)
	id := repeatkey.ID("wh", at, "org_a", "k1")
	require.Regexp(t, `^wh_[0-7][0-9a-z]{25}$`, id)
	require.Equal(t, id, repeatkey.ID("wh", at.Add(-59*time.Second), "org_a", "k1"), "within the same minute")
	later := repeatkey.ID("wh", at.Add(time.Hour), "org_a", "k1")
	require.Less(t, id, later)
	require.Equal(t, repeatkey.Part(id), repeatkey.Part(later))
	for _, other := range []string{
		repeatkey.ID("wh", at, "org_b", "k1"), repeatkey.ID("wh", at, "org_a", "k2"), repeatkey.ID("wh", at, "org_ak", "1"),
	} {
		require.NotEqual(t, repeatkey.Part(id), repeatkey.Part(other))
	}
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
