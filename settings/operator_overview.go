package settings

import (
	"net/http"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

const (
	// lateAfter is how long a delivery to a healthy endpoint is due until the pages call it late,
	// before the first alert of package otelwebhook does.
	lateAfter = time.Minute
	// listedFirst is how many endpoints of a kind the overview shows.
	listedFirst = 5
	// listedPauses is how many pauses it shows.
	listedPauses = 10
	// listedRecoveries is how many recoveries that are under way it shows.
	listedRecoveries = 10
)

// overview is the first page of the operators.
type overview struct {
	survey
	Health     alotwebhook.Health // of this process
	Late       bool
	Pauses     []pauseRow // the first of them
	MorePauses int
	Failing    []operatorEndpoint // the first of them
	Disabled   []operatorEndpoint
	Running    []recoveryRow
	Backlog    []backlogRow
	Flood      *backlogRow  // whose most of the backlog is; nil if it is nobody's
	Stuck      *recoveryRow // that has not gone on for longest; nil if all go on
	Day        day
	ThisHour   int64 // attempts
	HasStopped bool  // one of the processes
}

// Age returns how old the figures are.
func (o overview) Age() string {
	if age := time.Since(o.At).Round(time.Second); age >= time.Second {
		return took(age) + " ago"
	}
	return "now"
}

// backlogRow is the backlog of an organization.
type backlogRow struct {
	alotwebhook.Backlog
	Base string // of the organization's pages
	Late bool
}

func (o *operatorPages) overview(v *visit) error {
	if readQuery(v.r, flashName).err() != nil {
		return errAddress
	}
	found, err := o.surveys.read(v.r.Context())
	if err != nil {
		return err
	}
	data := overview{survey: found, Health: v.dispatcher.Health(), Late: found.Stats.OldestDue > lateAfter}
	data.Day = newDay(found.Totals, time.Now())
	data.Day.Known = found.Complete
	data.ThisHour = data.Day.Hours[chartHours-1].Total()
	for _, b := range found.Backlogs {
		data.Backlog = append(data.Backlog, backlogRow{b, v.baseOf(b.OrganizationID), b.OldestDue > lateAfter})
	}
	for _, p := range found.Processes {
		data.HasStopped = data.HasStopped || p.Left < 0
	}
	if err := o.fillOverview(v, &data); err != nil {
		return err
	}
	return v.show(http.StatusOK, "operator_overview", view{Heading: "Overview", Section: "overview", Data: data})
}

// fillOverview reads what is not in the survey, because it is quick to read.
func (o *operatorPages) fillOverview(v *visit, data *overview) error {
	pauses, err := v.dispatcher.Pauses(v.r.Context())
	if err != nil {
		return err
	}
	slices.SortStableFunc(pauses, func(a, b alotwebhook.Pause) int { return a.At.Compare(b.At) })
	data.Flood, data.Stuck = data.flood(pauses), v.stuck(data.Slowest)
	data.MorePauses = max(0, len(pauses)-listedPauses)
	for _, p := range pauses[:len(pauses)-data.MorePauses] {
		data.Pauses = append(data.Pauses, newPauseRow(p, v.base))
	}
	if data.Failing, _, err = v.manyEndpoints(alotwebhook.EndpointFilter{Failing: true}, listedFirst); err != nil {
		return err
	}
	if data.Disabled, _, err = v.manyEndpoints(alotwebhook.EndpointFilter{Disabled: true}, listedFirst); err != nil {
		return err
	}
	data.Running, err = v.runningRecoveries()
	return err
}

// Total returns the number of attempts in the hour.
func (h hour) Total() int64 { return h.Succeeded + h.Failed() }
