package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// What an endpoint has here beyond its URL comes over, too: headers, stars and the payload version.
func TestImportCarriesAll(t *testing.T) {
	t.Parallel()
	s := newServiceOf(t, &alotwebhook.Config{Wildcards: true, CustomerOperations: true, PayloadVersions: []string{"1", "2"}})
	dir := t.TempDir()
	export, ledger := filepath.Join(dir, "export"), filepath.Join(dir, "map")
	args := []string{"import", export, "--api", s.URL + "/v1/webhooks", "--map", ledger}
	runs := func(url, events, more string, code int, says ...string) {
		t.Helper()
		text := strings.Replace(`{"endpoints":[`+one("ep_1", url, more)+`]}`, `["candidate.invited"]`, events, 1)
		require.NoError(t, os.WriteFile(export, []byte(text), 0o600))
		got, out, said := endpoints(t, args...)
		require.Equal(t, code, got, out+said)
		for _, part := range says {
			require.Contains(t, out, part)
		}
		for _, part := range []string{"sesame-1", "sesame-2"} {
			require.NotContains(t, out+said, part)
			kept, _ := os.ReadFile(ledger)
			require.NotContains(t, string(kept), part)
		}
	}
	const headers = `,"headers":[{"name":"X-Tenant","value":"sesame-1"}]`
	const url, moved = "https://a.example.com/", "https://b.example.com/"

	runs(url, `["*"]`, `,"headers":[{"name":"Host","value":"sesame-1"}]`, exitFailed, "1 refused")
	runs(url, `["*"]`, `,"headers":[{"name":"X-Tenant"}]`, exitFailed, "has no value")
	runs(url, `["*"]`, `,"payloadVersion":"3"`+headers, exitFailed, "1 refused")
	args = append(args, "--dry-run")
	runs(url, `["*"]`, `,"payloadVersion":"3"`+headers, exitFailed, "1 refused")
	runs(url, `["*","candidate.*","candidate.invited","endpoint.disabled"]`, `,"payloadVersion":"1"`+headers, exitOK, "1 created")
	args = args[:len(args)-1]
	runs(url, `["*","candidate.*","candidate.invited","endpoint.disabled"]`, `,"payloadVersion":"1"`+headers, exitOK, "events *, endpoint.disabled; headers X-Tenant")
	e := s.stored(t, "org_1")[0]
	require.Equal(t, []string{"*", "endpoint.disabled"}, e.EventTypes)
	require.Equal(t, "1", e.PayloadVersion)
	require.Contains(t, string(e.Credentials), "sesame-1")

	runs(url, `["*","endpoint.disabled"]`, `,"payloadVersion":"1"`+headers, exitOK, "1 unchanged")
	runs(moved, `["*","endpoint.disabled"]`, `,"payloadVersion":"2"`+headers, exitOK, ": payloadVersion, url\n")
	runs(moved, `["candidate.*"]`, `,"payloadVersion":"2"`+strings.Replace(headers, "sesame-1", "sesame-2", 1), exitOK, ": events, headers\n")
	e = s.stored(t, "org_1")[0]
	require.Equal(t, []any{moved, "2"}, []any{e.URL, e.PayloadVersion})
	require.Contains(t, string(e.Credentials), "sesame-2")

	code, out, _ := endpoints(t, "export", "--api", s.URL+"/v1/webhooks")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, `"candidate.*"`)
	require.Contains(t, out, `"payloadVersion": "2"`)
	require.Contains(t, out, `"name": "X-Tenant"`)
	require.NotContains(t, out, "sesame")

	runs(moved, `["candidate.*"]`, `,"payloadVersion":"2"`, exitOK, ": headers\n")
	require.Empty(t, s.stored(t, "org_1")[0].Credentials)
}
