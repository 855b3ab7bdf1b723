package settings_test

import (
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// bars returns the heights of the bars of a chart, by their class, in the order of the page.
func bars(t *testing.T, text string) (up, down []int) {
	t.Helper()
	for _, m := range regexp.MustCompile(`<rect class="(up|down)"[^>]* height="(\d+)"`).FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(m[2])
		require.NoError(t, err)
		if m[1] == "up" {
			up = append(up, n)
		} else {
			down = append(down, n)
		}
	}
	return up, down
}

// Both halves of the chart have one scale, and its words name the maximum of each.
func TestTheChartHasOneScale(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		succeeded, failed int64
		up, down          []int
	}{
		{10, 20, []int{10}, []int{20}},
		{6, 6, []int{15}, []int{15}},
		{40, 0, []int{30}, nil},
		{0, 1, nil, []int{30}},
		{100_000, 1, []int{28}, []int{2}}, // a single one is seen
		{1, 100_000, []int{2}, []int{28}},
	} {
		s := newSite(t)
		e := s.endpoint("https://hooks.example.com/alot")
		tally := alotwebhook.Tally{EndpointID: e.ID, Hour: time.Now().UTC().Truncate(time.Hour), Succeeded: tc.succeeded, Duration: time.Second, Slowest: time.Second}
		if tc.failed > 0 {
			tally.Reasons = map[alotwebhook.FailureReason]int64{alotwebhook.ReasonTimeout: tc.failed}
		}
		require.NoError(t, s.store.(alotwebhook.Tallier).AddTallies(t.Context(), []alotwebhook.Tally{tally}))
		text := s.get("/" + e.ID).text
		up, down := bars(t, text)
		require.Equal(t, tc.up, up, "%+v", tc)
		require.Equal(t, tc.down, down, "%+v", tc)
		require.Contains(t, text, `data-hour="`+tally.Hour.Format("2006-01-02T15:04:05.000Z")+`"`)
		require.Contains(t, text, "<dt>Delivered</dt>")
		require.NotContains(t, s.get("/").text, "100 %</b>", "a share of attempts is not what was delivered")
	}
}
