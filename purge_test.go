package alotwebhook_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// halfPurging is a store that has many payloads to erase, and cannot delete history.
type halfPurging struct {
	alotwebhook.Store
	payloads int
}

func (s *halfPurging) Purge(_ context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	n := min(s.payloads, p.Limit)
	s.payloads -= n
	return alotwebhook.PurgeResult{Payloads: n}, errors.New("cannot delete")
}

func TestPurgeErasesPayloadsThoughHistoryFails(t *testing.T) {
	t.Parallel()
	d, err := alotwebhook.NewDispatcher(&halfPurging{memory.New(), 3500}, nil)
	require.NoError(t, err)
	sum, err := d.Purge(t.Context())
	require.EqualError(t, err, "alotwebhook: history not purged: cannot delete")
	require.Equal(t, alotwebhook.PurgeResult{Payloads: 3500}, sum)
}
