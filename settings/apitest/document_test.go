package apitest_test

import (
	"bytes"
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

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
)

// document loads the OpenAPI document anew, so that tests share nothing.
func document(t testing.TB) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(settings.OpenAPI())
	require.NoError(t, err)
	return doc
}

func TestTheDocumentIsValid(t *testing.T) {
	t.Parallel()
	doc := document(t)
	require.Equal(t, "3.1.0", doc.OpenAPI)
	require.NoError(t, doc.Validate(t.Context(), openapi3.EnableExamplesValidation()))
}

func TestTheDocumentDescribesThePublishedEvents(t *testing.T) {
	t.Parallel()
	doc := document(t)
	var published []string
	for _, eventType := range alotwebhook.DefaultEventTypes() {
		published = append(published, eventType.Name)
		item := doc.Webhooks[eventType.Name]
		require.NotNil(t, item, eventType.Name)
		schema := item.Post.RequestBody.Value.Content.Get("application/json").Schema.Value

		event, err := alotwebhook.NewEvent(eventType.Name, "org_a", eventType.Example)
		require.NoError(t, err)
		require.NoError(t, schema.VisitJSON(decode(t, event.Payload()), openapi3.EnableJSONSchema2020()))

		other, err := alotwebhook.NewEvent("candidate.other", "org_a", eventType.Example)
		require.NoError(t, err)
		require.Error(t, schema.VisitJSON(decode(t, other.Payload()), openapi3.EnableJSONSchema2020()), "of another type")
	}
	require.ElementsMatch(t, published, slices.Collect(maps.Keys(doc.Webhooks)))
}

// operation finds what the document says about a request: a path without a
// parameter goes before one with.
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

func fits(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, got, func(w, g string) bool { return w == g || w == "{id}" })
}

// hold validates an answer, and the request where it was one to be accepted.
func hold(t testing.TB, route *routers.Route, r *http.Request, status int, header http.Header, body []byte) {
	t.Helper()
	input := &openapi3filter.RequestValidationInput{
		Request: r, Route: route, QueryParams: r.URL.Query(),
		PathParams: map[string]string{"id": segment(route.Path, r.URL.Path)},
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

// segment is what stands for {id} in the path.
func segment(pattern, path string) string {
	i := slices.Index(strings.Split(pattern, "/"), "{id}")
	if i < 0 {
		return ""
	}
	return strings.Split(path, "/")[i]
}
