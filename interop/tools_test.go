package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds every wait. It is a last resort for what will never come, and
// no measure of how fast anything is.
const patience = 10 * time.Minute

// missing skips a test that needs a program or library that is not installed. In CI it
// fails the test, because .ci/run installs all of them.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// program returns the path of an interpreter.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, "%s is not installed: %v", name, err)
	}
	return path
}

// ask runs a program, with question as JSON on its standard input, and decodes its standard
// output into answer.
func ask(t *testing.T, question, answer any, dir, name string, args ...string) {
	t.Helper()
	input, err := json.Marshal(question)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(input)
	var failure bytes.Buffer
	cmd.Stderr = &failure
	output, err := cmd.Output()
	require.NoError(t, err, failure.String())
	require.NoError(t, json.Unmarshal(output, answer), string(output))
}

// example returns the absolute path of a receiver in another language.
func example(t *testing.T, file string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../examples/receiver", file))
	require.NoError(t, err)
	return path
}
