package settings_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// Brackets alone become thousands of times as large by indentation: they are shown as they are.
func TestADeeplyNestedPayloadIsShownAsItIs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	nested := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	d := s.event(s.endpoint("https://hooks.example.com/alot"), `{"a":`+nested(8000)+`}`)
	s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{Reason: alotwebhook.ReasonStatus, StatusCode: 500, ResponseBody: nested(8000)})
	got := s.get("/deliveries/" + d).text
	require.Contains(t, got, nested(8000))
	require.Less(t, len(got), 400_000)
}
