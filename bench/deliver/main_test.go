package main

import (
	"bytes"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	if isReceiver() {
		os.Exit(receive(os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

func TestEveryContenderDelivers(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"-n", "300", "-rounds", "2", "-endpoints", "3", "-inflight", "8", "-read"}, &stdout, &stderr)
	require.Equal(t, 0, code, stderr.String())
	for _, line := range []string{
		`(?m)^raw net/http +\d+ +\d+\.\d +1\.00 +1\.00 +1\.00$`,
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

func TestMedianIsTheMiddle(t *testing.T) {
	t.Parallel()
	require.Equal(t, 2, median([]int{3, 1, 2}))
	require.Equal(t, 2, median([]int{4, 3, 1, 2}))
}
