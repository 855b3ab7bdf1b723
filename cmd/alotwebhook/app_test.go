package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

const secret alotwebhook.Secret = "your-signing-secret"

// GitHub publishes this example of the same scheme.
const (
	helloSecret    = "It's a Secret to Everybody"
	helloBody      = "Hello, World!"
	helloSignature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
)

// screen is an output that a test reads while the program writes to it.
type screen struct {
	mu       sync.Mutex
	b        bytes.Buffer
	terminal bool
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// session is a run of the program in the test's own process.
type session struct {
	app      *app
	out, err *screen
}

func newSession(in io.Reader, env map[string]string) *session {
	s := &session{out: &screen{}, err: &screen{}}
	s.app = &app{in: in, out: s.out, err: s.err, env: func(name string) string { return env[name] }, isTerminal: func(f any) bool {
		on, ok := f.(*screen)
		return ok && on.terminal
	}}
	return s
}

var withSecret = map[string]string{secretVariable: string(secret)}

// run runs a command with the secret in the environment.
func run(t *testing.T, in string, args ...string) (code int, out, err string) {
	t.Helper()
	s := newSession(strings.NewReader(in), withSecret)
	code = s.app.run(t.Context(), args)
	return code, s.out.String(), s.err.String()
}

func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

func TestWrongCommandLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"unknown command":  {[]string{"sing"}, `unknown command "sing" for "alotwebhook"`},
		"unknown flag":     {[]string{"sign", "--hader"}, "unknown flag: --hader"},
		"no URL":           {[]string{"send"}, "give one URL, such as http://localhost:3000/alot/webhook, and not 0 arguments"},
		"two URLs":         {[]string{"check", "http://a.test", "http://b.test"}, "not 2 arguments"},
		"no http":          {[]string{"send", "ftp://a.test/"}, `"ftp://a.test/" is not an http or https URL`},
		"no host":          {[]string{"check", "localhost:3000"}, `"localhost:3000" is not an http or https URL`},
		"scheme alone":     {[]string{"send", "http://"}, `"http://" names no host`},
		"two bodies":       {[]string{"sign", "a", "b"}, "give one file, or none for standard input, and not 2 arguments"},
		"two to verify":    {[]string{"verify", "a", "b"}, "give one file, or none for standard input, and not 2 arguments"},
		"forward without":  {[]string{"listen", "http://a.test/"}, `listen takes no arguments, and got "http://a.test/"; name your own receiver with --forward`},
		"no file":          {[]string{"sign", "no such file"}, "cannot read the body: open no such file"},
		"no secret file":   {[]string{"sign", "--secret-file", "no such file"}, "cannot read the secret: open no such file"},
		"no data file":     {[]string{"send", "--data", "@no such file", "http://a.test"}, "cannot read the data: open no such file"},
		"no JSON":          {[]string{"send", "--data", "{", "http://a.test"}, "data is not one JSON value"},
		"no event id":      {[]string{"send", "--id", "evt_1", "http://a.test"}, `"id" has 1 characters after the prefix`},
		"body and data":    {[]string{"send", "--data", "{}", "--body", "-", "http://a.test"}, "[body data] were all set"},
		"two secrets":      {[]string{"sign", "--secret", "a", "--secret-file", "b"}, "[secret secret-file] were all set"},
		"no signature":     {[]string{"verify"}, "no signature: give --signature"},
		"forward nowhere":  {[]string{"listen", "--forward", "3000"}, `"3000" is not an http or https URL`},
		"no such address":  {[]string{"listen", "--addr", "127.0.0.1:x"}, "give another address with --addr"},
		"open to control":  {[]string{"listen", "--addr", "127.0.0.1:0", "--control", "0.0.0.0:0"}, `--control is "0.0.0.0:0"; it must be an address on loopback`},
		"keeps fewer":      {[]string{"listen", "--keep", "-1"}, "--keep must be 0 or more"},
		"unknown check":    {[]string{"check", "--skip", "gzp", "http://a.invalid"}, `there is no check "gzp" to skip`},
		"no duration":      {[]string{"send", "--timeout", "0", "http://a.test"}, `invalid argument "0" for "--timeout" flag: it must be more than 0`},
		"a negative one":   {[]string{"replay", "--timeout", "-1s"}, "it must be more than 0"},
		"unknown shell":    {[]string{"completion", "tcsh"}, `unknown command "tcsh" for "alotwebhook completion"`},
		"unknown topic":    {[]string{"help", "sing"}, `unknown command "sing" for "alotwebhook"`},
		"no such duration": {[]string{"send", "--timeout", "soon", "http://a.test"}, `invalid argument "soon" for "--timeout"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, err := run(t, "", c.args...)
			require.Equal(t, exitUsage, code)
			require.Contains(t, err, c.says)
			require.Contains(t, err, "\nTry: alotwebhook")
			require.Empty(t, out)
		})
	}
}

// Every command explains itself with examples, and completes in four shells.
func TestHelpAndCompletion(t *testing.T) {
	t.Parallel()
	code, out, _ := run(t, "", "-h")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "Exit codes: 0 all is well; 1 ")
	require.Contains(t, out, secretVariable)
	for _, name := range []string{"sign", "verify", "send", "listen", "replay", "check", "id", "endpoints"} {
		require.Contains(t, out, "\n  "+name+" ")
		code, help, _ := run(t, "", name, "-help")
		require.Equal(t, exitOK, code)
		require.Contains(t, help, "Examples:\n  alotwebhook "+name)
		for line := range strings.Lines(help) {
			require.Less(t, len(line), 140, "%s", line)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		code, script, _ := run(t, "", "completion", shell)
		require.Equal(t, exitOK, code)
		require.Contains(t, script, "alotwebhook")
	}
	_, out, _ = run(t, "", "__complete", "send", "--type", "candidate.d")
	require.Contains(t, out, "candidate.disqualified\n")
	_, out, _ = run(t, "", "__complete", "check", "--skip", "gz")
	require.Contains(t, out, "gzip\n")
	_, out, _ = run(t, "", "__complete", "check", "--skip", "gzip,dupl")
	require.Contains(t, out, "gzip,duplicate\n")
	for _, own := range []string{"help", "completion"} {
		code, out, _ := run(t, "", own)
		require.Equal(t, exitOK, code)
		require.Contains(t, out, "Usage:")
	}
}
