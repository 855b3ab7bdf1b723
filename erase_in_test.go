package alotwebhook_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// erasingTransaction is a transaction of a host's that erases in pages of two.
type erasingTransaction struct {
	transaction
	calls []alotwebhook.Recovery
	left  int
	err   error
}

func (tx *erasingTransaction) Erase(_ context.Context, r alotwebhook.Recovery, limit int) (int, string, error) {
	tx.calls = append(tx.calls, r)
	if tx.left > 2 && limit > 2 {
		tx.left -= 2
		return 2, fmt.Sprintf("evt_%d", tx.left), nil
	}
	return tx.left, "", tx.err
}

func TestEraseIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alotwebhook.Config{}, &receivers{})
	tx := &erasingTransaction{left: 5}
	n, err := w.EraseIn(t.Context(), tx, "org_1", jane)
	require.NoError(t, err)
	require.Equal(t, 5, n)
	of := alotwebhook.Recovery{OrganizationID: "org_1", Subject: jane, State: alotwebhook.RecoveryErasing}
	want := []alotwebhook.Recovery{of, of, of}
	want[1].Cursor, want[2].Cursor = "evt_3", "evt_1"
	require.Equal(t, want, tx.calls)

	n, err = w.EraseIn(t.Context(), &erasingTransaction{}, "", jane)
	require.NoError(t, err)
	require.Zero(t, n)
	list, _, err := w.Recoveries(t.Context(), alotwebhook.RecoveryFilter{})
	require.NoError(t, err)
	require.Empty(t, list, "it is done, and nobody goes on with it")
}

func TestEraseInRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alotwebhook.Config{}, &receivers{})
	for _, q := range []alotwebhook.Enqueuer{w.store, memory.New(), struct{ alotwebhook.Store }{w.store}, nil, (*memory.Store)(nil), (*erasingTransaction)(nil)} {
		_, err := w.EraseIn(t.Context(), q, "org_1", jane)
		requireField(t, err, "q")
	}
	_, err := w.EraseIn(t.Context(), &transaction{store: w.store}, "org_1", jane)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	tx := &erasingTransaction{left: 1}
	_, err = w.EraseIn(t.Context(), tx, "org_1", "")
	requireField(t, err, "subject")
	_, err = w.EraseIn(t.Context(), tx, "org\x00", jane)
	requireField(t, err, "organizationId")
	require.Empty(t, tx.calls)

	tx = &erasingTransaction{left: 3, err: context.DeadlineExceeded}
	n, err := w.EraseIn(t.Context(), tx, "", jane)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, 3, n)
	require.NotContains(t, err.Error(), jane)
}
