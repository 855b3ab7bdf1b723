package settings

import (
	"time"

	"github.com/alot/alotwebhook"
)

// pauses are those of the host: of everything, of organizations and of endpoints. A request reads
// them once, for however many endpoints it shows. Customers are told since when theirs are paused,
// and neither by whom nor why: these are the words of the host's operators.
type pauses []alotwebhook.Pause

// since returns since when the endpoint is paused; zero if it is not.
func (p pauses) since(organizationID, endpointID string) (since time.Time) {
	for _, one := range p {
		covers := (one.OrganizationID == "" || one.OrganizationID == organizationID) && (one.EndpointID == "" || one.EndpointID == endpointID)
		if covers && (since.IsZero() || one.At.Before(since)) {
			since = one.At
		}
	}
	return since
}
