package alotwebhook_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/typeid"
)

func TestDeliveryID(t *testing.T) {
	t.Parallel()
	const (
		event    = "evt_01jcc7wjz3e4qv8x5k2m9n6p0r"
		endpoint = "wh_01jcc7wjz3e4qv8x5k2m9n6p0r"
		other    = "wh_01jcc7wjz3e4qv8x5k2m9n6p0s"
	)
	id := alotwebhook.DeliveryID(event, endpoint)
	require.Equal(t, id, alotwebhook.DeliveryID(event, endpoint))
	require.NotEqual(t, id, alotwebhook.DeliveryID(event, other))

	u, err := typeid.Parse("dlv", id)
	require.NoError(t, err)
	of, err := typeid.Parse("evt", event)
	require.NoError(t, err)
	require.Equal(t, of[:6], u[:6], "begins with the event's millisecond")
	require.EqualValues(t, 7, u.Version())
	require.EqualValues(t, 1, u.Variant(), "RFC 9562")
}
