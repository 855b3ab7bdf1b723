package settings

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

// Measures of the chart, in its own units: hours are columns, successes go up
// from the line and failures down, so that their place tells them apart.
const (
	chartHours  = 24
	chartColumn = 6
	chartUp     = 20
	chartDown   = 10
)

// day is what was tried in the last 24 hours.
type day struct {
	alotwebhook.Tally        // of all hours
	Known             bool   // the store keeps tallies
	Hours             []hour // oldest first
	Causes            []cause
}

// hour is a column of the chart.
type hour struct {
	alotwebhook.Tally
	X, Up, Down int // place and heights
}

// cause is a reason with how often it was one.
type cause struct {
	Reason alotwebhook.FailureReason
	Count  int64
}

// newDay draws tallies of one endpoint, whose last hour is that of now.
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
	for reason, n := range d.Reasons {
		d.Causes = append(d.Causes, cause{reason, n})
	}
	slices.SortFunc(d.Causes, func(a, b cause) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	return d
}

// height shows a single one still, whatever there is beside it.
func height(n, most int64, full int) int {
	if n == 0 {
		return 0
	}
	return max(2, int(n*int64(full)/most))
}

// Y is where a column's upper part begins.
func (h hour) Y() int { return chartUp - h.Up }

// Base is where the lower part begins.
func (hour) Base() int { return chartUp + 1 }

// Says is the column in words.
func (h hour) Says() string {
	return fmt.Sprintf("%s UTC: %d succeeded, %d failed", h.Hour.Format("15:04"), h.Succeeded, h.Failed())
}

// Width and Height are the chart's.
func (day) Width() int  { return chartHours*chartColumn - 1 }
func (day) Height() int { return chartUp + 1 + chartDown }

// Total counts the attempts.
func (d day) Total() int64 { return d.Succeeded + d.Failed() }

// Rate is the share of attempts that succeeded. What is not quite all or
// nothing is never rounded to it.
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

// Says is the chart in words.
func (d day) Says() string {
	if d.Total() == 0 {
		return "Last 24 hours: no attempts"
	}
	return fmt.Sprintf("Last 24 hours: %s of %s succeeded, %d failed", d.Rate(), count(d.Total(), "attempt", "attempts"), d.Failed())
}
