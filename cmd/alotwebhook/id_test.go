package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// An id and its UUID are two spellings of one number, whatever it is.
func TestIDs(t *testing.T) {
	t.Parallel()
	code, out, _ := run(t, "", "id", "evt_01jcc7wjz3e4qv8x5k2m9n6p0r", " EVT_7ZZZZZZZZZZZZZZZZZZZZZZZZZ ")
	require.Equal(t, exitOK, code)
	require.Equal(t, "evt_01jcc7wjz3e4qv8x5k2m9n6p0r  0193187e-4be3-712f-b474-b31513535818'", strings.SplitN(out, "  x'", 2)[0]+"'")
	require.Contains(t, out, "x'0193187e4be3712fb474b31513535818'  2024-11-10T")
	require.Contains(t, out, "\nevt_7zzzzzzzzzzzzzzzzzzzzzzzzz  ffffffff-ffff-ffff-ffff-ffffffffffff")
	for range 100 {
		e, err := alotwebhook.NewEvent("a.b", "org", "{}")
		require.NoError(t, err)
		_, out, _ := run(t, "", "id", e.ID)
		uuid := strings.Fields(out)[1]
		require.Regexp(t, "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", uuid)
		_, back, _ := run(t, "", "id", "--prefix", "evt", uuid)
		require.Equal(t, out, back)
	}
	_, out, _ = run(t, "", "id", "--prefix", "dlv", "00000000-0000-0000-0000-000000000000")
	require.Contains(t, out, "dlv_00000000000000000000000000 ")
	for given, says := range map[string]string{
		"evt_01jcc7":                     "26 characters follow",
		"evt_81jcc7wjz3e4qv8x5k2m9n6p0r": "the first is 0 to 7",
		"evt_01jcc7wjz3e4qv8x5k2m9n6p0u": "its characters are",
		"evt_01jcc7wjz3e4qv8x5k2m9n6p0é": "is no id",
		"0193187e":                       "neither an id such as",
	} {
		code, _, err := run(t, "", "id", given)
		require.Equal(t, exitUsage, code, given)
		require.Contains(t, err, says)
	}
}
