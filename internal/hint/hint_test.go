package hint_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/hint"
)

func TestMismatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		body   string
		length int64
		want   []string
	}{
		{"", 287, []string{"0 bytes of 287 (Content-Length)", "has read or changed"}},
		{"{}\n", 2, []string{"3 bytes of 2 (Content-Length)", "has read or changed"}},
		{"", 0, []string{"0 bytes of 0", "is empty"}},
		{"", -1, []string{"0 bytes:", "is empty"}},
		{"eyJpZCI6", -1, []string{"8 bytes:", "base64"}},
		{"{}", 2, []string{"2 bytes of 2", "the endpoint's secret", "alotwebhook verify"}},
	} {
		got := hint.Mismatch([]byte(c.body), c.length)
		for _, want := range c.want {
			require.Contains(t, got, want)
		}
		if len(c.body) > 4 {
			require.NotContains(t, got, c.body)
		}
	}
}

// The texts of package json and of a type's own decoder quote what they did not take.
func TestMisfitQuotesNoData(t *testing.T) {
	t.Parallel()
	kind := errors.New("malformed")
	type inner struct{ Score int8 }
	for name, c := range map[string]struct {
		data string
		into any
		want string
	}{
		"a number too large": {`{"In":{"Score":4711}}`, &struct{ In inner }{}, `malformed: data of a.b: "In.Score" is a JSON number, which does not fit a Go int8`},
		"a fraction":         {`{"Score":4711.5}`, &inner{}, "is a JSON number"},
		"a text":             {`{"Score":"4711"}`, &inner{}, "is a JSON string"},
		"a text as number": {`{"S":"a4711"}`, &struct {
			S int `json:",string"`
		}{}, "data of a.b"},
		"a number as time": {`{"At":"x4711"}`, &struct{ At time.Time }{}, "data of a.b"},
		"a map's key":      {`{"4711":1}`, &map[int8]int{}, "data of a.b"},
		"no object":        {`"4711"`, &inner{}, "data of a.b is a JSON string, which does not fit a Go hint_test.inner"},
		"an array":         {`["4711"]`, &[]int{}, "data of a.b is a JSON string"},
	} {
		err := json.Unmarshal([]byte(c.data), c.into)
		require.Error(t, err, name)
		got := hint.Misfit(kind, "a.b", c.into, err)
		require.ErrorIs(t, got, kind, name)
		require.ErrorIs(t, got, err, name)
		require.Contains(t, got.Error(), c.want, name)
		require.False(t, strings.Contains(got.Error(), "4711"), "%s: %v", name, got)
	}
}
