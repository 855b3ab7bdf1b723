package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/webhooktest"
)

func TestPrintable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Jürgen\t王\n🎉":       "Jürgen\t王\n🎉",
		"\x1b[31mred\x07":    `\u001b[31mred\u0007`,
		"a\r\nb":             "a\\r\nb",
		"\u009b31m":          `\u009b31m`,
		"a\u202eb":           `a\u202eb`,
		"\xff\xfe":           `\xff\xfe`,
		"\ufffd is no fault": "\ufffd is no fault",
	} {
		require.Equal(t, want, printable(in))
	}
}

func TestShown(t *testing.T) {
	t.Parallel()
	require.Equal(t, "{\n  \"a\": 1.10\n}", shown([]byte(`{"a":1.10}`)))
	require.Equal(t, "no JSON", shown([]byte("no JSON\r\n")))
	long := shown(bytes.Repeat([]byte("x"), maxShown+7))
	require.True(t, strings.HasSuffix(long, "x\n… and 7 bytes more"))
}

// Output is coloured on a terminal only, and by the rule of NO_COLOR.
func TestColours(t *testing.T) {
	t.Parallel()
	server := webhooktest.NewServer(t, secret)
	coloured := regexp.MustCompile(`\x1b\[32m200 OK\x1b\[0m`)
	for name, c := range map[string]struct {
		terminal bool
		env      map[string]string
		want     bool
	}{
		"a terminal":       {true, nil, true},
		"a file":           {false, nil, false},
		"NO_COLOR":         {true, map[string]string{"NO_COLOR": "1"}, false},
		"TERM is dumb":     {true, map[string]string{"TERM": "dumb"}, false},
		"NO_COLOR is \"\"": {true, map[string]string{"NO_COLOR": ""}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSession(strings.NewReader(""), c.env)
			s.out.terminal = c.terminal
			require.Equal(t, exitOK, s.app.run(t.Context(), []string{"send", "--secret", string(secret), server.URL}))
			require.Equal(t, c.want, coloured.MatchString(s.out.String()))
		})
	}
}

func TestIsTerminal(t *testing.T) {
	t.Parallel()
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	require.False(t, isTerminal(null))
	require.False(t, isTerminal(strings.NewReader("")))
	plain, err := os.Create(t.TempDir() + "/file")
	require.NoError(t, err)
	defer plain.Close()
	require.False(t, isTerminal(plain))
}
