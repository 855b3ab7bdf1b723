package alotwebhook_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// A word that is none would select nothing without a word. Every constant selects.
func TestFiltersTakeTheConstantsAlone(t *testing.T) {
	t.Parallel()
	d, err := alotwebhook.NewDispatcher(memory.New(), nil)
	require.NoError(t, err)
	constants := constantsOf(t)
	for kind, of := range map[string]struct {
		field string
		but   []string // constants of the type by which nothing can be selected
		find  func(word string) error
	}{
		"DeliveryState": {"state", nil, func(word string) error {
			_, _, err := d.DeliveryPage(t.Context(), alotwebhook.Filter{State: alotwebhook.DeliveryState(word)})
			return err
		}},
		"RecoveryState": {"state", nil, func(word string) error {
			_, _, err := d.Recoveries(t.Context(), alotwebhook.RecoveryFilter{State: alotwebhook.RecoveryState(word)})
			return err
		}},
		"OperationType": {"type", nil, func(word string) error {
			_, _, err := d.Operations(t.Context(), alotwebhook.OperationFilter{Type: alotwebhook.OperationType(word)})
			return err
		}},
		"FailureReason": {"reason", []string{"proxy_unreachable", "proxy_authentication"}, func(word string) error {
			r := alotwebhook.Recovery{OrganizationID: "org_a", Reason: alotwebhook.FailureReason(word)}
			_, err := d.RecoverMany(t.Context(), r)
			_, ofCount := d.CountMany(t.Context(), r)
			_, ofCancel := d.CancelMany(t.Context(), r)
			require.Equal(t, err, ofCount)
			require.Equal(t, err, ofCancel)
			return err
		}},
	} {
		require.NotEmpty(t, constants[kind])
		require.NoError(t, of.find(""))
		for _, word := range constants[kind] {
			if len(of.but) > 0 && (word == of.but[0] || word == of.but[1]) {
				requireField(t, of.find(word), of.field)
				continue
			}
			require.NoError(t, of.find(word), "%s %q", kind, word)
			requireField(t, of.find(strings.ToUpper(word)), of.field)
			requireField(t, of.find(word+" "), of.field)
		}
		require.ErrorContains(t, of.find("nonesuch"), `"nonesuch" is none; take one of the constants: `+constants[kind][0])
	}
}

// constantsOf returns the words of the package's constants in the order of its files, by their type.
func constantsOf(t *testing.T) map[string][]string {
	t.Helper()
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	words := map[string][]string{}
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(tree, func(n ast.Node) bool {
			if of, ok := n.(*ast.ValueSpec); ok && len(of.Values) == 1 {
				kind, _ := of.Type.(*ast.Ident)
				if word, ok := of.Values[0].(*ast.BasicLit); ok && kind != nil && word.Kind == token.STRING {
					unquoted, err := strconv.Unquote(word.Value)
					require.NoError(t, err)
					words[kind.Name] = append(words[kind.Name], unquoted)
				}
			}
			return true
		})
	}
	return words
}
