package fault_test

import (
	"errors"
	"io"
	"os"
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

func TestAllAreFoundAgain(t *testing.T) {
	t.Parallel()
	require.NoError(t, fault.All(nil, nil))
	require.Equal(t, io.EOF, fault.All(nil, io.EOF))
	one, two := &os.PathError{Op: "alotwebhook: open", Path: "a", Err: io.EOF}, &os.PathError{Op: "alotwebhook: read", Path: "b", Err: io.EOF}
	all := fault.Explain(fault.All(one, nil, errors.New("odd"), fault.Explain(two, "later")), "both")
	require.EqualError(t, all, "alotwebhook: both: open a: EOF; odd; later: read b: EOF")
	require.Equal(t, []*os.PathError{one, two}, fault.Each[*os.PathError](all))
	require.Empty(t, fault.Each[*os.PathError](nil))
	require.Empty(t, fault.Each[*os.LinkError](all))
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
