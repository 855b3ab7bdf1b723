package main

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

func TestSign(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"-"}, {file(t, helloBody)}} {
		code, out, _ := run(t, helloBody, append([]string{"sign", "--secret", helloSecret}, args...)...)
		require.Equal(t, exitOK, code)
		require.Equal(t, helloSignature+"\n", out)
	}
	_, out, _ := run(t, helloBody, "sign", "-secret="+helloSecret, "-header") // as package flag spells them
	require.Equal(t, "X-Alot-Signature: "+helloSignature+"\n", out)
	code, _, says := run(t, "", "sign", "--", "-header") // a file
	require.Equal(t, exitUsage, code)
	require.Contains(t, says, "open -header")
	_, out, _ = run(t, helloBody+"\n", "sign", "--secret", helloSecret)
	require.NotEqual(t, helloSignature+"\n", out)
}

// Somebody who types the body is told how to end it.
func TestSignFromTerminal(t *testing.T) {
	t.Parallel()
	s := newSession(nil, withSecret)
	typed := &typing{strings.NewReader("{}")}
	s.app.in, s.app.isTerminal = typed, func(f any) bool { return f == io.Reader(typed) }
	require.Equal(t, exitOK, s.app.run(t.Context(), []string{"sign"}))
	require.Contains(t, s.err.String(), "Press Ctrl-D")
	require.Equal(t, alotwebhook.Sign([]byte("{}"), secret)+"\n", s.out.String())
}

type typing struct{ io.Reader }
