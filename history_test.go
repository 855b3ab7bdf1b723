package alotwebhook_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// A state that does not exist would select nothing without a word.
func TestFilterOfNoState(t *testing.T) {
	t.Parallel()
	d, err := alotwebhook.NewDispatcher(memory.New(), nil)
	require.NoError(t, err)
	_, _, err = d.DeliveryPage(t.Context(), alotwebhook.Filter{State: "Failed"})
	requireField(t, err, "State")
	for _, state := range []alotwebhook.DeliveryState{"", alotwebhook.StatePending, alotwebhook.StateDelivered, alotwebhook.StateFailed, alotwebhook.StateParked, alotwebhook.StateUnfinished} {
		_, _, err = d.DeliveryPage(t.Context(), alotwebhook.Filter{State: state})
		require.NoError(t, err)
	}
}
