package demand_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/demand"
	"github.com/alot/alotwebhook/internal/typeid"
)

func TestID(t *testing.T) {
	t.Parallel()
	id, err := demand.ID(t.Context(), "rec")
	require.NoError(t, err)
	_, err = typeid.Parse("rec", id)
	require.NoError(t, err)
	got, err := demand.ID(demand.WithID(t.Context(), "rec_1"), "rec")
	require.NoError(t, err)
	require.Equal(t, "rec_1", got)
}

func TestVersion(t *testing.T) {
	t.Parallel()
	conflict := errors.New("conflict")
	require.NoError(t, demand.Version(t.Context(), 3, conflict))
	require.NoError(t, demand.Version(demand.WithVersion(t.Context(), 3), 3, conflict))
	require.Equal(t, conflict, demand.Version(demand.WithVersion(t.Context(), 2), 3, conflict))
}
