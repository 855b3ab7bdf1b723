package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// The vendored file has the hash that its README names.
func TestHtmxIsAsPublished(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("../static/htmx.min.js")
	require.NoError(t, err)
	readme, err := os.ReadFile("../static/README.md")
	require.NoError(t, err)
	sum := sha256.Sum256(file)
	require.Contains(t, string(readme), hex.EncodeToString(sum[:]))
}
