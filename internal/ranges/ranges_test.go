package ranges_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/ranges"
)

func TestDefaultsAndRanges(t *testing.T) {
	t.Parallel()
	var r ranges.Result
	unset, given, none, unlimited := 0, 7, -5, -5
	ranges.Set(&r, "unset", &unset, 3, 1, 10)
	ranges.Set(&r, "given", &given, 3, 1, 10)
	ranges.SetOrNone(&r, "none", &none, 3, 0, 10)
	ranges.SetOrNone(&r, "unlimited", &unlimited, 3, -1, 10)
	require.Equal(t, []int{3, 7, 0, -1}, []int{unset, given, none, unlimited})
	require.Zero(t, r)

	short, large := -time.Second, 11
	ranges.Set(&r, "short", &short, time.Second, 0, time.Hour)
	want := ranges.Result{Name: "short", Problem: "is -1s, which is not from 0s to 1h0m0s"}
	require.Equal(t, want, r)
	ranges.SetOrNone(&r, "large", &large, 3, 0, 10)
	require.Equal(t, want, r, "the first one")
	r = ranges.Result{}
	ranges.SetOrNone(&r, "large", &large, 3, 0, 10)
	require.Equal(t, "large", r.Name)
}
