package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

// nested is JSON of brackets alone: with indentation it is thousands of times as large.
func nested(depth int) string {
	return strings.Repeat("[", depth) + strings.Repeat("]", depth)
}

func TestShownIsBounded(t *testing.T) {
	t.Parallel()
	for _, depth := range []int{65, 1000, 5000} {
		require.Equal(t, nested(depth), shown([]byte(nested(depth))))
	}
	require.Equal(t, strings.Count(shown([]byte(nested(64))), "\n"), 126)
	wide := "[" + strings.Repeat(nested(60)+",", 200) + "1]"
	require.LessOrEqual(t, len(shown([]byte(wide))), maxShown+100)
	// What is longer than is shown has its indentation nevertheless.
	long, err := json.Marshal(map[string]string{"a": strings.Repeat("x", maxShown), "b": "[{,\\\""})
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(shown(long), "{\n  \"a\": \"xxx"))
	require.Regexp(t, `x\n… and \d+ bytes more$`, shown(long))
}

// Whoever may send a request makes listen neither print nor hold many times as much.
func TestListenIsNotFloodedByBrackets(t *testing.T) {
	t.Parallel()
	l := listen(t)
	body := nested(8000)
	status, _, _ := do(t, webhooktest.NewBodyRequest(t, l.url, []byte(body), "another"))
	require.Equal(t, http.StatusUnauthorized, status)
	l.sees(l.out, `(signature does not match)`)
	require.Less(t, len(l.out.String()), 2*len(body))
}

// The candidates of a diagnosis are each at most a few times as large as the body.
func TestDiagnosisIsBounded(t *testing.T) {
	t.Parallel()
	for _, body := range []string{nested(5000), strings.Repeat("<", 1000), `{"a":` + strings.Repeat("\n", 1000) + "1}"} {
		for b := range otherBodies([]byte(body)) {
			require.LessOrEqual(t, len(b.body), indentLimit([]byte(body)))
		}
	}
	const compact = `{"a":[1,{"b":2}],"c":"x"}`
	for _, by := range []string{"  ", "    ", "\t"} {
		pretty, ok := indent([]byte(compact), by, 1000)
		require.True(t, ok)
		size, _ := indentedSize([]byte(compact), len(by))
		require.GreaterOrEqual(t, size, len(pretty))
		hints := diagnose([]byte(compact), alotwebhook.Sign(pretty, secret), secret)
		require.Contains(t, hints[0], "with indentation")
	}
}
