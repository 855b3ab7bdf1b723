package settings

import (
	"context"
	"time"

	"github.com/alot/alotwebhook"
)

// pauses are those of the host that hold back deliveries of one organization. The organization is
// told since when, and neither by whom nor why: these are the words of the host's operators.
type pauses []alotwebhook.Pause

// pauses reads the pauses of everything, of the organization and of its endpoints. A request reads
// them once, for however many endpoints it shows.
func (c caller) pauses(ctx context.Context, d *alotwebhook.Dispatcher) (own pauses, err error) {
	all, err := d.Pauses(ctx)
	for _, p := range all {
		if p.OrganizationID == "" || p.OrganizationID == c.organization {
			own = append(own, p)
		}
	}
	return own, err
}

// since returns since when the endpoint is paused; zero if it is not.
func (p pauses) since(endpointID string) (since time.Time) {
	for _, one := range p {
		covers := one.EndpointID == "" || one.EndpointID == endpointID
		if covers && (since.IsZero() || one.At.Before(since)) {
			since = one.At
		}
	}
	return since
}
