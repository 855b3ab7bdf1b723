package settings_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
)

// constants returns the values of the string constants of a type in a file of the root package.
func constants(t *testing.T, file, kind string) (values []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), "../"+file, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if of, ok := spec.Type.(*ast.Ident); ok && of.Name == kind {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			values = append(values, value)
		}
		return true
	})
	require.NotEmpty(t, values, kind)
	return values
}

// Whatever the root package has a word for, the pages have words for people, and the document of
// the API names.
func TestNothingIsWithoutWords(t *testing.T) {
	t.Parallel()
	document := string(settings.OpenAPI())
	for _, of := range []struct {
		file, kind, quote string
		index             int
	}{
		{"alotwebhook.go", "FailureReason", "`", 0}, {"operation.go", "OperationType", `"`, 1}, {"recovery.go", "RecoveryState", `"`, 2},
	} {
		for _, value := range constants(t, of.file, of.kind) {
			words := settings.Words(alotwebhook.FailureReason(value), alotwebhook.OperationType(value), alotwebhook.RecoveryState(value))
			require.NotEmpty(t, words[of.index], "%s %s", of.kind, value)
			require.Contains(t, document, of.quote+value+of.quote, of.kind)
		}
	}
}
