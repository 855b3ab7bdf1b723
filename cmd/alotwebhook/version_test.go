package main

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	platform := " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
	stamped := func(version string) *debug.BuildInfo { return &debug.BuildInfo{Main: debug.Module{Version: version}} }
	for name, c := range map[string]struct {
		info *debug.BuildInfo
		ok   bool
		want string
	}{
		"installed at a release": {stamped("v0.1.0"), true, "alotwebhook v0.1.0"},
		"built in a clone":       {stamped("v0.1.1-0.20261128204400-c61f87f0d1e2+dirty"), true, "alotwebhook v0.1.1-0.20261128204400-c61f87f0d1e2+dirty"},
		"run from source":        {stamped("(devel)"), true, "alotwebhook (devel)"},
		"stamped with nothing":   {stamped(""), true, "alotwebhook (devel)"},
		"built without modules":  {nil, false, "alotwebhook (devel)"},
	} {
		require.Equal(t, c.want+platform, version(c.info, c.ok), name)
	}
}

func TestVersionFlag(t *testing.T) {
	t.Parallel()
	want := version(debug.ReadBuildInfo()) + "\n"
	for _, flag := range []string{"--version", "-version", "-v"} {
		code, out, err := run(t, "", flag)
		require.Equal(t, exitOK, code, "%s", err)
		require.Equal(t, want, out)
		require.Empty(t, err)
	}
}
