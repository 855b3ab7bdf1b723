package seal_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/seal"
)

var (
	oldKey = seal.Key{ID: "2025", Key: bytes.Repeat([]byte{1}, 32)}
	newKey = seal.Key{ID: "2026", Key: bytes.Repeat([]byte{2}, 32)}
)

func ring(t *testing.T, keys ...seal.Key) *seal.Ring {
	t.Helper()
	r, err := seal.New(keys)
	require.NoError(t, err)
	return r
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	before, after := ring(t, oldKey), ring(t, newKey, oldKey)
	sealed := before.Seal("wh_1", "the secret")
	require.NotContains(t, sealed, "the secret")
	require.NotEqual(t, sealed, before.Seal("wh_1", "the secret"), "each time with another nonce")
	for _, r := range []*seal.Ring{before, after} {
		plain, err := r.Open("wh_1", sealed)
		require.NoError(t, err)
		require.Equal(t, "the secret", plain)
	}
	require.True(t, strings.HasPrefix(after.Seal("wh_1", "x"), "sealed1:2026:"), "with the first key")
	plain, err := after.Open("wh_1", "never sealed")
	require.NoError(t, err)
	require.Equal(t, "never sealed", plain)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	r := ring(t, oldKey)
	sealed := r.Seal("wh_1", "the secret")
	for says, c := range map[string][2]string{
		"does not open with key \"2025\"":    {"wh_2", sealed}, // moved to another endpoint
		"it was changed":                     {"wh_1", sealed[:len(sealed)-2] + "AA"},
		"is damaged: not base64":             {"wh_1", "sealed1:2025:!"},
		"key \"2026\", which the sealer was": {"wh_1", "sealed1:2026:AAAA"},
	} {
		_, err := r.Open(c[0], c[1])
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), "the secret of the endpoint")
	}
}

func TestKeysThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for says, keys := range map[string][]seal.Key{
		"at least one key": nil,
		"has 16 bytes":     {{ID: "a", Key: oldKey.Key[:16]}},
		"sealing key 1":    {oldKey, {ID: "a:b", Key: newKey.Key}},
		"appears twice":    {oldKey, oldKey},
	} {
		_, err := seal.New(keys)
		require.ErrorContains(t, err, says)
	}
}

func TestWhichKeyASecretIsSealedWith(t *testing.T) {
	t.Parallel()
	before, after := ring(t, oldKey), ring(t, newKey, oldKey)
	old, current := before.Seal("wh_1", "the secret"), after.Seal("wh_1", "the secret")
	require.True(t, seal.IsSealed(old))
	require.True(t, before.IsCurrent(old))
	require.False(t, after.IsCurrent(old))
	require.True(t, after.IsCurrent(current))
	require.False(t, ring(t, seal.Key{ID: "20", Key: newKey.Key}).IsCurrent(current), "the beginning of the id is not the id")
	require.False(t, seal.IsSealed("the secret"))
	require.False(t, after.IsCurrent("the secret"))
}
