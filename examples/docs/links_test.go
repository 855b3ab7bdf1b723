package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
	testName = regexp.MustCompile("`((?:Test|Example|Fuzz)[A-Z]\\w*)`")
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Example|Fuzz)[A-Z]\w*)\(`)
)

// prose is a document without its blocks.
func prose(t testing.TB, file string) string {
	t.Helper()
	var kept []string
	inBlock := false
	for line := range strings.Lines(read(t, file)) {
		if strings.HasPrefix(line, fence) {
			inBlock = !inBlock
		} else if !inBlock {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// TestLinksLeadSomewhere: to a file that is there, and to a heading in it.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, file := range documents(t) {
		for _, found := range link.FindAllStringSubmatch(prose(t, file), -1) {
			if strings.Contains(found[1], "://") {
				continue // nothing is fetched
			}
			path, anchor, _ := strings.Cut(found[1], "#")
			target := file
			if path != "" {
				target = filepath.Join(filepath.Dir(file), path)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s: %v", file, found[1], err)
			} else if anchor != "" && !anchors(t, target)[anchor] {
				t.Errorf("%s links to %s: there is no such heading", file, found[1])
			}
		}
	}
}

// anchors are those that GitHub gives the headings of a document.
func anchors(t testing.TB, file string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, found := range heading.FindAllStringSubmatch(prose(t, file), -1) {
		all[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, found[1])] = true
	}
	return all
}

// TestNamedTestsExist: a document that says by which test something is held names
// one that is there.
func TestNamedTestsExist(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range testFunc.FindAllSubmatch(text, -1) {
			there[string(found[1])] = true
		}
		return err
	})
	require.NoError(t, err)
	for _, file := range documents(t) {
		for _, found := range testName.FindAllStringSubmatch(read(t, file), -1) {
			if !there[found[1]] {
				t.Errorf("%s names %s, and no module has such a test", file, found[1])
			}
		}
	}
}
