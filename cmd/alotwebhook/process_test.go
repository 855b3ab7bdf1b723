package main

import (
	"bufio"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/webhooktest"
)

// build builds the program as a user would.
func build(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "alotwebhook")
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	out, err := exec.Command("go", "build", "-o", name, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return name
}

// command returns a run of the program, with only the secret in its environment.
func command(t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = []string{secretVariable + "=" + string(secret), "SYSTEMROOT=" + os.Getenv("SYSTEMROOT")}
	return cmd
}

// exitCode returns the exit code that a shell would see.
func exitCode(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	exit := (*exec.ExitError)(nil)
	require.True(t, errors.As(err, &exit), "%v", err)
	return exit.ExitCode()
}

// The built program has the right exit codes, streams and reaction to signals.
func TestProgram(t *testing.T) {
	t.Parallel()
	program := build(t)

	out, err := command(t, program, "--version").Output()
	require.NoError(t, err)
	require.Regexp(t, `^alotwebhook (v\d\S+|\(devel\)) go\S+ \w+/\w+\n$`, string(out))

	sign := command(t, program, "sign", "--secret", helloSecret)
	sign.Stdin = strings.NewReader(helloBody)
	out, err = sign.Output()
	require.NoError(t, err)
	require.Equal(t, helloSignature+"\n", string(out))

	for code, args := range map[int][]string{
		exitOK:     {"verify", "--secret", helloSecret, "--signature", helloSignature, file(t, helloBody)},
		exitFailed: {"verify", "--secret", helloSecret, "--signature", helloSignature, file(t, helloBody+"\n")},
		exitUsage:  {"verify", "--sig", helloSignature},
	} {
		require.Equal(t, code, exitCode(t, command(t, program, args...).Run()), "%v", args)
	}

	listening := command(t, program, "listen", "--addr", "127.0.0.1:0", "--control", "")
	said, err := listening.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, listening.Start())
	t.Cleanup(func() { _ = listening.Process.Kill() })
	lines := bufio.NewScanner(said)
	require.True(t, lines.Scan())
	url, found := strings.CutPrefix(lines.Text(), "Receiving at ")
	require.True(t, found, "%s", lines.Text())
	require.NoError(t, command(t, program, "send", url).Run())
	status, _, _ := do(t, webhooktest.NewBodyRequest(t, url, []byte(payload), "another"))
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, exitFailed, exitCode(t, command(t, program, "send", "--secret", "another", url).Run()))
	if runtime.GOOS == "windows" {
		return // a process cannot be interrupted there
	}
	require.NoError(t, listening.Process.Signal(os.Interrupt))
	require.Equal(t, exitOK, exitCode(t, listening.Wait()))
}
