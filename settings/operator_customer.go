package settings

import (
	"net/http"
	"net/url"

	"github.com/alot/alotwebhook"
)

// banner stands above the pages of an organization when an operator looks at them.
type banner struct {
	Organization string
	Home         string     // path of the operators' pages
	Audit        string     // address of the audit trail of the organization
	Paused       []pauseRow // the first of them
	MorePaused   int
	MayPause     bool
	Pause        string // address of the form to pause the organization; "" if it is paused
}

// customersOf returns the pages of an organization. An operator may do there what the rights
// about customers' pages allow.
func (o *operatorPages) customersOf(organization, base string) *pages {
	p := *o.customers
	p.admit = func(r *http.Request) (*http.Request, caller, error) {
		r, who, err := o.admit(r)
		who.organization = organization
		return r, who, err
	}
	p.banner = func(v *visit) (*banner, error) {
		return bannerOf(v, base)
	}
	return &p
}

func bannerOf(v *visit, base string) (*banner, error) {
	b := &banner{Organization: v.who.organization, Home: base, MayPause: toPause.met(v.who.may)}
	of := "?" + url.Values{"organization": {b.Organization}}.Encode()
	b.Pause, b.Audit = base+"/pause"+of, base+"/operations"+of
	pauses, err := v.dispatcher.Pauses(v.r.Context())
	for _, p := range pauses {
		if p.OrganizationID != "" && p.OrganizationID != b.Organization {
			continue
		}
		if len(b.Paused) < listedPauses {
			b.Paused = append(b.Paused, newPauseRow(p, base))
		} else {
			b.MorePaused++
		}
		if p.OrganizationID != "" && p.EndpointID == "" {
			b.Pause = ""
		}
	}
	return b, err
}

// pauseRow is a pause as the pages show it.
type pauseRow struct {
	alotwebhook.Pause
	Pages  string // path of the organization's pages; "" if all are paused
	Resume string // address of the form that ends the pause
}

// newPauseRow returns a pause with its links. base is the path of the operators' pages.
func newPauseRow(p alotwebhook.Pause, base string) pauseRow {
	row := pauseRow{Pause: p, Resume: base + "/resume"}
	of := url.Values{}
	if p.OrganizationID != "" {
		row.Pages = base + "/organizations/" + organizationSegment(p.OrganizationID)
		of.Set("organization", p.OrganizationID)
	}
	if p.EndpointID != "" {
		of.Set("endpoint", p.EndpointID)
	}
	if len(of) > 0 {
		row.Resume += "?" + of.Encode()
	}
	return row
}
