package main

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/bench/internal/child"
	"github.com/alot/alotwebhook/bench/internal/commandtest"
)

func TestMain(m *testing.M) {
	child.Main(program.Roles)
	m.Run()
}

func TestEveryContenderDelivers(t *testing.T) {
	t.Parallel()
	out := commandtest.Run(t, program, "-n", "300", "-rounds", "2", "-endpoints", "3", "-inflight", "8", "-read")
	for _, line := range []string{
		`(?m)^raw net/http +\d+ +1\.00 \(1\.00–1\.00\) `,
		`(?m)^memory, 3 endpoints +\d+ `,
		`(?m)^sqlite, 3 endpoints +\d+ `,
		`(?m)^sqlite, 3 endpoints, read +\d+ `,
	} {
		require.Regexp(t, regexp.MustCompile(line), out)
	}
}

func TestWrongFlags(t *testing.T) {
	t.Parallel()
	commandtest.RequireRefused(t, program, map[string]string{
		"-store=mongo":   `unknown store "mongo"; there are memory, postgres, sqlite`,
		"-endpoints=ten": `-endpoints: "ten" is no number from 1 on; give some, such as 10,1000`,
		"-n=0":           "-n is 0; give 1 or more",
		"sqlite":         `unexpected argument "sqlite"`,
	})
}
