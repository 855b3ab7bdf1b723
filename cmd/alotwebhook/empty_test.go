package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// An empty flag comes of a variable that is not set. No command does something else then.
func TestEmptyFlagsAreRefused(t *testing.T) {
	t.Parallel()
	const url, api = "http://127.0.0.1:1", "http://127.0.0.1:1/v1/webhooks"
	export, dir := exportOf(t, one("1", "https://a.example.com/", "")), t.TempDir()
	for _, args := range [][]string{
		{"send", url, "--data", ""}, {"send", url, "--body", ""}, {"send", url, "--id", ""}, {"send", url, "--organization", ""}, {"send", url, "--type", ""},
		{"check", url, "--data", ""}, {"check", url, "--organization", ""}, {"check", url, "--type", ""},
		{"pull", url, "--to", ""}, {"pull", url, "--cursor-file", ""}, {"pull", url, "--since", ""}, {"pull", url, "--token-file", ""}, {"pull", url, "--type", ""},
		{"listen", "--forward", ""}, {"listen", "--addr", ""}, {"id", "0193187e-4be3-712f-b474-b31513535818", "--prefix", ""},
		{"endpoints", "export", "--api", api, "--out", ""}, {"endpoints", "export", "--api", api, "--token-file", ""},
		{"endpoints", "import", export, "--api", api, "--map", filepath.Join(dir, "m"), "--new-secrets", ""},
		{"endpoints", "import", export, "--api", api, "--map", ""},
	} {
		s := newSession(nil, map[string]string{secretVariable: string(secret), tokenVariable: token})
		require.Equal(t, exitUsage, s.app.run(t.Context(), args), "%v", args)
		require.Regexp(t, `^alotwebhook: --[a-z-]+ is empty; give it a value, or leave it out\n`, s.err.String())
		require.Empty(t, s.out.String())
	}
	for _, command := range []string{"send", "check"} {
		code, out, said := run(t, "", command, url, "--data", "@"+file(t, "\n"))
		require.Equal(t, exitUsage, code)
		require.Contains(t, said, "the data is empty: ")
		require.Empty(t, out)
	}
}

// What is wrong with a URL is said without what may be secret in it.
func TestURLsAreRefusedWithoutTheirSecrets(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"https://u:hunter2@h:bad/v1/webhooks", "https://u:hunter2/x@h/v1/webhooks", "ftp://u:hunter2@h/", "u:hunter2@h", "ftp://h/?key=hunter2", "https://u:hunter2@/?x", "https://u:hunter2@h/v1/webhooks", "https://h:hunter2 @",
	} {
		for _, args := range [][]string{
			{"send", url}, {"check", url}, {"listen", "--forward", url, "--addr", "x"}, {"pull", "http://127.0.0.1:1", "--to", url}, {"pull", url},
			{"endpoints", "export", "--api", url},
		} {
			if url == "https://u:hunter2@h/v1/webhooks" && args[0] != "endpoints" && args[len(args)-1] == url {
				continue // it is a good URL of a receiver
			}
			s := newSession(nil, map[string]string{secretVariable: string(secret), tokenVariable: token})
			require.Equal(t, exitUsage, s.app.run(t.Context(), args), "%v", args)
			require.NotContains(t, s.err.String()+s.out.String(), "hunter2")
		}
	}
	code, _, said := run(t, "", "send", "http://a.test:port/")
	require.Equal(t, exitUsage, code)
	require.Contains(t, said, `the URL is not understood: invalid port ":port" after host`)
}
