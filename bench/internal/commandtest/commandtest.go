// Package commandtest tests programs that measure.
package commandtest

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/bench/internal/command"
	"github.com/alot/alotwebhook/bench/internal/stores"
)

// Run runs the program, requires that it succeeds, and returns what it printed.
func Run(t *testing.T, p command.Program, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := p.Run(t.Context(), args, &stdout, &stderr)
	require.Equal(t, 0, code, stderr.String())
	return stdout.String()
}

// RequireRefused requires that the program refuses each of the arguments, and says why with a
// text that holds the argument's value here.
func RequireRefused(t *testing.T, p command.Program, reasons map[string]string) {
	t.Helper()
	for arg, reason := range reasons {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 2, p.Run(t.Context(), []string{arg}, &stdout, &stderr), arg)
		require.Contains(t, stderr.String(), reason, arg)
		require.Empty(t, stdout.String(), arg)
	}
}

// NeedPostgres skips the test if PostgreSQL does not start. With CI set it fails instead.
func NeedPostgres(t *testing.T) {
	t.Helper()
	store, err := stores.New(t.Context(), "postgres")
	if err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	require.NoError(t, err)
	require.NoError(t, store.Close())
}
