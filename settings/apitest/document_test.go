package apitest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/settings"
)

// document loads the OpenAPI document, anew for each test so that tests share nothing.
// Its schemas are closed: customers have to expect keys that are not described, but
// the responses of today have none.
func document(t testing.TB) *openapi3.T { return closed(t, settings.OpenAPI()) }

func closed(t testing.TB, document []byte) *openapi3.T {
	t.Helper()
	doc := decode(t, document).(map[string]any)
	closeSchemas(doc["components"].(map[string]any)["schemas"].(map[string]any))
	text, err := json.Marshal(doc)
	require.NoError(t, err)
	return load(t, text)
}

// closeSchemas forbids keys that a schema does not describe, unless the schema allows
// them itself. A schema that extends others first gets copies of their properties,
// because a closed schema cannot extend another.
func closeSchemas(schemas map[string]any) {
	for _, s := range schemas {
		schema := s.(map[string]any)
		_, ok := schema["properties"].(map[string]any)
		if _, said := schema["additionalProperties"]; !ok || said {
			continue
		}
		extend(schemas, schema)
		schema["additionalProperties"] = false
	}
}

// extend gives a schema the properties of those that it extends, and of those that they extend.
func extend(schemas, schema map[string]any) {
	bases, _ := schema["allOf"].([]any)
	for _, b := range bases {
		name := strings.TrimPrefix(b.(map[string]any)["$ref"].(string), "#/components/schemas/")
		base := schemas[name].(map[string]any)
		extend(schemas, base)
		maps.Copy(schema["properties"].(map[string]any), base["properties"].(map[string]any))
		required, _ := schema["required"].([]any)
		schema["required"] = append(required, base["required"].([]any)...)
	}
	delete(schema, "allOf")
}

func load(t testing.TB, text []byte) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(text)
	require.NoError(t, err)
	return doc
}

func TestTheDocumentIsValid(t *testing.T) {
	t.Parallel()
	doc := load(t, settings.OpenAPI())
	require.Equal(t, "3.1.0", doc.OpenAPI)
	require.NoError(t, doc.Validate(t.Context(), openapi3.EnableExamplesValidation()))
}

func TestEveryOperationIsExplained(t *testing.T) {
	t.Parallel()
	doc, ids := document(t), map[string]bool{}
	items := maps.Clone(doc.Webhooks)
	maps.Copy(items, doc.Paths.Map())
	for path, item := range items {
		for method, o := range item.Operations() {
			require.NotEmpty(t, o.Summary, "%s %s", method, path)
			require.NotEmpty(t, o.Description, "%s %s", method, path)
			require.NotEmpty(t, o.Tags, "%s %s", method, path)
			require.NotEmpty(t, o.OperationID, "%s %s", method, path)
			require.False(t, ids[o.OperationID], o.OperationID)
			ids[o.OperationID] = true
			for status := range o.Responses.Map() { // the validator does not check the form of a status
				require.Regexp(t, "^([2-5][0-9][0-9]|[2-5]XX|default)$", status, "%s %s", method, path)
			}
		}
	}
}

// operation returns what the document says about a request. A path without a parameter
// goes before one with a parameter.
func operation(t testing.TB, doc *openapi3.T, method, path string) *routers.Route {
	t.Helper()
	var found *routers.Route
	for _, pattern := range doc.Paths.InMatchingOrder() {
		item := doc.Paths.Value(pattern)
		if o := item.GetOperation(method); o != nil && fits(pattern, path) && found == nil {
			found = &routers.Route{Spec: doc, Path: pattern, PathItem: item, Method: method, Operation: o}
		}
	}
	require.NotNil(t, found, "%s %s is not in the document", method, path)
	return found
}

// fits reports whether a path matches a pattern of the document.
func fits(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, got, func(w, g string) bool { return w == g || w == "{id}" || w == "{organizationId}" })
}

// validate checks a response against the document, and its request too if the request
// was accepted.
func validate(t testing.TB, route *routers.Route, r *http.Request, status int, header http.Header, body []byte) {
	t.Helper()
	input := &openapi3filter.RequestValidationInput{
		Request: r, Route: route, QueryParams: r.URL.Query(),
		PathParams: map[string]string{"id": segment(route.Path, "{id}", r.URL.Path), "organizationId": segment(route.Path, "{organizationId}", r.URL.Path)},
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, MultiError: true,
		},
	}
	if status < 400 {
		require.NoError(t, openapi3filter.ValidateRequest(t.Context(), input), "request")
	}
	require.NoError(t, openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: status, Header: header, Body: io.NopCloser(bytes.NewReader(body)), Options: input.Options,
	}), "%d %s", status, body)
}

// segment returns the part of the path at the place of a parameter.
func segment(pattern, parameter, path string) string {
	i := slices.Index(strings.Split(pattern, "/"), parameter)
	if i < 0 {
		return ""
	}
	return strings.Split(path, "/")[i]
}
