package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

const (
	token      = "token-of-the-api"
	svixSecret = "whsec_bm90IGEgc2VjcmV0LCBidXQgYW4gZXhhbXBsZSBvZiBpdA=="
)

// service is a host with the management API of org_1 and the operators' API.
type service struct {
	*httptest.Server
	store    *memory.Store
	apis     *http.ServeMux
	requests atomic.Int64 // those that change something
	// answer may take a request before the APIs see it.
	answer atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
}

func newService(t *testing.T) *service {
	t.Helper()
	return newServiceOf(t, &alotwebhook.Config{})
}

func newServiceOf(t *testing.T, config *alotwebhook.Config) *service {
	t.Helper()
	s := &service{store: memory.New()}
	config.Logger = slog.New(slog.DiscardHandler)
	d, err := alotwebhook.NewDispatcher(s.store, config)
	require.NoError(t, err)
	known := func(r *http.Request) error {
		if r.Header.Get("Authorization") != "Bearer "+token {
			return errors.New("who is it?")
		}
		return nil
	}
	api, err := settings.NewAPI(d, &settings.Options{Organization: func(r *http.Request) (string, error) { return "org_1", known(r) }})
	require.NoError(t, err)
	operators, err := settings.NewOperatorAPI(d, &settings.OperatorOptions{
		Operator: func(r *http.Request) (string, error) { return "jane", known(r) },
		May:      func(*http.Request, settings.Action) bool { return true },
	})
	require.NoError(t, err)
	s.apis = http.NewServeMux()
	s.apis.Handle("/v1/webhooks", api)
	s.apis.Handle("/v1/webhooks/", api)
	s.apis.Handle("/v1/operator/", operators)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			s.requests.Add(1)
		}
		if answer := s.answer.Load(); answer != nil && (*answer)(w, r) {
			return
		}
		s.apis.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) answers(with func(http.ResponseWriter, *http.Request) bool) { s.answer.Store(&with) }

// stored returns the endpoints of an organization, with their secrets.
func (s *service) stored(t *testing.T, organization string) []alotwebhook.Endpoint {
	t.Helper()
	found, _, err := s.store.Endpoints(t.Context(), alotwebhook.EndpointFilter{OrganizationID: organization})
	require.NoError(t, err)
	return found
}

// endpoints runs a command of endpoints with the token in the environment.
func endpoints(t *testing.T, args ...string) (code int, out, err string) {
	t.Helper()
	s := newSession(strings.NewReader(""), map[string]string{tokenVariable: token})
	code = s.app.run(t.Context(), append([]string{"endpoints"}, args...))
	require.NotContains(t, s.out.String()+s.err.String(), token)
	for _, secret := range []string{svixSecret, string(secret), "whsec_"} {
		require.NotContains(t, s.out.String()+s.err.String(), secret, "a secret is printed")
	}
	return code, s.out.String(), s.err.String()
}

// exportOf writes a file of ours.
func exportOf(t *testing.T, endpoints ...string) string {
	t.Helper()
	return file(t, `{"endpoints":[`+strings.Join(endpoints, ",")+`]}`)
}

// one is an endpoint of an export, with further keys.
func one(id, url string, more string) string {
	return fmt.Sprintf(`{"id":%q,"url":%q,"events":["candidate.invited"],"secret":%q%s}`, id, url, svixSecret, more)
}

func TestImportTwiceMakesNothingTwice(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ledger := filepath.Join(t.TempDir(), "map")
	export := exportOf(t,
		one("ep_1", "https://a.example.com/alot?token=abc", `,"description":"ATS","rate":5,"ordered":true`),
		one("ep_2", "https://a.example.com/alot?token=abc", `,"disabled":true`), // the old sender had both
		one("ep_3", "https://10.0.0.1/", ""))
	args := []string{"import", export, "--api", s.URL + "/v1/webhooks/", "--map", ledger}

	code, dry, _ := endpoints(t, append(args, "-dry-run")...)
	require.Equal(t, exitFailed, code)
	require.Zero(t, s.requests.Load())
	require.NoFileExists(t, ledger)
	require.Contains(t, dry, "would be created  ep_1  https://a.example.com/alot?…: events candidate.invited\n")
	require.Contains(t, dry, "would be created  ep_2  https://a.example.com/alot?…: events candidate.invited; disabled\n")
	require.Regexp(t, `would be refused  ep_3  https://10\.0\.0\.1/: .*url`, dry)
	require.Contains(t, dry, "Nothing was done; it would be: 2 created, 1 refused")

	code, out, _ := endpoints(t, args...)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "\n2 created, 1 refused\n")
	found := s.stored(t, "org_1")
	require.Len(t, found, 2)
	if found[0].Disabled { // ids that a key made are in no order within a minute
		found[0], found[1] = found[1], found[0]
	}
	require.Equal(t, svixSecret, string(found[0].Secret))
	require.Equal(t, []any{"ATS", 5.0, true, false, true}, []any{found[0].Description, found[0].Rate, found[0].Ordered, found[0].Disabled, found[1].Disabled})
	require.Contains(t, out, "as "+found[0].ID+":")

	for range 2 {
		before := s.requests.Load()
		code, out, _ = endpoints(t, args...)
		require.Equal(t, exitFailed, code)
		require.Contains(t, out, "unchanged  ep_1  https://a.example.com/alot?…  as "+found[0].ID+"\n")
		require.Equal(t, before+1, s.requests.Load(), "the refused one is tried again, and nothing else")
	}
	require.Len(t, s.stored(t, "org_1"), 2)

	// Without the map nothing is made twice either.
	code, out, _ = endpoints(t, "import", export, "--api", s.URL+"/v1/webhooks", "--map", ledger+"2")
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, " has its URL already, and is not in the map")
	require.Len(t, s.stored(t, "org_1"), 2)
}

// The old sender may have several endpoints with one URL. One that somebody has registered here
// himself is another matter, also after the service has refused the endpoint once.
func TestImportOfOneURL(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ledger := filepath.Join(t.TempDir(), "map")
	bring := func(exported ...string) string {
		_, out, _ := endpoints(t, "import", exportOf(t, exported...), "--api", s.URL+"/v1/webhooks", "--map", ledger)
		return out
	}
	first, second := one("ep_1", "https://a.example.com", ""), one("ep_2", "https://A.example.com:443/", "")
	require.Contains(t, bring(first), "1 created")
	require.Contains(t, bring(first, second), "1 created, 1 unchanged")

	require.Contains(t, bring(one("ep_3", "https://b.example.com/", `,"rate":0.001`)), "1 refused")
	own, _, _ := endpoints(t, "import", exportOf(t, one("his", "https://b.example.com/", "")), "--api", s.URL+"/v1/webhooks", "--map", ledger+"2")
	require.Equal(t, exitOK, own)
	require.Contains(t, bring(one("ep_3", "https://b.example.com/", "")), "has its URL already, and is not in the map")
	require.Len(t, s.stored(t, "org_1"), 3)
}

// What was changed at the old sender comes over; what was changed here stays.
func TestImportCarriesChangesOver(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ledger := filepath.Join(t.TempDir(), "map")
	bring := func(endpoint string, more ...string) (int, string) {
		code, out, _ := endpoints(t, append([]string{"import", exportOf(t, endpoint), "--api", s.URL + "/v1/webhooks", "--map", ledger}, more...)...)
		return code, out
	}
	code, _ := bring(one("ep_1", "https://a.example.com/", ""))
	require.Equal(t, exitOK, code)
	changed := strings.Replace(one("ep_1", "https://b.example.com/", `,"disabled":true`), svixSecret, "another-secret-of-theirs", 1)
	_, out := bring(changed, "--dry-run")
	require.Contains(t, out, ": disabled, url, secret\n")
	require.Equal(t, svixSecret, string(s.stored(t, "org_1")[0].Secret))
	code, out = bring(changed)
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "changed  ep_1  https://b.example.com/")
	e := s.stored(t, "org_1")[0]
	require.Equal(t, "https://b.example.com/", e.URL)
	require.True(t, e.Disabled)
	require.Contains(t, []alotwebhook.Secret{e.Secret, e.NextSecret}, alotwebhook.Secret("another-secret-of-theirs"))
	_, out = bring(changed)
	require.Contains(t, out, "1 unchanged")

	// The customer changes it here.
	e.Description = "Mine"
	require.NoError(t, s.store.PutEndpoint(t.Context(), e))
	_, out = bring(changed)
	require.Contains(t, out, "1 unchanged", "the old sender has nothing new")
	code, out = bring(one("ep_1", "https://c.example.com/", ""))
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "it was changed at both")
	require.Equal(t, "https://b.example.com/", s.stored(t, "org_1")[0].URL)

	require.NoError(t, s.store.DeleteEndpoint(t.Context(), e.ID))
	code, out = bring(changed)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, e.ID+" was deleted here after it was imported")
}

// An import that is ended half way says what it did, and the next one goes on: also if the
// service has registered an endpoint and its response was lost.
func TestImportGoesOnAfterAnEnd(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]func(http.ResponseWriter){
		"the service fails":    func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		"the response is lost": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"the token has ended":  func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnauthorized) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			args := []string{"import", exportOf(t, one("ep_1", "https://a.example.com/", ""), one("ep_2", "https://b.example.com/", ""), one("ep_3", "https://c.example.com/", "")),
				"--api", s.URL + "/v1/webhooks", "--map", filepath.Join(t.TempDir(), "map")}
			s.answers(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPost || s.requests.Load() < 2 {
					return false
				}
				s.apis.ServeHTTP(httptest.NewRecorder(), r) // it is done, and nobody is told
				fails(w)
				return true
			})
			code, out, err := endpoints(t, args...)
			require.Equal(t, exitFailed, code)
			require.Contains(t, out, "not done  ep_2")
			require.Contains(t, out, "1 created, 2 not done")
			require.Contains(t, err, "another run goes on from there")
			require.Len(t, s.stored(t, "org_1"), 2)
			s.answer.Store(nil)
			code, out, _ = endpoints(t, args...)
			require.Equal(t, exitOK, code, out)
			require.Contains(t, out, "2 created, 1 unchanged")
			require.Len(t, s.stored(t, "org_1"), 3)
		})
	}
}

// A map whose last line was cut off by a crash is read up to there.
func TestImportReadsACutMap(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ledger := filepath.Join(t.TempDir(), "map")
	args := []string{"import", exportOf(t, one("ep_1", "https://a.example.com/", "")), "--api", s.URL + "/v1/webhooks", "--map", ledger}
	code, _, _ := endpoints(t, args...)
	require.Equal(t, exitOK, code)
	text, err := os.ReadFile(ledger)
	require.NoError(t, err)
	require.NotContains(t, string(text), "whsec_")
	info, err := os.Stat(ledger)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, os.WriteFile(ledger, text[:len(text)-20], 0o600))
	for range 2 {
		code, out, _ := endpoints(t, args...)
		require.Equal(t, exitOK, code, out)
	}
	require.Len(t, s.stored(t, "org_1"), 1)
	require.NoError(t, os.WriteFile(ledger, []byte("no map\n"), 0o600))
	code, _, said := endpoints(t, args...)
	require.Equal(t, exitUsage, code)
	require.Contains(t, said, "line 1 is no entry")
}

// Over the operators' API each endpoint goes to its own organization.
func TestImportOfAllOrganizations(t *testing.T) {
	t.Parallel()
	s := newService(t)
	export := exportOf(t,
		one("ep_1", "https://a.example.com/", `,"organizationId":"org/ä"`), one("ep_2", "https://a.example.com/", `,"organizationId":".."`),
		one("ep_3", "https://a.example.com/", `,"organizationId":"app_3"`), one("ep_4", "https://a.example.com/", ""))
	args := []string{"import", export, "--api", s.URL + "/v1/operator", "--map", filepath.Join(t.TempDir(), "map"), "--organization", "app_3=org_3"}
	code, out, _ := endpoints(t, append(args, "--only", "app_3")...)
	require.Equal(t, exitOK, code, out)
	code, out, _ = endpoints(t, args...)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "belongs to no organization")
	require.Contains(t, out, "2 created, 1 unchanged, 1 refused")
	for _, organization := range []string{"org/ä", "..", "org_3"} {
		require.Len(t, s.stored(t, organization), 1, organization)
	}

	out1 := filepath.Join(t.TempDir(), "export.json")
	code, _, said := endpoints(t, "export", "--api", s.URL+"/v1/operator", "--out", out1)
	require.Equal(t, exitOK, code)
	require.Contains(t, said, "3 endpoints, without their secrets")
	text, err := os.ReadFile(out1)
	require.NoError(t, err)
	require.Contains(t, string(text), `"organizationId": "org/ä"`)
	code, _, said = endpoints(t, "export", "--api", s.URL+"/v1/operator", "--out", out1)
	require.Equal(t, exitUsage, code, "nothing is written over")
	require.Contains(t, said, "exists")

	code, _, said = endpoints(t, "import", export, "--api", s.URL+"/v1/webhooks", "--map", filepath.Join(t.TempDir(), "map"))
	require.Equal(t, exitUsage, code)
	require.Contains(t, said, "endpoints of several organizations")
}

// Endpoints without a secret get one, which is kept in a file and nowhere else.
func TestImportMakesSecrets(t *testing.T) {
	t.Parallel()
	s := newService(t)
	kept := filepath.Join(t.TempDir(), "secrets")
	export := exportOf(t, `{"id":"wh_1","url":"https://a.example.com/","events":["*"]}`)
	args := []string{"import", export, "--api", s.URL + "/v1/webhooks", "--map", filepath.Join(t.TempDir(), "map")}
	code, out, _ := endpoints(t, args...)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "it has no secret; with --new-secrets")
	code, out, _ = endpoints(t, append(args, "--new-secrets", kept)...)
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "all 4 event types of today; a new secret")
	var line newSecret
	text, err := os.ReadFile(kept)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &line))
	require.Equal(t, newSecret{OldID: "wh_1", URL: "https://a.example.com/", Secret: string(s.stored(t, "org_1")[0].Secret)}, line)
	info, err := os.Stat(kept)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for name, c := range map[string]struct {
		endpoint, says string
	}{
		"a short secret":   {strings.Replace(one("e", "https://a.example.com/", ""), svixSecret, "short", 1), "its secret has 5 bytes"},
		"an unknown type":  {strings.Replace(one("e", "https://a.example.com/", ""), "candidate.invited", "user.created", 1), "no event type user.created; name the one that takes its place"},
		"nothing left":     {strings.Replace(one("e", "https://a.example.com/", ""), "candidate.invited", "gone", 1), "no event type is left"},
		"unsupported":      {one("e", "https://a.example.com/", `,"unsupported":["channels (a)"]`), "it would be imported without channels (a)"},
		"what only it can": {one("e", "https://a.example.com/", `,"rate":0.001`), "rate"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, dry := range []string{"--dry-run=true", "--dry-run=false"} {
				code, out, _ := endpoints(t, "import", exportOf(t, c.endpoint), "--api", s.URL+"/v1/webhooks", "--map", filepath.Join(t.TempDir(), "map"), "--drop-type", "gone", dry)
				require.Equal(t, exitFailed, code)
				require.Contains(t, out, c.says)
				require.Contains(t, out, "1 refused")
			}
		})
	}
	require.Empty(t, s.stored(t, "org_1"))
}

func TestEndpointsRefuseWrongUse(t *testing.T) {
	t.Parallel()
	good, api := exportOf(t, one("ep_1", "https://a.example.com/", "")), "http://127.0.0.1:1/v1/webhooks"
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"http to elsewhere":   {[]string{"import", good, "--api", "http://app.example.com/v1/webhooks", "--map", "m"}, "use https"},
		"any certificate":     {[]string{"import", good, "--api", "https://app.example.com/v1/webhooks", "--map", "m", "--insecure"}, "--insecure is for an API on this machine"},
		"no API":              {[]string{"import", good, "--api", "https://app.example.com/", "--map", "m"}, "ends with /v1/webhooks"},
		"a query":             {[]string{"import", good, "--api", api + "?a=b", "--map", "m"}, "without a user, a query"},
		"no map":              {[]string{"import", good, "--api", api}, `"map" not set`},
		"no file":             {[]string{"import", "none", "--api", api, "--map", "m"}, "cannot read the export"},
		"another source":      {[]string{"import", good, "--from", "hook0", "--api", api, "--map", "m"}, `--from is "hook0"`},
		"no such one":         {[]string{"import", good, "--only", "org_9", "--api", api, "--map", "m"}, `no endpoint of the organization "org_9"`},
		"a printed export":    {[]string{"export", "--from", "svix", "--api", "https://api.eu.svix.com"}, "name a file with --out"},
		"no project":          {[]string{"export", "--from", "convoy", "--api", "https://a.example.com", "--out", "o"}, "--project belongs to --from convoy"},
		"a token of two":      {[]string{"export", "--api", api, "--token-file", file(t, "to ken")}, "is no token: it has a blank"},
		"an export elsewhere": {[]string{"export", "--api", "http://127.0.0.1:1/"}, "ends with /v1/webhooks"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, err := endpoints(t, c.args...)
			require.Equal(t, exitUsage, code)
			require.Contains(t, err, c.says)
			require.Empty(t, out)
		})
	}
	plain := newSession(strings.NewReader(""), nil)
	require.Equal(t, exitUsage, plain.app.run(t.Context(), []string{"endpoints", "export", "--api", api}))
	require.Contains(t, plain.err.String(), "no token in "+tokenVariable)
	for content, says := range map[string]string{
		"{":                                 "ends in the middle",
		"[]":                                "array",
		`{"endpoints":[]}`:                  "has no endpoints",
		`{"endpoints":[{"url":"x","a":1}]}`: `unknown field "a"`,
		`{"endpoints":[{"events":[]}]}`:     "endpoint 1 of the export has no URL",
		`{"endpoints":[{"url":"https://a/","events":[]},{"url":"https://a/","events":[]}]}`: "twice",
		`{"endpoints":[{"url":"https://a/","events":[],"secret":7}]}`:                       `"endpoints.secret" in the export is a number`,
	} {
		code, _, err := endpoints(t, "import", file(t, content), "--api", api, "--map", filepath.Join(t.TempDir(), "m"))
		require.Equal(t, exitFailed, code)
		require.Contains(t, err, says)
	}
}
