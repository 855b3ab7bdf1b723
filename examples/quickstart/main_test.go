package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// The endpoint that hangs is given up later, and a run takes as long as it takes:
// on a busy machine the others must not look as if they hung.
func TestMain(m *testing.M) {
	timeout, longest = 5*time.Second, 10*time.Minute
	os.Exit(m.Run())
}

// quickstart runs the program, which must succeed, and returns its output.
func quickstart(t *testing.T, ctx context.Context, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	require.Equal(t, 0, run(ctx, args, &stdout, &stderr), stderr.String())
	require.Empty(t, stderr.String())
	for line := range strings.Lines(stdout.String()) {
		if strings.Contains(line, "Database") {
			continue // the path may be long
		}
		require.LessOrEqual(t, utf8.RuneCountInString(line), 101, line) // with the line end
	}
	return stdout.String()
}

func TestEveryEndpointButTheHangingOneGetsItsEvents(t *testing.T) {
	t.Parallel()
	text := quickstart(t, t.Context())
	require.Contains(t, text, "signed with a guess: rejected with 401 Unauthorized")
	for _, row := range []string{
		`candidate\.invited +ats +delivered +1 +200\n`,
		`candidate\.completed +ats +delivered +1 +200\n`,
		`candidate\.disqualified +ats +delivered +1 +200\n`,
		`assessment\.published +ats +delivered +1 +200\n`,
		`candidate\.completed +crm +delivered +3 +500 500 200 +status ×2\n`,
		`candidate\.disqualified +crm +delivered +3 +500 500 200 +status ×2\n`,
		`candidate\.completed +analytics +failed +3 +none none none +timeout ×3\n`,
		`\n7 deliveries: 4 delivered at once, 2 after retries, 1 failed after the last attempt\.\n`,
	} {
		require.Regexp(t, row, text)
	}
}

// stopper ends the context when the first event was handled.
type stopper struct {
	bytes.Buffer
	stop context.CancelFunc
}

func (s *stopper) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "verified and handled") {
		s.stop()
	}
	return s.Buffer.Write(p)
}

func TestTheNextRunContinues(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kept.db")
	ctx, stop := context.WithCancel(t.Context())
	interrupted := &stopper{stop: stop}
	var stderr bytes.Buffer
	require.Equal(t, 0, run(ctx, []string{"-db", path}, interrupted, &stderr), stderr.String())
	require.Contains(t, interrupted.String(), "Interrupted")
	require.Regexp(t, `\d pending\.`, interrupted.String())
	require.Equal(t, 3, strings.Count(interrupted.String(), "\n  new "))
	require.NotContains(t, interrupted.String(), "kept were")

	text := quickstart(t, t.Context(), "-db", path)
	require.Equal(t, 3, strings.Count(text, "\n  kept "))
	require.Contains(t, text, "\nEndpoints (those marked kept were registered by an earlier run)\n")
	require.NotContains(t, text, "\n  new ")
	require.Contains(t, text, "\n14 deliveries: 8 delivered at once, 4 after retries, 2 failed after the last attempt.\n")
}

func TestWrongArguments(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"-database", "x"}, "flag provided but not defined: -database"},
		{[]string{"x.db"}, `unexpected argument "x.db"`},
		{[]string{"-db"}, "flag needs an argument: -db"},
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 2, run(t.Context(), tc.args, &stdout, &stderr))
		require.Contains(t, stderr.String(), tc.want)
		require.Contains(t, stderr.String(), "usage: go run ./examples/quickstart")
		require.Empty(t, stdout.String())
	}
}

func TestHelpIsNoError(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	require.Equal(t, 0, run(t.Context(), []string{"-h"}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "-db PATH")
}

func TestRefusesAFileThatIsNoDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "letter.txt")
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("Dear Sirs, "), 1000), 0o600))
	var stdout, stderr bytes.Buffer
	require.Equal(t, 1, run(t.Context(), []string{"-db", path}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "quickstart: alotwebhook: ")
}
