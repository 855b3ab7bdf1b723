package settings

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

// Measures of the chart, in units of its own. An hour is a column. Successes go up
// from the line and failures go down, so that their place tells them apart, and not
// only their colour. Both have one scale: the line is where the most of either fit.
const (
	chartHours  = 24
	chartColumn = 6
	chartHeight = 30
	chartLeast  = 2 // the height of a single attempt among many
)

// day is what was attempted in the last 24 hours.
type day struct {
	alotwebhook.Tally         // of all hours
	Known             bool    // false if the store counts no attempts
	Hours             []hour  // oldest first
	Causes            []cause // most frequent first
	MostUp, MostDown  int64   // attempts of one kind in an hour
	Line              int     // where the line is, from the top of the chart
}

// hour is a column of the chart.
type hour struct {
	alotwebhook.Tally
	X, Y, Base int // place of the column: its left, top and, below the line, its beginning
	Up, Down   int // heights of its two parts
}

// cause is a reason for failed attempts, and how many failed for it.
type cause struct {
	Reason alotwebhook.FailureReason
	Count  int64
}

// newDay returns the day of one endpoint, from its tallies. Its last hour is the
// present one.
func newDay(tallies []alotwebhook.Tally, now time.Time) day {
	d := day{Known: true, Hours: make([]hour, chartHours)}
	first := now.UTC().Truncate(time.Hour).Add(-(chartHours - 1) * time.Hour)
	for i := range d.Hours {
		d.Hours[i] = hour{Tally: alotwebhook.Tally{Hour: first.Add(time.Duration(i) * time.Hour)}, X: i * chartColumn}
	}
	for _, t := range tallies {
		i := int(t.Hour.Sub(first) / time.Hour)
		if t.Hour.Before(first) || i >= chartHours {
			continue
		}
		d.Hours[i].Add(t)
		d.Add(t)
		d.MostUp, d.MostDown = max(d.MostUp, d.Hours[i].Succeeded), max(d.MostDown, d.Hours[i].Failed())
	}
	d.draw()
	d.Causes = causesOf(d.Reasons)
	return d
}

// causesOf returns the reasons in the order of how many attempts failed for each.
func causesOf(reasons map[alotwebhook.FailureReason]int64) (causes []cause) {
	for reason, n := range reasons {
		causes = append(causes, cause{reason, n})
	}
	slices.SortFunc(causes, func(a, b cause) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	return causes
}

// draw places the line and the columns.
func (d *day) draw() {
	d.Line = height(d.MostUp, d.MostUp+d.MostDown, chartHeight)
	if d.MostDown > 0 {
		d.Line = min(d.Line, chartHeight-chartLeast)
	}
	for i := range d.Hours {
		h := &d.Hours[i]
		h.Up, h.Down = height(h.Succeeded, d.MostUp, d.Line), height(h.Failed(), d.MostDown, chartHeight-d.Line)
		h.Y, h.Base = d.Line-h.Up, d.Line+1
	}
}

// height scales a number of attempts, so that the number most has the height full.
// Even a single attempt is high enough to be seen.
func height(n, most int64, full int) int {
	if n == 0 {
		return 0
	}
	return max(chartLeast, int(math.Round(float64(n)*float64(full)/float64(most))))
}

// Says returns the column in words.
func (h hour) Says() string {
	return fmt.Sprintf("%s UTC: %d succeeded, %d failed", h.Hour.Format("15:04"), h.Succeeded, h.Failed())
}

// Width returns the width of the chart.
func (day) Width() int { return chartHours*chartColumn - 1 }

// Height returns the height of the chart.
func (day) Height() int { return chartHeight + 1 }

// Total returns the number of attempts.
func (d day) Total() int64 { return d.Succeeded + d.Failed() }

// Rate returns the share of attempts that succeeded. It is "100 %" only if all of
// them succeeded, and "0 %" only if none did.
func (d day) Rate() string {
	switch {
	case d.Total() == 0:
		return "–"
	case d.Failed() == 0:
		return "100 %"
	case d.Succeeded == 0:
		return "0 %"
	}
	percent := 100 * float64(d.Succeeded) / float64(d.Total())
	return fmt.Sprintf("%.1f %%", min(max(percent, 0.1), 99.9))
}

// Says returns the chart in words. An attempt that succeeds delivers an event to the endpoint.
func (d day) Says() string {
	if d.Total() == 0 {
		return "Last 24 hours: no attempts"
	}
	return fmt.Sprintf("Last 24 hours: %s delivered in %s, %d failed; at most %d succeeded and %d failed in an hour",
		number(d.Succeeded), count(d.Total(), "attempt", "attempts"), d.Failed(), d.MostUp, d.MostDown)
}
