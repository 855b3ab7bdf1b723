package memory_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/storetest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(testing.TB) alotwebhook.Store { return memory.New() })
}

// A limit that lets nothing through would have a caller go on for ever.
func TestLimitsOfNoneCountAsOne(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{0, -1} {
		s := memory.New()
		e := alotwebhook.Endpoint{ID: "wh_00000000000000000000000001", OrganizationID: "org_1", EventTypes: []string{"a"}}
		event, err := alotwebhook.NewEvent("a", "org_1", nil)
		require.NoError(t, err)
		event.Subject = "cand_1"
		require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{event}))
		require.NoError(t, s.PutEndpoint(t.Context(), e))
		sent, _, _, _, err := s.Backfill(t.Context(), alotwebhook.Recovery{OrganizationID: "org_1", EndpointID: e.ID}, []string{"a"}, limit)
		require.NoError(t, err)
		require.Equal(t, 1, sent)
		erased, _, err := s.Erase(t.Context(), alotwebhook.Recovery{Subject: "cand_1"}, limit)
		require.NoError(t, err)
		require.Equal(t, 1, erased)
		removed, err := s.Remove(t.Context(), "org_1", limit)
		require.NoError(t, err)
		require.Equal(t, 1, removed)
	}
}
