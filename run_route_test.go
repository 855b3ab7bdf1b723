package alotwebhook_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/egress"
)

// A machine that has no way to an address is not the customer's fault: the attempts are in the history,
// nobody is told that the endpoint fails, and it is not disabled, however long.
func TestNoRouteMakesNoEndpointFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var operations []alotwebhook.Operation
		cfg := alotwebhook.Config{OnOperation: func(_ context.Context, o alotwebhook.Operation) error {
			operations = append(operations, o)
			return nil
		}}
		w := newWorld(t, cfg, &receivers{respond: func(*http.Request, int) (*http.Response, error) { return nil, egress.ErrNoRoute }})
		endpoint := w.endpoint(t, "six.example.com")
		defer w.run(t)()
		for range 8 { // days, of which five with nothing but failures disable an endpoint
			event := w.emit(t)
			time.Sleep(24 * time.Hour)
			d := w.delivery(t, event, endpoint)
			require.Equal(t, alotwebhook.StateFailed, d.State)
			require.Equal(t, alotwebhook.ReasonNoRoute, d.LastReason)
			require.Len(t, d.Attempts, 3)
			require.Contains(t, d.Attempts[0].Detail, "the sender has no way")
			require.Zero(t, d.Attempts[0].StatusCode)
		}
		stored, err := w.Endpoint(t.Context(), endpoint.ID)
		require.NoError(t, err)
		require.False(t, stored.Disabled)
		require.True(t, stored.FailingSince.IsZero())
		for _, o := range operations {
			require.Equal(t, alotwebhook.OpEndpointCreated, o.Type)
		}
	})
}
