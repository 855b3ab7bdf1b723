package alotwebhook_test

import (
	"os"
	"os/exec"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds every wait. It is a last resort for what will never come, and
// no measure of how fast anything is.
const patience = 10 * time.Minute

// aloneVariable names the test that a re-executed test binary runs by itself.
const aloneVariable = "ALOTWEBHOOK_TEST_ALONE"

// alone runs the test that calls it in a process of its own, where no other test
// allocates or starts goroutines, beside the parallel tests. It returns true in
// that process, and false in this one, which has nothing left to do.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(aloneVariable) == t.Name() {
		return true
	}
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=30m")
	cmd.Env = append(os.Environ(), aloneVariable+"="+t.Name())
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.Contains(t, string(output), "--- PASS: "+t.Name())
	t.Logf("%s", output)
	return false
}

// allocations returns how many allocations a call of f makes. The garbage
// collector, which would empty the pools that f takes from, is off meanwhile.
// Only a test that runs alone may call it: all of the process are counted.
func allocations(f func()) float64 {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	return testing.AllocsPerRun(1000, f)
}
