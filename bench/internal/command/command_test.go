package command_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/bench/internal/command"
)

// failing is a program with one flag, whose work fails if that is 0.
type failing struct{ n int }

func (f *failing) Flags(fs *flag.FlagSet)    { fs.IntVar(&f.n, "n", 0, "a `number`") }
func (f *failing) Check(*flag.FlagSet) error { return nil }

func (f *failing) Measure(_ context.Context, _ []string, out, _ io.Writer) error {
	if f.n == 0 {
		return errors.New("it is 0")
	}
	_, err := io.WriteString(out, "measured")
	return err
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	p := command.Program{Name: "count", Does: "counts to a number", Options: func() command.Options { return new(failing) }}
	for _, tc := range []struct {
		args        []string
		code        int
		out, stderr string
	}{
		{[]string{"-n", "3"}, 0, "measured", ""},
		{[]string{"-help"}, 0, "", "count counts to a number.\n\n  -n number\n"},
		{nil, 1, "", "count: it is 0\n"},
		{[]string{"-n", "many"}, 2, "", "count: invalid value \"many\" for flag -n: parse error; give one such as 0\n"},
		{[]string{"-n"}, 2, "", "count: flag needs an argument: -n; -help lists the flags\n"},
		{[]string{"-m", "3"}, 2, "", "count: flag provided but not defined: -m; -help lists the flags\n"},
		{[]string{"3"}, 2, "", `count: unexpected argument "3"`},
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, tc.code, p.Run(t.Context(), tc.args, &stdout, &stderr), "%q", tc.args)
		require.Equal(t, tc.out, stdout.String())
		require.True(t, strings.HasPrefix(stderr.String(), tc.stderr), stderr.String())
	}
}

func TestProfiled(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/cpu.prof"
	failed := errors.New("failed")
	require.ErrorIs(t, command.Profiled(path, func() error { return failed }), failed)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Positive(t, info.Size())
	require.ErrorIs(t, command.Profiled("", func() error { return failed }), failed)
	require.ErrorIs(t, command.Profiled(path+"/x", func() error { panic("called without a profile") }), syscall.ENOTDIR)
}

func TestBounds(t *testing.T) {
	t.Parallel()
	require.NoError(t, command.AtLeast("n", 1, 1))
	require.EqualError(t, command.AtLeast("n", 0, 1), "-n is 0; give 1 or more")
	require.NoError(t, command.Within("share", 1, 0, 1.0))
	require.EqualError(t, command.Within("share", 1.5, 0, 1), "-share is 1.5; give from 0 to 1")
	require.EqualError(t, command.Within("share", math.NaN(), 0, 1), "-share is NaN; give from 0 to 1")
}

func TestChoose(t *testing.T) {
	t.Parallel()
	chosen, err := command.Choose("store", "b,a", []string{"a", "b"})
	require.NoError(t, err)
	require.Equal(t, []string{"b", "a"}, chosen)
	_, err = command.Choose("store", "a,c", []string{"a", "b"})
	require.EqualError(t, err, `-store: unknown store "c"; there are a, b`)
}
