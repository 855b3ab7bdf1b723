package settings_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/settings"
)

// operations returns the methods and paths of the document.
func operations(t *testing.T) (list [][2]string) { return operationsOf(t, settings.OpenAPI()) }

func operationsOf(t *testing.T, document []byte) (list [][2]string) {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	require.NoError(t, json.Unmarshal(document, &doc))
	for path, item := range doc.Paths {
		for method := range item {
			if method != "parameters" {
				list = append(list, [2]string{strings.ToUpper(method), path})
			}
		}
	}
	return list
}

func TestTheDocumentHasTheRoutesAndNoOthers(t *testing.T) {
	t.Parallel()
	require.ElementsMatch(t, settings.Routes(newHost(t).handler), operations(t))
}

func TestEveryPathTakesTheMethodsOfTheDocument(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	want := map[string][]string{}
	for _, o := range operations(t) {
		want[o[1]] = append(want[o[1]], o[0])
	}
	for path, methods := range want {
		if slices.Contains(methods, http.MethodGet) {
			methods = append(methods, http.MethodHead)
		}
		got := h.do("PUT", strings.Replace(path, "{id}", "wh_00000000000000000000000000", 1), "") // no path accepts PUT
		require.Equal(t, http.StatusMethodNotAllowed, got.status, path)
		require.ElementsMatch(t, methods, strings.Split(got.header.Get("Allow"), ", "), path)
	}
}

func TestTheDocumentNamesTheServerAsItIsMounted(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	require.JSONEq(t, string(settings.OpenAPI()), h.do("GET", "/v1/webhooks/openapi.json", "").text)
	h.handler = http.StripPrefix("/public/api", h.handler)
	got := h.do("GET", "/public/api/v1/webhooks/openapi.json", "")
	require.Equal(t, []any{map[string]any{"url": "/public/api"}}, got.json["servers"])
	require.Regexp(t, "^/public/api/v1/webhooks/wh_", h.do("POST", "/public/api/v1/webhooks", published).header.Get("Location"))
}

func TestTheDocumentIsTheCallers(t *testing.T) {
	t.Parallel()
	settings.OpenAPI()[0] = 'x'
	require.True(t, json.Valid(settings.OpenAPI()))
}

func TestEventTypesAreTheCatalogue(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	list := h.do("GET", "/v1/webhooks/event-types", "").json["eventTypes"].([]any)
	require.Len(t, list, 4)
	completed := list[1].(map[string]any)
	require.Equal(t, "candidate.completed", completed["name"])
	require.NotEmpty(t, completed["description"])
	require.Equal(t, 82.0, completed["example"].(map[string]any)["score"])
}

// Generators of clients make a type of each component, of whatever kind, and so fail or number
// their types where two have one name; those for TypeScript need the names of fetch. What they cannot know of a number they read as a small one,
// and of a text with a media type they make a file.
func TestTheDocumentsSuitGeneratorsOfClients(t *testing.T) {
	t.Parallel()
	operators, err := settings.OperatorOpenAPI()
	require.NoError(t, err)
	for name, document := range map[string][]byte{"customers": settings.OpenAPI(), "operators": operators} {
		var doc struct {
			Components map[string]map[string]any `json:"components"`
		}
		require.NoError(t, json.Unmarshal(document, &doc))
		kinds := map[string]string{"headers": "browser", "request": "browser", "response": "browser"}
		for kind, named := range doc.Components {
			for component := range named {
				require.Empty(t, kinds[strings.ToLower(component)], "%s: %s is of the %s, too", name, component, kind)
				kinds[strings.ToLower(component)] = kind
			}
		}
		var whole any
		require.NoError(t, json.Unmarshal(document, &whole))
		suits(t, name, whole)
	}
}

// suits looks at the schemas in a part of a document, and in all that it has.
func suits(t *testing.T, at string, part any) {
	t.Helper()
	switch part := part.(type) {
	case []any:
		for _, one := range part {
			suits(t, at, one)
		}
	case map[string]any:
		if kind, ok := part["type"]; ok && strings.Contains(fmt.Sprint(kind), "number") {
			require.Equal(t, "double", part["format"], at)
		}
		require.NotContains(t, part, "contentMediaType", at)
		for key, one := range part {
			suits(t, at+"/"+key, one)
		}
	}
}
