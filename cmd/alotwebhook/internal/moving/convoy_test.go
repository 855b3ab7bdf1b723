package moving_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/cmd/alotwebhook/internal/moving"
)

// A rate beyond all bounds has to reach the service, which refuses that endpoint alone: what no JSON
// can tell would end the whole import.
func TestARateOfConvoyIsAlwaysANumber(t *testing.T) {
	t.Parallel()
	found, err := moving.Read(moving.FromConvoy, strings.NewReader(`{"data":{"content":[
		{"uid":"1","url":"https://a.example.com/","rate_limit":1e300,"rate_limit_duration":1e-300},
		{"uid":"2","url":"https://b.example.com/","rate_limit":120,"rate_limit_duration":60}]}}`))
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Greater(t, found[0].Rate, 1e300)
	require.InDelta(t, 2, found[1].Rate, 0)
	_, err = json.Marshal(found)
	require.NoError(t, err)
}
