package settings_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/settings"
)

func TestTheOperatorsDocumentHasTheRoutesAndNoOthers(t *testing.T) {
	t.Parallel()
	h, list := newOperators(t)
	document, err := settings.OperatorOpenAPI()
	require.NoError(t, err)
	over, customers := settings.OperatorAPIRoutes(h.handler)
	require.ElementsMatch(t, append(over, customers...), operationsOf(t, document))
	want := map[string][]map[string][]settings.Action{}
	for _, c := range list {
		name := c.method + " /v1/operator/" + c.name
		one := map[string][]settings.Action{"bearer": c.takes}
		if !slices.ContainsFunc(want[name], func(of map[string][]settings.Action) bool { return slices.Equal(of["bearer"], c.takes) }) {
			want[name] = append(want[name], one)
		}
	}
	for name, said := range documented(t, document) {
		if path, customers := strings.CutPrefix(name, name[:strings.Index(name, " ")]+" /v1/operator/organizations/{organizationId}/webhooks"); customers {
			require.Equal(t, []map[string][]settings.Action{{"bearer": apiTakes[name[:strings.Index(name, " ")]+" /v1/webhooks"+path]}}, said, name)
			continue
		}
		require.Equal(t, want[name], said, name)
	}
	require.JSONEq(t, string(document), h.do("GET", "/v1/operator/openapi.json", "").text)
	h.handler = http.StripPrefix("/ops", h.handler)
	require.Equal(t, []any{map[string]any{"url": "/ops"}}, h.do("GET", "/ops/v1/operator/openapi.json", "").json["servers"])
}

// Each reference of the document leads to something, and each operation has an id of its own.
func TestTheOperatorsDocumentHoldsTogether(t *testing.T) {
	t.Parallel()
	document, err := settings.OperatorOpenAPI()
	require.NoError(t, err)
	var doc map[string]any
	require.NoError(t, json.Unmarshal(document, &doc))
	ids := map[string]bool{}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, one := range v {
				walk(one)
			}
		case map[string]any:
			if target, ok := v["$ref"].(string); ok {
				at := any(doc)
				for _, name := range strings.Split(target, "/")[1:] {
					at = at.(map[string]any)[name]
					require.NotNil(t, at, target)
				}
			}
			if id, ok := v["operationId"].(string); ok {
				require.False(t, ids[id], id)
				ids[id] = true
			}
			for _, one := range v {
				walk(one)
			}
		}
	}
	walk(doc)
	require.Len(t, ids, 13+22)
}
