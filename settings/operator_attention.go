package settings

import (
	"context"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

const (
	// floodFrom is how many deliveries of an organization are due before the pages name it for that.
	floodFrom = 1000
	// stuckAfter is how long a recovery has not gone on before it counts as stuck, and pausedLong how
	// long a pause is not called long: as in the alerts of package otelwebhook.
	stuckAfter = 5 * time.Minute
	pausedLong = 4 * time.Hour
)

// Well reports whether nothing needs attention.
func (o overview) Well() bool {
	return !o.Late && !o.ClaimerIll() && !o.Health.StoreAway && len(o.Pauses)+len(o.Running) == 0 && !o.HasStopped &&
		o.Flood == nil && o.Stuck == nil && o.Stats.FailingEndpoints+o.Stats.DisabledEndpoints == 0
}

// ClaimerIll reports whether this process claims nothing although it should.
func (o overview) ClaimerIll() bool { return o.Health.ClaimError != nil || o.Health.Stuck > 0 }

// NobodyDelivers reports whether something is late and no process is known that would send it.
func (o overview) NobodyDelivers() bool {
	return o.Late && o.Complete && !o.Health.Running &&
		!slices.ContainsFunc(o.Processes, func(p alotwebhook.Process) bool { return p.Left >= 0 })
}

// flood returns the organization that most of the backlog belongs to; nil if there is none. One that
// is held back, itself or an endpoint of it, floods nothing.
func (o overview) flood(pauses []alotwebhook.Pause) *backlogRow {
	for _, b := range o.Backlog {
		held := slices.ContainsFunc(pauses, func(p alotwebhook.Pause) bool {
			return p.OrganizationID == "" || p.OrganizationID == b.OrganizationID
		})
		if b.Due >= floodFrom && 2*b.Pending > o.Stats.Pending && !held {
			return &b
		}
	}
	return nil
}

// Idle returns how long a recovery has not gone on; 0 if it goes on.
func (r recoveryRow) Idle() time.Duration {
	if idle := time.Since(r.UpdatedAt); r.State.Active() && idle > stuckAfter {
		return idle
	}
	return 0
}

// Long returns how long a pause has lasted; 0 if that is not long.
func (p pauseRow) Long() time.Duration {
	if age := time.Since(p.At); age > pausedLong {
		return age
	}
	return 0
}

// stuck returns a recovery with the page that shows it; nil if it goes on, or if there is none.
func (v *visit) stuck(r alotwebhook.Recovery) *recoveryRow {
	row := v.recoveryRow(r)
	if row.Idle() == 0 {
		return nil
	}
	if !row.Many() {
		row.Page = row.Pages + "/" + r.EndpointID
	}
	return &row
}

// slowest returns the recovery under way that went on longest ago; none has an EndpointID of "".
func slowest(ctx context.Context, d *alotwebhook.Dispatcher) (slow alotwebhook.Recovery, err error) {
	for _, state := range []alotwebhook.RecoveryState{alotwebhook.RecoveryRunning, alotwebhook.RecoveryDiscarding, alotwebhook.RecoveryCanceling, alotwebhook.RecoverySending} {
		f := alotwebhook.RecoveryFilter{State: state, Limit: 1000}
		for more := true; more; more = f.Cursor != "" {
			var page []alotwebhook.Recovery
			if page, f.Cursor, err = d.Recoveries(ctx, f); err != nil {
				return slow, err
			}
			for _, r := range page {
				if slow.EndpointID == "" || r.UpdatedAt.Before(slow.UpdatedAt) {
					slow = r
				}
			}
		}
	}
	return slow, nil
}
