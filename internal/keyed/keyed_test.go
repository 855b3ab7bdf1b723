package keyed_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/keyed"
	"github.com/alot/alotwebhook/internal/typeid"
)

func TestIDs(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 25, 14, 23, 45, 678e6, time.UTC)
	id := keyed.ID("wh", at, "org_a", "k1")
	require.Equal(t, id, keyed.ID("wh", at.Add(14*time.Second), "org_a", "k1"), "in the same minute")
	made, ok := typeid.Time("wh", id)
	require.True(t, ok)
	require.Equal(t, at.Truncate(time.Minute), made)
	for name, other := range map[string]string{
		"key":    keyed.ID("wh", at, "org_a", "k2"),
		"scope":  keyed.ID("wh", at, "org_b", "k1"),
		"parts":  keyed.ID("wh", at, "org_ak", "1"),
		"minute": keyed.ID("wh", at.Add(15*time.Second), "org_a", "k1"),
	} {
		require.NotEqual(t, id, other, name)
	}

	day := keyed.IDs("wh", at, 24*time.Hour, "org_a", "k1")
	require.Len(t, day, 24*60+1)
	require.Equal(t, id, day[0])
	require.Equal(t, keyed.ID("wh", at.Add(-24*time.Hour), "org_a", "k1"), day[len(day)-1])
	slices.Reverse(day)
	require.True(t, slices.IsSorted(day), "newest first")
	require.Len(t, slices.Compact(day), 24*60+1)
}

func TestSecretsBearTheTraceOfTheirKey(t *testing.T) {
	t.Parallel()
	secret := keyed.Secret("whsec_", "wh_1", "k1")
	require.NotEqual(t, secret, keyed.Secret("whsec_", "wh_1", "k1"), "random")
	require.True(t, keyed.Made(secret, "whsec_", "wh_1", "k1"))
	for name, made := range map[string]bool{
		"another key":   keyed.Made(secret, "whsec_", "wh_1", "k2"),
		"another scope": keyed.Made(secret, "whsec_", "wh_2", "k1"),
		"no prefix":     keyed.Made(secret[6:], "whsec_", "wh_1", "k1"),
		"too short":     keyed.Made(secret[:20], "whsec_", "wh_1", "k1"),
		"no base64":     keyed.Made("whsec_%%", "whsec_", "wh_1", "k1"),
		"given":         keyed.Made("your-signing-secret", "whsec_", "wh_1", "k1"),
	} {
		require.False(t, made, name)
	}
}
