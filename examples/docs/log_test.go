package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// elsewhere are lines of the log that the table of the guide leaves out, by how they begin, and why.
var elsewhere = map[string]string{
	"event not handled":                                        "it is of receivers",
	"event handled, but not marked as done":                    "it is of receivers",
	"dedupe: expired rows were not deleted":                    "it is of receivers",
	" panicked":                                                "the name of a function stands before it: see the row of Config.Retry",
	"BodyTimeout has no effect here":                           "it is of receivers",
	"postgres: the indexes of the queue were not looked after": "Debug: the next purge tries again",
}

// Whoever finds a line in the log looks it up in the guide.
func TestLinesOfTheLogAreDocumented(t *testing.T) {
	t.Parallel()
	_, guide, found := strings.Cut(read(t, "docs/operating.md"), "\n## What the log says\n")
	require.True(t, found)
	guide, _, _ = strings.Cut(guide, "\n## ")
	all := logged(t)
	require.Greater(t, len(all), 30)
	lines := slices.DeleteFunc(slices.Clone(all), func(line string) bool {
		return slices.ContainsFunc(slices.Collect(maps.Keys(elsewhere)), func(begins string) bool { return strings.HasPrefix(line, begins) })
	})
	for _, line := range lines {
		if !slices.ContainsFunc(code.FindAllStringSubmatch(guide, -1), func(span []string) bool { return isLine(span[1], line) }) {
			t.Errorf("docs/operating.md has no row for the line %q", line)
		}
	}
	for begins := range elsewhere {
		require.True(t, slices.ContainsFunc(all, func(line string) bool { return strings.HasPrefix(line, begins) }), "nothing logs %q any more", begins)
	}
}

// code is what stands in a document as code.
var code = regexp.MustCompile("`([^`]+)`")

// isLine reports whether that is how the guide names a line: whole, or by what it begins with and dots.
func isLine(named, line string) bool {
	begins, cut := strings.CutSuffix(named, "…")
	return named == line || cut && begins != "" && strings.HasPrefix(line, begins)
}

// logged returns the messages that the library logs, without what they all begin with.
func logged(t testing.TB) (all []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if d.IsDir() {
			if slices.Contains([]string{"bench", "cmd", "examples", "interop", "findings", "webhooktest", "webhookclient"}, name) || strings.HasPrefix(d.Name(), ".git") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, filepath.Join("store", "storetest")) {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err == nil {
			all = append(all, loggedIn(file)...)
		}
		return err
	}))
	slices.Sort(all)
	return slices.Compact(all)
}

// loggedIn returns the messages of a file: what calls of a logger's methods, and of those that log by
// them, begin with, and what is assigned to a msg, which is logged later.
func loggedIn(file *ast.File) (all []string) {
	add := func(values []ast.Expr) {
		for _, value := range values {
			if text, ok := strings.CutPrefix(literal(value), "alotwebhook: "); ok {
				all = append(all, text)
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			method, ok := n.Fun.(*ast.SelectorExpr)
			if ok && slices.Contains([]string{"Debug", "Info", "Warn", "Error", "Log", "LogAttrs", "tell", "logUnsent"}, strings.TrimSuffix(method.Sel.Name, "Context")) {
				add(n.Args)
			}
		case *ast.AssignStmt:
			if to, ok := n.Lhs[0].(*ast.Ident); ok && to.Name == "msg" {
				add(n.Rhs)
			}
		}
		return true
	})
	return all
}

// literal returns the text of an expression. What is not known before the program runs is left out.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		return text
	case *ast.BinaryExpr:
		return literal(e.X) + literal(e.Y)
	}
	return ""
}
