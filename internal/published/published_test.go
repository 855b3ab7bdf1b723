package published_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/published"
)

// The examples are what test events send, and so are as compact as the published payloads.
func TestTypesAreRead(t *testing.T) {
	t.Parallel()
	types := published.Types()
	require.Len(t, types, 4)
	for _, p := range types {
		require.NotEmpty(t, p.Description, p.Name)
		var compact bytes.Buffer
		require.NoError(t, json.Compact(&compact, p.Example), p.Name)
		require.Equal(t, compact.String(), string(p.Example), p.Name)
		require.Contains(t, string(p.Schema), "properties", p.Name)
	}
}
