package docs_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the repository's directory.
const root = "../.."

// block is a fenced block of a document.
type block struct {
	file       string // relative to the repository
	line       int    // of the fence
	language   string
	attributes map[string]string
	text       string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.file, b.line) }

// firstLine tells shell blocks of one document apart.
func (b block) firstLine() string {
	line, _, _ := strings.Cut(b.text, "\n")
	return line
}

// documents are the files whose blocks are tested.
func documents(t testing.TB) (files []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		files = append(files, found...)
	}
	require.NotEmpty(t, files)
	for i, file := range files {
		var err error
		files[i], err = filepath.Rel(root, file)
		require.NoError(t, err)
	}
	return files
}

func read(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	require.NoError(t, err)
	return string(text)
}

// blocks returns the blocks of all documents that are in one of the languages.
func blocks(t testing.TB, languages ...string) (found []block) {
	t.Helper()
	for _, file := range documents(t) {
		if file == "CHANGELOG.md" {
			continue // it tells of the past
		}
		for _, b := range blocksOf(t, file) {
			if slices.Contains(languages, b.language) {
				found = append(found, b)
			}
		}
	}
	return found
}

const fence = "```"

func blocksOf(t testing.TB, file string) (found []block) {
	t.Helper()
	lines := bufio.NewScanner(strings.NewReader(read(t, file)))
	var text bytes.Buffer
	var open *block
	for n := 1; lines.Scan(); n++ {
		info, isFence := strings.CutPrefix(lines.Text(), fence)
		switch {
		case !isFence && open != nil:
			fmt.Fprintln(&text, lines.Text())
		case isFence && open == nil:
			open = &block{file: file, line: n}
			open.language, open.attributes = parseInfo(t, open, info)
			text.Reset()
		case isFence:
			open.text = text.String()
			found = append(found, *open)
			open = nil
		}
	}
	require.NoError(t, lines.Err())
	require.Nil(t, open, "%v is never closed", open)
	return found
}

// parseInfo reads the words behind a fence: a language, and attributes.
func parseInfo(t testing.TB, b *block, info string) (language string, attributes map[string]string) {
	t.Helper()
	language, rest, _ := strings.Cut(strings.TrimSpace(info), " ")
	require.NotEmpty(t, language, "%v names no language", b)
	attributes = map[string]string{}
	for _, word := range strings.Fields(rest) {
		name, value, ok := strings.Cut(word, "=")
		require.True(t, ok, "%v: %q is not name=value", b, word)
		attributes[name] = value
	}
	return language, attributes
}

// TestLanguages: a block in a language that nobody expects would go untested.
func TestLanguages(t *testing.T) {
	t.Parallel()
	tested := map[string]bool{"go": true, "sh": true, "console": true, "sql": true, "conf": true}
	shown := map[string]bool{"json": true, "text": true}
	for _, file := range documents(t) {
		for _, b := range blocksOf(t, file) {
			require.True(t, tested[b.language] || shown[b.language], "%v: no test for the language %q", b, b.language)
		}
	}
}
