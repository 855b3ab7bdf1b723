package settings

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

// Measures of the chart, in units of its own. An hour is a column. Successes go up
// from the line and failures go down, so that their place tells them apart, and not
// only their colour.
const (
	chartHours  = 24
	chartColumn = 6
	chartUp     = 20
	chartDown   = 10
)

// day is what was attempted in the last 24 hours.
type day struct {
	alotwebhook.Tally         // of all hours
	Known             bool    // false if the store counts no attempts
	Hours             []hour  // oldest first
	Causes            []cause // most frequent first
}

// hour is a column of the chart.
type hour struct {
	alotwebhook.Tally
	X, Up, Down int // place of the column, heights of its two parts
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
	var most int64 = 1
	for _, t := range tallies {
		i := int(t.Hour.Sub(first) / time.Hour)
		if t.Hour.Before(first) || i >= chartHours {
			continue
		}
		d.Hours[i].Add(t)
		d.Add(t)
		most = max(most, d.Hours[i].Succeeded, d.Hours[i].Failed())
	}
	for i := range d.Hours {
		h := &d.Hours[i]
		h.Up, h.Down = height(h.Succeeded, most, chartUp), height(h.Failed(), most, chartDown)
	}
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

// height scales a number of attempts, so that the number most has the height full.
// Even a single attempt is high enough to be seen.
func height(n, most int64, full int) int {
	if n == 0 {
		return 0
	}
	return max(2, int(n*int64(full)/most))
}

// Y returns where the upper part of the column begins, from the top of the chart.
func (h hour) Y() int { return chartUp - h.Up }

// Base returns where the lower part begins.
func (hour) Base() int { return chartUp + 1 }

// Says returns the column in words.
func (h hour) Says() string {
	return fmt.Sprintf("%s UTC: %d succeeded, %d failed", h.Hour.Format("15:04"), h.Succeeded, h.Failed())
}

// Width returns the width of the chart.
func (day) Width() int { return chartHours*chartColumn - 1 }

// Height returns the height of the chart.
func (day) Height() int { return chartUp + 1 + chartDown }

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

// Says returns the chart in words.
func (d day) Says() string {
	if d.Total() == 0 {
		return "Last 24 hours: no attempts"
	}
	return fmt.Sprintf("Last 24 hours: %s of %s succeeded, %d failed", d.Rate(), count(d.Total(), "attempt", "attempts"), d.Failed())
}
