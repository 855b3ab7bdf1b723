package alotwebhook_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

type placed struct {
	*memory.Store
	place string
}

func (p placed) Place() string { return p.place }

// wrapped is a store that a host has put something around.
type wrapped struct{ alotwebhook.Store }

func (w wrapped) Unwrap() alotwebhook.Store { return w.Store }

// placedTx is a transaction of a store, and plainTx one of a store that does not say where it is.
type (
	placedTx struct {
		alotwebhook.Enqueuer
		place string
	}
	plainTx struct{ alotwebhook.Enqueuer }
)

func (p placedTx) Place() string { return p.place }

// Two stores in one host are mixed up some day. The events would go to the other one, whose dispatcher, if it has
// any, sends them to other endpoints.
func TestEmitToRefusesTheTransactionOfAnotherStore(t *testing.T) {
	t.Parallel()
	store := memory.New()
	for _, own := range []alotwebhook.Store{placed{store, "database a"}, wrapped{placed{store, "database a"}}} {
		d, err := alotwebhook.NewDispatcher(own, nil)
		require.NoError(t, err)
		e, err := alotwebhook.NewEvent("candidate.completed", "org_1", struct{}{})
		require.NoError(t, err)
		for _, q := range []alotwebhook.Enqueuer{placedTx{store, "database a"}, placedTx{store, ""}, plainTx{store}} {
			require.NoError(t, d.EmitTo(t.Context(), q, e))
		}
		other := placedTx{memory.New(), "database b"}
		const says = "is a transaction of the store in database b, and the dispatcher's store is in database a: give the Tx of that one"
		err = d.EmitTo(t.Context(), other, e)
		requireField(t, err, "q")
		require.ErrorContains(t, err, says)
		_, err = d.EraseIn(t.Context(), other, "org_1", "candidate 1")
		requireField(t, err, "q")
		require.ErrorContains(t, err, says)
	}
	d, err := alotwebhook.NewDispatcher(memory.New(), nil)
	require.NoError(t, err)
	require.ErrorContains(t, d.EmitTo(t.Context(), placedTx{store, "database a"}), "the dispatcher's store is in the memory of this process")
}
