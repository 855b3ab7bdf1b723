package eventtype_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/eventtype"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "candidate.completed", "a_b.c9.0", strings.Repeat("x", 128)} {
		require.Empty(t, eventtype.Problem(name), name)
	}
	for name, problem := range map[string]string{
		"": "is empty", strings.Repeat("x", 129): "129 bytes", "a..b": "dots between", ".a": "dots between", "a.": "dots between",
		"A": "dots between", "a-b": "dots between", "a b": "dots between", "é": "dots between", "a\n": "dots between",
	} {
		require.Contains(t, eventtype.Problem(name), problem, name)
	}
}
