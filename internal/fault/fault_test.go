package fault_test

import (
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/fault"
)

func TestThePrefixStandsOnce(t *testing.T) {
	t.Parallel()
	inner := errors.New("alotwebhook: not found")
	once := fault.Explain(inner, "endpoint %q", "wh_1")
	require.EqualError(t, once, `alotwebhook: endpoint "wh_1": not found`)
	require.EqualError(t, fault.Explain(once, "not sent"), `alotwebhook: not sent: endpoint "wh_1": not found`)
	require.ErrorIs(t, once, inner)
	both := fault.Both(once, "; nor ", fault.Explain(io.EOF, "read"))
	require.EqualError(t, both, `alotwebhook: endpoint "wh_1": not found; nor read: EOF`)
	require.ErrorIs(t, both, inner)
	require.ErrorIs(t, both, io.EOF)
}

func TestIsNil(t *testing.T) {
	t.Parallel()
	for _, v := range []any{nil, (*int)(nil), map[string]int(nil), (func())(nil), (chan int)(nil), []int(nil)} {
		require.True(t, fault.IsNil(v), "%T", v)
	}
	for _, v := range []any{0, "", new(int), []int{}, func() {}, struct{}{}} {
		require.False(t, fault.IsNil(v), "%T", v)
	}
}
