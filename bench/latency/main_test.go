package main

import (
	"testing"

	"github.com/alot/alotwebhook/bench/internal/commandtest"
)

func TestWrongFlags(t *testing.T) {
	t.Parallel()
	commandtest.RequireRefused(t, program, map[string]string{
		"-n=0":        "-n is 0; give 1 or more",
		"-only=mongo": `no way has "mongo" in its name; there are: memory, one process; sqlite, one process`,
		"sqlite":      `unexpected argument "sqlite"`,
	})
}
