package main

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/bench/internal/child"
	"github.com/alot/alotwebhook/bench/internal/deliver"
)

func TestMain(m *testing.M) {
	child.Main(deliver.Roles())
	m.Run()
}

func TestEveryContenderDelivers(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"-n", "300", "-rounds", "2", "-endpoints", "3", "-inflight", "8", "-read"}, &stdout, &stderr)
	require.Equal(t, 0, code, stderr.String())
	for _, line := range []string{
		`(?m)^raw net/http +\d+ +1\.00 \(1\.00–1\.00\) `,
		`(?m)^memory, 3 endpoints +\d+ `,
		`(?m)^sqlite, 3 endpoints +\d+ `,
		`(?m)^sqlite, 3 endpoints, read +\d+ `,
	} {
		require.Regexp(t, regexp.MustCompile(line), stdout.String())
	}
}

func TestWrongFlags(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ args, want string }{
		{"-store=mongo", `unknown store "mongo"; there are memory, postgres, sqlite`},
		{"-endpoints=ten", `"ten" is not a number from 1`},
		{"-n=0", "must be at least 1"},
		{"sqlite", `unexpected argument "sqlite"`},
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 2, run(t.Context(), []string{tc.args}, &stdout, &stderr), tc.args)
		require.Contains(t, stderr.String(), tc.want)
		require.Empty(t, stdout.String())
	}
}
