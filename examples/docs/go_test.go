package docs_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/format"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// source is a Go block as a file that compiles.
type source struct {
	block
	parsed *ast.File
	// isFragment: a variable or an import that is not used is no fault.
	isFragment bool
}

// here is the line of a frame in whose place a fragment goes.
const here = "// the fragment"

// TestGoBlocksCompile holds each Go block to the compiler and to gofmt.
func TestGoBlocksCompile(t *testing.T) {
	t.Parallel()
	files := token.NewFileSet()
	var sources []source
	for _, b := range blocks(t, "go") {
		if from := b.attributes["from"]; from != "" {
			requireQuotation(t, b, from)
			continue
		}
		formatted, err := format.Source([]byte(b.text))
		require.NoError(t, err, "%v", b)
		require.Equal(t, string(formatted), b.text, "%v is not as gofmt writes it", b)
		sources = append(sources, parse(t, files, b))
	}
	require.NotEmpty(t, sources)
	imported := importer.ForCompiler(files, "gc", exports(t, sources))
	for _, s := range sources {
		for _, err := range problems(files, imported, s) {
			t.Errorf("%v does not compile: %v", s.block, err)
		}
	}
}

// parse puts a fragment into its frame.
func parse(t testing.TB, files *token.FileSet, b block) source {
	t.Helper()
	text, frame := b.text, b.attributes["fragment"]
	if frame != "" {
		around, err := os.ReadFile(filepath.Join("testdata", frame+".go"))
		require.NoError(t, err, "%v", b)
		before, after, ok := strings.Cut(string(around), here+"\n")
		require.True(t, ok, "testdata/%s.go has no line %q", frame, here)
		text = before + text + after
	}
	parsed, err := parser.ParseFile(files, b.String(), text, parser.SkipObjectResolution)
	require.NoError(t, err, "%v; a fragment names its frame: fragment=…", b)
	return source{b, parsed, frame != ""}
}

// problems are the compiler's.
func problems(files *token.FileSet, imported types.Importer, s source) (found []error) {
	config := types.Config{Importer: imported, Error: func(err error) {
		if problem, ok := err.(types.Error); ok && problem.Soft && s.isFragment {
			return
		}
		found = append(found, err)
	}}
	_, _ = config.Check(s.parsed.Name.Name, files, []*ast.File{s.parsed}, nil) // Error hears of all
	return found
}

// exports finds what the compiler has written of the packages that are imported.
func exports(t testing.TB, sources []source) importer.Lookup {
	t.Helper()
	var paths []string
	for _, s := range sources {
		for _, spec := range s.parsed.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	list := exec.Command("go", append([]string{"list", "-deps", "-export", "-json=ImportPath,Export"}, slices.Compact(paths)...)...)
	list.Dir = filepath.Join(root, "examples")
	out, err := list.Output()
	require.NoError(t, err, stderrOf(err))
	written := map[string]string{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ ImportPath, Export string }
		if err := decoder.Decode(&p); err == io.EOF {
			break
		} else {
			require.NoError(t, err)
		}
		written[p.ImportPath] = p.Export
	}
	return func(path string) (io.ReadCloser, error) { return os.Open(written[path]) }
}

func stderrOf(err error) string {
	if exit, ok := err.(*exec.ExitError); ok {
		return string(exit.Stderr)
	}
	return ""
}

// requireQuotation finds a block in a file of the repository, whatever its
// indentation is there.
func requireQuotation(t testing.TB, b block, file string) {
	t.Helper()
	require.Contains(t, unindented(read(t, file)), unindented(b.text), "%v does not stand like this in %s", b, file)
}

func unindented(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, "\n")
}

// TestTablesOfCodeAreQuotations: what a row of a table that begins with a link to a
// Go file shows of its code stands in that file.
func TestTablesOfCodeAreQuotations(t *testing.T) {
	t.Parallel()
	rows := 0
	for _, file := range documents(t) {
		for _, row := range codeRow.FindAllStringSubmatch(prose(t, file), -1) {
			target := filepath.Join(filepath.Dir(file), row[1])
			for _, code := range inlineCode.FindAllStringSubmatch(row[2], -1) {
				require.Contains(t, read(t, target), code[1], "%s says that it stands in %s", file, target)
			}
			rows++
		}
	}
	require.Positive(t, rows)
}

var (
	codeRow    = regexp.MustCompile(`(?m)^\| \[[^]]+\]\(([^)]+\.go)\)(.*)$`)
	inlineCode = regexp.MustCompile("`([^`]+)`")
)
