package command_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
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
	p := command.Program{Name: "count", Options: func() command.Options { return new(failing) }}
	for _, tc := range []struct {
		args        []string
		code        int
		out, stderr string
	}{
		{[]string{"-n", "3"}, 0, "measured", ""},
		{[]string{"-help"}, 0, "", "a number"},
		{nil, 1, "", "count: it is 0\n"},
		{[]string{"-n", "many"}, 2, "", "count: invalid value"},
		{[]string{"3"}, 2, "", `count: unexpected argument "3"`},
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, tc.code, p.Run(t.Context(), tc.args, &stdout, &stderr), "%q", tc.args)
		require.Equal(t, tc.out, stdout.String())
		require.Contains(t, stderr.String(), tc.stderr)
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	chosen, err := command.Choose("store", "b,a", []string{"a", "b"})
	require.NoError(t, err)
	require.Equal(t, []string{"b", "a"}, chosen)
	_, err = command.Choose("store", "a,c", []string{"a", "b"})
	require.EqualError(t, err, `-store: unknown store "c"; there are a, b`)
}
