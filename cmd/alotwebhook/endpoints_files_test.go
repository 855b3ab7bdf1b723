package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const nameless = `{"url":"https://a.example.com/","events":["candidate.invited"]}`

// A file that is named as the map by mistake stays as it is, also without a line end.
func TestImportKeepsWhatIsNoMap(t *testing.T) {
	t.Parallel()
	s := newService(t)
	export := exportOf(t, one("ep_1", "https://a.example.com/", ""))
	for name, content := range map[string]string{
		"a token":                token,
		"an export":              `{"endpoints":[` + one("ep_1", "https://a.example.com/", "") + `]}`,
		"an indented export":     "{\n  \"endpoints\": []\n}",
		"a generated secret":     `{"organizationId":"o","oldId":"1","url":"https://a.example.com/","secret":"s"}`,
		"a line of a secret":     `{"organizationId":"o","oldId":"1","url":"https://a.example.com/","secret":"s"}` + "\n",
		"a half of a secret":     `{"oldId":"1","url":"https://a.exa`,
		"behind a line of a map": `{"oldId":"1","at":"2026-05-25T00:00:00Z"}` + "\n" + token,
	} {
		ledger := file(t, content)
		for _, dry := range []string{"--dry-run", "--dry-run=false"} {
			code, _, said := endpoints(t, "import", export, "--api", s.URL+"/v1/webhooks", "--map", ledger, dry)
			require.Equal(t, exitUsage, code, name)
			require.Contains(t, said, "is no entry; was this file written by an import?", name)
			kept, err := os.ReadFile(ledger)
			require.NoError(t, err)
			require.Equal(t, content, string(kept), name)
		}
	}
	require.Zero(t, s.requests.Load())
}

// The map's last line may be cut off anywhere, and nothing is written before there is something to write.
func TestImportMendsACutMap(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ledger := filepath.Join(t.TempDir(), "map")
	args := []string{"import", exportOf(t, one("ep_1", "https://a.example.com/", "")), "--api", s.URL + "/v1/webhooks", "--map", ledger}
	code, _, _ := endpoints(t, args...)
	require.Equal(t, exitOK, code)
	text, err := os.ReadFile(ledger)
	require.NoError(t, err)
	lines := strings.SplitAfter(string(text), "\n")
	for cut := range len(lines[1]) {
		content := lines[0] + lines[1][:cut]
		require.NoError(t, os.WriteFile(ledger, []byte(content), 0o600))
		code, out, said := endpoints(t, append(args, "--dry-run")...)
		require.Equal(t, exitOK, code, out+said)
		kept, err := os.ReadFile(ledger)
		require.NoError(t, err)
		require.Equal(t, content, string(kept))
		for range 2 {
			code, out, said = endpoints(t, args...)
			require.Equal(t, exitOK, code, out+said)
		}
		require.Contains(t, out, "1 unchanged")
	}
	require.Len(t, s.stored(t, "org_1"), 1)

	// A whole entry without a line end is one, and the next is written behind it.
	require.NoError(t, os.WriteFile(ledger, text[:len(text)-1], 0o600))
	both := exportOf(t, one("ep_1", "https://a.example.com/", ""), one("ep_2", "https://b.example.com/", ""))
	args[1] = both
	_, out, _ := endpoints(t, args...)
	require.Contains(t, out, "1 created, 1 unchanged")
	_, out, _ = endpoints(t, args...)
	require.Contains(t, out, "2 unchanged")
}

func TestImportRefusesOneFileForTwoThings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	export, held := filepath.Join(dir, "export"), filepath.Join(dir, "token")
	require.NoError(t, os.WriteFile(export, []byte(`{"endpoints":[`+nameless+`]}`), 0o600))
	require.NoError(t, os.WriteFile(held, []byte(token), 0o600))
	linked := filepath.Join(dir, "linked")
	require.NoError(t, os.Link(export, linked))
	fresh := filepath.Join(dir, "fresh")
	for _, more := range [][]string{
		{"--map", export}, {"--map", linked}, {"--map", held},
		{"--map", fresh, "--new-secrets", filepath.Join(dir, ".", "fresh")},
		{"--map", fresh, "--new-secrets", export}, {"--map", fresh, "--new-secrets", held},
	} {
		code, _, said := endpoints(t, append([]string{"import", export, "--api", "http://127.0.0.1:1/v1/webhooks", "--token-file", held}, more...)...)
		require.Equal(t, exitUsage, code)
		require.Contains(t, said, "are one file")
	}
	require.NoFileExists(t, fresh)
	kept, err := os.ReadFile(held)
	require.NoError(t, err)
	require.Equal(t, token, string(kept))
}

// Where generated secrets go is known to work before any is generated.
func TestImportOpensTheFileOfSecretsFirst(t *testing.T) {
	t.Parallel()
	s := newService(t)
	dir := t.TempDir()
	open, half := filepath.Join(dir, "open"), filepath.Join(dir, "half")
	require.NoError(t, os.WriteFile(open, nil, 0o644))
	require.NoError(t, os.WriteFile(half, []byte(`{"url":"https://a.exa`), 0o600))
	run := func(secrets string, more ...string) (int, string) {
		code, _, said := endpoints(t, append([]string{"import", exportOf(t, nameless), "--api", s.URL + "/v1/webhooks", "--map", filepath.Join(dir, "map"), "--new-secrets", secrets}, more...)...)
		return code, said
	}
	for secrets, says := range map[string]string{
		dir: "cannot keep secrets in " + dir, open: "others may read it, by its mode 0644", filepath.Join(dir, "no", "where"): "no such file",
	} {
		for _, dry := range []string{"--dry-run=true", "--dry-run=false"} {
			code, said := run(secrets, dry)
			if secrets == filepath.Join(dir, "no", "where") && dry == "--dry-run=true" {
				continue // it could be made
			}
			require.Equal(t, exitUsage, code)
			require.Contains(t, said, says)
		}
	}
	require.Zero(t, s.requests.Load())
	require.NoFileExists(t, filepath.Join(dir, "map"))

	code, said := run(half)
	require.Equal(t, exitOK, code, said)
	text, err := os.ReadFile(half)
	require.NoError(t, err)
	var line newSecret
	require.NoError(t, json.Unmarshal([]byte(strings.Split(string(text), "\n")[1]), &line))
	require.Equal(t, string(s.stored(t, "org_1")[0].Secret), line.Secret)
}
