package settings_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var findingRow = regexp.MustCompile(`(?m)^\| "([^"]+)" \|`)

// What docs/operating.md says that the pages say of an event that somebody did not get, they say.
func TestTheFindingsOfTheGuideAreWordsOfThePages(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../docs/operating.md")
	require.NoError(t, err)
	files, err := filepath.Glob("templates/*.html")
	require.NoError(t, err)
	var words strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		words.Write(text)
	}
	found := findingRow.FindAllStringSubmatch(string(guide), -1)
	require.Len(t, found, 17)
	for _, finding := range found {
		require.Contains(t, words.String(), finding[1])
	}
}
