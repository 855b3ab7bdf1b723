package storetest

import (
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// endpointAt stores an endpoint of org_1 with that URL.
func (t *trial) endpointAt(url string) alotwebhook.Endpoint {
	t.Helper()
	e := newEndpoint(t, "org_1", completed)
	e.URL = url
	t.put(&e)
	return e
}

// requireEndpoints requires that exactly these endpoints match, in pages of any size.
func (t *trial) requireEndpoints(f alotwebhook.EndpointFilter, want ...alotwebhook.Endpoint) {
	t.Helper()
	var ids []string
	for _, e := range want {
		ids = append(ids, e.ID)
	}
	slices.Sort(ids)
	for _, limit := range []int{0, 1, 2} {
		f.Limit = limit
		got, _ := t.listEndpoints(f)
		require.Equal(t, ids, got, "filter %+v", f)
	}
}

// Operators look for the ten endpoints that need attention among all. One that is disabled gets
// nothing, whatever it did before.
func endpointsFailingOrDisabled(t *trial) {
	healed := t.failEndpoint()
	t.finish(delivered(t.claimOne()))
	fine, off := t.endpoint("org_1", completed), t.endpoint("org_1", completed)
	t.setDisabled(&off, true)
	gone, failing := t.endpoint("org_2", completed), t.endpoint("org_2", completed)
	t.emit("org_2", completed, 1)
	c := t.claim(10)
	require.Len(t, c, 2)
	t.finish(failed(c[0]), retry(c[1], long))
	require.False(t, t.stored(gone.ID).FailingSince.IsZero())
	t.setDisabled(&gone, true)

	t.requireEndpoints(alotwebhook.EndpointFilter{}, healed, fine, off, gone, failing)
	t.requireEndpoints(alotwebhook.EndpointFilter{Failing: true}, failing)
	t.requireEndpoints(alotwebhook.EndpointFilter{Disabled: true}, off, gone)
	t.requireEndpoints(alotwebhook.EndpointFilter{Failing: true, Disabled: true}, off, gone, failing)
	t.setDisabled(&gone, false) // clears its FailingSince
	t.requireEndpoints(alotwebhook.EndpointFilter{Failing: true, Disabled: true}, off, failing)
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), failing.ID))
	t.requireEndpoints(alotwebhook.EndpointFilter{Failing: true})
}

// Somebody who is asked about a host copies a part of its URL from a log, where it may be in capitals.
func endpointsByURLPart(t *trial) {
	a, b := t.endpointAt("https://hooks.Kunde.example.com/alot/INBOX"), t.endpointAt("https://example.com/alot/kiosk?to=Zz")
	for part, want := range map[string][]alotwebhook.Endpoint{
		"":                 {a, b},
		"https://":         {a, b},
		"HTTPS://HOOKS":    {a},
		"kunde":            {a},
		"KuNdE.eXaMpLe":    {a},
		"inbox":            {a},
		"/inbox":           {a},
		"zZ":               {b},
		"e.com/ALOT":       {a, b},
		a.URL:              {a},
		a.URL + "x":        nil,
		"x" + b.URL:        nil,
		"kunde example":    nil,
		" kunde":           nil,
		"kunde ":           nil,
		"example/alot":     nil,
		"\u212aunde":       nil, // the Kelvin sign, which is a K for who folds Unicode
		"kio\u017fk":       nil, // the long s
		"ａｌｏｔ":             nil,
		"exampl\u00e9":     nil,
		"exampl\u0435":     nil, // Cyrillic
		"\u0131nbox":       nil, // the dotless i
		"example.com/alot": {a, b},
		strings.Repeat("https://example.com/", 200): nil,
	} {
		t.requireEndpoints(alotwebhook.EndpointFilter{URLPart: part}, want...)
	}
	a.URL = "https://example.com/moved"
	t.put(&a)
	t.requireEndpoints(alotwebhook.EndpointFilter{URLPart: "kunde"})
	t.requireEndpoints(alotwebhook.EndpointFilter{URLPart: "MOVED"}, a)
}

// An operator who types a path gets what has that path, and not what a database takes for alike.
func endpointsByLiteralPart(t *trial) {
	under, percent := t.endpointAt("https://example.com/x_y"), t.endpointAt("https://example.com/a%20b")
	back, plain := t.endpointAt(`https://example.com/p\d\%`), t.endpointAt("https://example.com/xzy/a20b/[a]")
	query := t.endpointAt("https://example.com/?q=*&r='o'")
	for part, want := range map[string][]alotwebhook.Endpoint{
		"_": {under}, "x_y": {under}, "x_": {under}, "_z": nil, "____": nil, "com/___": nil,
		"%": {percent, back}, "%20": {percent}, "a%20B": {percent}, "a%b": nil, "%%": nil, "com%": nil, "%com": nil, "a2%": nil, "h%b": nil,
		`\`: {back}, `\d`: {back}, `\D\`: {back}, `\%`: {back}, `\\`: nil, `\_`: nil, `\x`: nil, `x\_y`: nil,
		"?": {query}, "/?q": {query}, "x?y": nil, "*": {query}, "x*": nil, "q=*": {query}, "**": nil,
		"[a]": {plain}, "[": {plain}, "[A-z]": nil, "[^b]": nil, "x.y": nil, ".": {under, percent, back, plain, query}, ".*": nil,
		"^https": nil, "b$": nil, "(x)": nil, "x|y": nil, "'": {query}, "'o'": {query}, "''": nil, `"`: nil, "' OR '1": nil, "--": nil,
		"$1": nil, ":1": nil, "?1": nil, "&": {query}, "~": nil, "\t": nil, "\n": nil,
	} {
		t.requireEndpoints(alotwebhook.EndpointFilter{URLPart: part}, want...)
	}
}

// An operator narrows a list down with one field after the other.
func endpointFiltersTogether(t *trial) {
	var all []alotwebhook.Endpoint
	for i := range 16 { // each combination of four properties
		e := newEndpoint(t, []string{"org_1", "org_2"}[i&1], completed)
		if i&2 != 0 {
			e.URL = "https://hooks.example.com/"
		}
		t.put(&e)
		if i&4 != 0 {
			require.NoError(t, t.store.EnqueueTo(t.ctx(), e.ID, newEvent(t, e.OrganizationID, completed)))
			t.finish(retry(t.claimOne(), long))
		}
		if i&8 != 0 {
			t.setDisabled(&e, true)
		}
		all = append(all, t.stored(e.ID))
	}
	ids := []string{all[3].ID, all[5].ID, all[6].ID, all[7].ID, all[11].ID, all[15].ID}
	for mask := range 1 << 5 {
		f := alotwebhook.EndpointFilter{Failing: mask&1 != 0, Disabled: mask&2 != 0}
		if mask&4 != 0 {
			f.URLPart = "HOOKS"
		}
		if mask&8 != 0 {
			f.OrganizationID = "org_2"
		}
		if mask&16 != 0 {
			f.IDs = ids
		}
		want := slices.DeleteFunc(slices.Clone(all), func(e alotwebhook.Endpoint) bool {
			failing := f.Failing && !e.Disabled && !e.FailingSince.IsZero()
			return (f.Failing || f.Disabled) && !failing && !(f.Disabled && e.Disabled) ||
				f.URLPart != "" && !strings.Contains(e.URL, "hooks") ||
				f.OrganizationID != "" && e.OrganizationID != f.OrganizationID ||
				f.IDs != nil && !slices.Contains(ids, e.ID)
		})
		t.requireEndpoints(f, want...)
	}
}

// A page that is cut short, or empty, reads as if there were no more.
func endpointFilterPages(t *trial) {
	var want []string
	for i := range 250 {
		e := newEndpoint(t, "org_1", completed)
		if i%60 == 1 {
			e.URL, e.Disabled, e.DisabledReason = "https://rare.example.com/", true, alotwebhook.DisabledByUser
			want = append(want, e.ID)
		}
		t.put(&e)
	}
	slices.Sort(want)
	for _, f := range []alotwebhook.EndpointFilter{{URLPart: "Rare"}, {Disabled: true}, {Failing: true, Disabled: true, URLPart: "e", OrganizationID: "org_1"}} {
		f.Limit = 2
		ids, sizes := t.listEndpoints(f)
		require.Equal(t, want, ids)
		require.Equal(t, []int{2, 2, 1}, sizes, "filter %+v", f)
		f.Limit, f.Cursor = 0, want[1]
		ids, sizes = t.listEndpoints(f)
		require.Equal(t, want[2:], ids, "behind the cursor")
		require.Equal(t, []int{3}, sizes)
	}
	none, _ := t.listEndpoints(alotwebhook.EndpointFilter{Failing: true})
	require.Empty(t, none)
}
