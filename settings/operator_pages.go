package settings

import (
	"cmp"
	"net/http"

	"github.com/alot/alotwebhook"
)

// operatorPages is the handler of the operators' pages.
type operatorPages struct {
	*pages            // the operators' own
	customers *pages  // those of any organization; its admission and its banner are set for each visit
	surveys   surveys // what all visitors share
}

// NewOperatorPages returns the pages of those who run the host, as a handler: what needs attention,
// a search, endpoints, deliveries and operations of all organizations, and the pages of each as its
// customers see them. Operators pause and resume there, and cancel deliveries or send failed ones
// again, of many endpoints at once. The host can mount it as it can mount [NewPages]; what is said
// there of forms, other sites and frames holds here, too.
//
// Paths below the mount:
//
//	/                                what needs attention, backlogs, the last 24 hours, processes
//	/search                          by ?q=: an id, an organization, a subject, a part of a URL
//	/endpoints                       by ?organization=, url=, failing=yes, disabled=yes
//	/deliveries                      by ?organization=, subject= and what the customers' history has
//	/operations                      what has happened, by ?organization=, endpoint=, type=
//	/organizations/{organization}/   the pages of an organization: see [NewPages]
//	/pause, /resume                  hold deliveries back, and let them go on
//	/recover, /cancel                send failed deliveries again, cancel unfinished ones
//	/erase, /remove                  erase personal data, remove an organization that has left
//	/recoveries, /recoveries/{id}    how far that is
//
// The error is a [alotwebhook.FieldError]: d, OperatorOptions.Operator or OperatorOptions.May is
// missing, a URL or a trusted origin is not what [Options] says, or Prefix is not a path.
func NewOperatorPages(d *alotwebhook.Dispatcher, opts *OperatorOptions) (http.Handler, error) {
	if err := opts.check(d); err != nil {
		return nil, err
	}
	own, err := newPages(d, opts.look())
	if err != nil {
		return nil, err
	}
	customers := *own
	customers.routes, customers.manner = customers.table(), toCustomers
	customers.manner.ask, customers.manner.seek = toOperators.ask, true
	o := &operatorPages{pages: own, customers: &customers, surveys: surveys{dispatcher: d}}
	own.admit, own.routes, own.manner = opts.visitor, o.table(), toOperators
	return o, nil
}

// look returns what the options say of how the pages look.
func (o *OperatorOptions) look() *Options {
	return &Options{
		Logger: o.Logger, TrustedOrigins: o.TrustedOrigins, Prefix: o.Prefix, Title: cmp.Or(o.Title, "Webhooks: operations"),
		Product: o.Product, HomeURL: o.HomeURL, LogoURL: o.LogoURL, LoginURL: o.LoginURL, Stylesheet: o.Stylesheet,
	}
}

// visitor is the [admission] of the operators' own pages.
func (o *OperatorOptions) visitor(r *http.Request) (*http.Request, caller, error) {
	r, may, err := o.admit(r)
	if err != nil {
		return r, caller{}, errNotSignedIn
	}
	return r, caller{may: may}, nil
}

// toOperators is how the operators' pages speak.
var toOperators = manner{
	nav: []navEntry{
		{"/", "Overview", "overview"}, {"/endpoints", "Endpoints", "endpoints"}, {"/deliveries", "Deliveries", "deliveries"},
		{"/recoveries", "Recoveries", "recoveries"}, {"/operations", "Audit", "operations"},
	},
	home: "the overview", ask: "Ask somebody who gives out the rights of operators.", seek: true,
}

// table lists the routes of the operators' own pages. Those of an organization have the table of
// [pages.table] below /organizations/{organization}.
func (o *operatorPages) table() []pageRoute {
	return []pageRoute{
		{http.MethodGet, "/", toLook, o.overview},
		{http.MethodGet, "/search", toLook, o.find},
		{http.MethodGet, "/endpoints", toLook, o.listEndpoints},
		{http.MethodGet, "/deliveries", toLook, o.listDeliveries},
		{http.MethodGet, "/operations", toLook, o.listOperations},
		{http.MethodGet, "/pause", toPause, o.newPause},
		{http.MethodPost, "/pause", toPause, o.pause},
		{http.MethodGet, "/resume", toPause, o.newResume},
		{http.MethodPost, "/resume", toPause, o.resume},
		{http.MethodGet, "/recover", toSend, recovering.open},
		{http.MethodPost, "/recover", toSend, recovering.submit},
		{http.MethodGet, "/cancel", toCancel, canceling.open},
		{http.MethodPost, "/cancel", toCancel, canceling.submit},
		{http.MethodGet, "/erase", toErase, o.newErasure},
		{http.MethodPost, "/erase", toErase, o.erase},
		{http.MethodGet, "/remove", toErase, o.newRemoval},
		{http.MethodPost, "/remove", toErase, o.remove},
		{http.MethodGet, "/recoveries", toLook, o.listRecoveries},
		{http.MethodGet, "/recoveries/{id}", toLook, o.showRecovery},
		{http.MethodPost, "/recoveries/{id}/stop", toSend, stopping("stop")},
		{http.MethodPost, "/recoveries/{id}/stop-canceling", toCancel, stopping("stop-canceling")},
		{http.MethodPost, "/recoveries/{id}/stop-erasing", toErase, stopping("stop-erasing")},
	}
}

// ServeHTTP implements [http.Handler].
func (o *operatorPages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	base, below := o.locate(r)
	v := &visit{pages: o.pages, w: w, r: r, base: base, path: unescape(below), home: base}
	if len(below) > 1 && below[0] == "organizations" {
		if organization, ok := organizationIn(below[1]); ok {
			v.pages = o.customersOf(organization, base)
			v.base, v.path = base+"/organizations/"+organizationSegment(organization), unescape(below[2:])
		}
	}
	v.receive(v)
}
