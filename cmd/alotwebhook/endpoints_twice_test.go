package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Endpoints that would be one are refused before anything is asked.
func TestImportRefusesTwoThatBecomeOne(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, c := range []struct {
		first, second string
		renames       []string
		says          string
	}{
		{one("1", "https://a.example.com/", `,"organizationId":"a"`), one("1", "https://b.example.com/", `,"organizationId":"b"`), []string{"--organization", "a=x", "--organization", "b=x"}, `1 of "x" twice`},
		{one("1", "https://a.example.com/", `,"organizationId":"a"`), one("1", "https://b.example.com/", `,"organizationId":"b"`), []string{"--organization", "a=b"}, `1 of "b" twice`},
		{one("", "https://a.example.com/?key=sesame", `,"organizationId":"a"`), one("", "https://A.example.com/?key=sesame", `,"organizationId":"a"`), nil, `https://A.example.com/?… of "a" twice`},
		{one("1", "https://a.example.com/", `,"organizationId":"a"`), one("", "https://a.example.com", `,"organizationId":"a"`), nil, `https://a.example.com of "a" twice`},
		{one("", "https://a.example.com/", `,"organizationId":"a"`), one("1", "https://a.example.com", `,"organizationId":"b"`), []string{"--organization", "a=b"}, `1 of "b" twice`},
	} {
		args := append([]string{"import", exportOf(t, c.first, c.second), "--api", s.URL + "/v1/operator", "--map", filepath.Join(t.TempDir(), "map")}, c.renames...)
		code, out, said := endpoints(t, args...)
		require.NotEqual(t, exitOK, code)
		require.Empty(t, out)
		require.Contains(t, said, c.says)
		require.NotContains(t, said, "sesame")
	}
	require.Zero(t, s.requests.Load())
}

// With the map, another run registers nothing twice, whatever it calls the endpoint and its organization.
func TestImportKnowsAnEndpointByOtherNames(t *testing.T) {
	t.Parallel()
	const url = "https://a.example.com/"
	plain, of := one("ep_1", url, ""), func(organization string) string { return one("ep_1", url, `,"organizationId":"`+organization+`"`) }
	const customers, operators = "/v1/webhooks", "/v1/operator"
	type try struct{ endpoint, api, rename string }
	for name, c := range map[string]struct {
		first, second try
		says          string
	}{
		"renamed, one organization":     {try{of("old"), customers, ""}, try{of("old"), customers, "old=new"}, "1 unchanged"},
		"named later, one organization": {try{plain, customers, ""}, try{of("org_1"), customers, ""}, "1 unchanged"},
		"named at first":                {try{of("org_1"), operators, ""}, try{plain, customers, ""}, "1 unchanged"},
		"then for the operators":        {try{plain, customers, ""}, try{of("org_1"), operators, ""}, "is registered already, by the map for ep_1:"},
		"renamed for the operators":     {try{of("org_1"), operators, ""}, try{of("org_1"), operators, "org_1=new"}, `is registered already, by the map for ep_1 of "org_1"`},
		"renamed at first":              {try{of("old"), operators, "old=org_1"}, try{of("old"), operators, ""}, `is registered already, by the map for ep_1 of "org_1"`},
		"then with an id":               {try{one("", url, ""), customers, ""}, try{plain, customers, ""}, "is registered already, by the map for " + url},
		"then without an id":            {try{plain, customers, ""}, try{one("", url, ""), customers, ""}, "is registered already, by the map for ep_1"},
		"with another URL, too":         {try{plain, customers, ""}, try{one("ep_1", "https://b.example.com/", `,"organizationId":"org_1"`), operators, ""}, "is registered already"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			ledger := filepath.Join(t.TempDir(), "map")
			run := func(c try) string {
				args := []string{"import", exportOf(t, c.endpoint), "--api", s.URL + c.api, "--map", ledger}
				if c.rename != "" {
					args = append(args, "--organization", c.rename)
				}
				_, out, said := endpoints(t, args...)
				return out + said
			}
			require.Contains(t, run(c.first), "1 created")
			for range 2 {
				require.Contains(t, run(c.second), c.says)
			}
			require.Len(t, s.stored(t, "org_1"), 1)
			require.Empty(t, s.stored(t, "new"))
			require.Empty(t, s.stored(t, "old"))
		})
	}
}

// Ids of the old sender may be those of one organization, and a part of an export may come later.
func TestImportTellsOrganizationsApart(t *testing.T) {
	t.Parallel()
	s := newService(t)
	export := exportOf(t, one("1", "https://a.example.com/", `,"organizationId":"a"`), one("1", "https://a.example.com/", `,"organizationId":"b"`))
	args := []string{"import", export, "--api", s.URL + "/v1/operator", "--map", filepath.Join(t.TempDir(), "map")}
	for _, organization := range []string{"a", "b"} {
		code, out, _ := endpoints(t, append(args, "--only", organization)...)
		require.Equal(t, exitOK, code, out)
		require.Contains(t, out, "1 created")
	}
	args[1], args[3] = exportOf(t, one("1", "https://a.example.com/", "")), s.URL+"/v1/webhooks"
	code, out, _ := endpoints(t, args...)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "the map has 1 for several organizations, such as ")
	require.Empty(t, s.stored(t, "org_1"))
}

// Without its map, an endpoint that was changed at its old sender is found by the key of its request.
func TestImportSaysThatAMapIsLost(t *testing.T) {
	t.Parallel()
	s := newService(t)
	run := func(url, ledger string) string {
		_, out, _ := endpoints(t, "import", exportOf(t, one("ep_1", url, "")), "--api", s.URL+"/v1/webhooks", "--map", filepath.Join(t.TempDir(), ledger))
		return out
	}
	require.Contains(t, run("https://a.example.com/", "map"), "1 created")
	require.Contains(t, run("https://b.example.com/", "map2"), "it was registered within the last day with other values, and its line is not in this map")
	require.Len(t, s.stored(t, "org_1"), 1)
}
