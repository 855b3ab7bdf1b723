package alotwebhook_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// wrapping is a store on top of another, and says so.
type wrapping struct{ alotwebhook.Store }

func (s wrapping) Unwrap() alotwebhook.Store { return s.Store }

// hiding is a store on top of another, and does not say so.
type hiding struct{ alotwebhook.Store }

// notifying is a store that counts notifications.
type notifying struct {
	alotwebhook.Store
	sent, listened int
}

func (s *notifying) Notify() { s.sent++ }

func (s *notifying) Listen(ctx context.Context, heard func()) error {
	s.listened++
	<-ctx.Done()
	return nil
}

// Metrics around a store must not cost the charts, nor the notifications.
func TestCapabilitiesOfWrappedStores(t *testing.T) {
	t.Parallel()
	tallies := func(store alotwebhook.Store) error {
		d, err := alotwebhook.NewDispatcher(store, nil)
		require.NoError(t, err)
		_, err = d.Tallies(t.Context(), time.Now(), "wh_01jwsxqk1qej8v5kcv0p34c9mn")
		return err
	}
	require.NoError(t, tallies(memory.New()))
	require.NoError(t, tallies(wrapping{memory.New()}))
	require.NoError(t, tallies(&wrapping{wrapping{wrapping{memory.New()}}}))
	require.ErrorIs(t, tallies(hiding{memory.New()}), errors.ErrUnsupported)
	require.ErrorIs(t, tallies(wrapping{hiding{memory.New()}}), errors.ErrUnsupported)
	require.ErrorIs(t, tallies(wrapping{}), errors.ErrUnsupported, "nothing is inside")
}

func TestWrappedStoreNotifies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := &notifying{Store: memory.New()}
		d, err := alotwebhook.NewDispatcher(wrapping{wrapping{inner}}, nil)
		require.NoError(t, err)
		event, err := alotwebhook.NewEvent("candidate.completed", "org_1", map[string]int{"score": 82})
		require.NoError(t, err)
		require.NoError(t, d.Emit(t.Context(), event))
		require.Equal(t, 1, inner.sent)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- d.Run(ctx) }()
		synctest.Wait()
		require.Equal(t, 1, inner.listened)
		cancel()
		require.NoError(t, <-ended)
	})
}
