package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHtmxIsAsPublished: what is vendored is what its README says it is.
func TestHtmxIsAsPublished(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("../static/htmx.min.js")
	require.NoError(t, err)
	readme, err := os.ReadFile("../static/README.md")
	require.NoError(t, err)
	sum := sha256.Sum256(file)
	require.Contains(t, string(readme), hex.EncodeToString(sum[:]))
}
