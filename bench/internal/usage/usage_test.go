package usage_test

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/bench/internal/usage"
)

func TestShare(t *testing.T) {
	t.Parallel()
	all := time.Duration(runtime.NumCPU()) * time.Second
	require.InDelta(t, 1, usage.Share(all, time.Second), 1e-9)
	require.InDelta(t, 0.25, usage.Share(all, 4*time.Second), 1e-9)
	require.Zero(t, usage.Share(all, 0))
}

// The processor time of this process is part of the machine's.
func TestProcessIsPartOfMachine(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("/proc is Linux's")
	}
	before, ok := usage.Machine()
	require.True(t, ok)
	own := usage.CPU()
	for usage.CPU()-own < 200*time.Millisecond {
		_ = make([]byte, 1<<10)
	}
	after, ok := usage.Machine()
	require.True(t, ok)
	require.Greater(t, after-before, 50*time.Millisecond)
}

func TestMemoryAndDescriptors(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("/proc is Linux's")
	}
	now, peak := usage.Resident()
	require.Positive(t, now)
	require.GreaterOrEqual(t, peak, now/2)
	before, _ := usage.Descriptors()
	require.Positive(t, before)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	after, sockets := usage.Descriptors()
	require.GreaterOrEqual(t, after, 2)
	require.LessOrEqual(t, sockets, after)
}
