package settings

import (
	"cmp"
	"html/template"
	"log/slog"
	"net/http"
	"strings"

	"github.com/alot/alotwebhook"
)

// pages is the handler of the pages Settings → Webhooks.
type pages struct {
	dispatcher *alotwebhook.Dispatcher
	admit      admission
	logger     *slog.Logger
	brand      brand
	prefix     string // from the options, with a slash before it and none behind it; "" if not given
	policy     string // Content-Security-Policy
	protection *http.CrossOriginProtection
	templates  map[string]*template.Template
	assets     *assets
	routes     []pageRoute
	manner     manner
	banner     func(*visit) (*banner, error) // what stands above the pages; nil for nothing
}

// admission returns the request as one of whoever makes it, whom it speaks for, and what it may
// do. The error is a problem if nobody is signed in.
type admission func(*http.Request) (*http.Request, caller, error)

// manner is how the pages speak to those whom they are for.
type manner struct {
	nav  []navEntry
	home string // the first page, with its article
	ask  string // whom to ask for a right
	seek bool   // there is a search over everything
}

// navEntry is a link of the navigation: to a path below the mount.
type navEntry struct{ Path, Label, Section string }

// toCustomers is how the pages of an organization speak.
var toCustomers = manner{
	nav:  []navEntry{{"/", "Endpoints", "endpoints"}, {"/history", "History", "history"}, {"/event-types", "Event types", "types"}},
	home: "the endpoints", ask: "Ask somebody who looks after the webhooks of your organization.",
}

// brand is what the pages show of the host. The fields are those of [Options].
type brand struct {
	Title, Product, HomeURL, LogoURL, LoginURL, Stylesheet string
}

// NewPages returns the pages Settings → Webhooks as a handler: the list of
// endpoints, a page for each endpoint, the history of deliveries, and a page for
// each delivery. The host can mount it at any path, also under [http.StripPrefix],
// with or without a slash at the end.
//
// Every action is a plain form and works without script. The handler refuses a POST
// from another site that [Options.TrustedOrigins] does not name, and the pages cannot be framed. They load nothing from another
// host, except for [Options.LogoURL] and [Options.Stylesheet].
//
// The error is a [alotwebhook.FieldError]: d or Options.Organization is missing,
// a URL or a trusted origin is not what [Options] says, or Prefix is not a path.
func NewPages(d *alotwebhook.Dispatcher, opts *Options) (http.Handler, error) {
	if err := checkHost(d, opts); err != nil {
		return nil, err
	}
	p, err := newPages(d, opts)
	if err != nil {
		return nil, err
	}
	p.admit = opts.admit
	p.routes, p.manner = p.table(), toCustomers
	return p, nil
}

// admit implements [admission].
func (o *Options) admit(r *http.Request) (*http.Request, caller, error) {
	organization, err := o.Organization(r)
	if err != nil || organization == "" {
		return r, caller{}, errNotSignedIn
	}
	who := caller{organization, rightsOf(r, o.May)}
	return acting(r, o.Actor), who, nil
}

// newPages returns pages that look as the options say, and have no routes yet.
func newPages(d *alotwebhook.Dispatcher, opts *Options) (*pages, error) {
	if err := checkLinks(opts); err != nil {
		return nil, err
	}
	protection, err := protect(opts.TrustedOrigins)
	if err != nil {
		return nil, err
	}
	p := &pages{
		dispatcher: d,
		logger:     cmp.Or(opts.Logger, d.Logger()),
		brand:      brand{cmp.Or(opts.Title, "Webhooks"), opts.Product, opts.HomeURL, opts.LogoURL, opts.LoginURL, opts.Stylesheet},
		prefix:     "/" + strings.Trim(opts.Prefix, "/"),
		policy:     contentPolicy(opts),
		protection: protection,
	}
	if opts.Prefix == "" {
		p.prefix = ""
	}
	if p.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if p.templates, err = loadTemplates(); err != nil {
		return nil, err
	}
	return p, nil
}

// page handles a visit: it shows a page, or does what a form asks for.
type page func(*visit) error

// pageRoute is a method and a path that the pages serve, and what a visitor has to be
// allowed. The pages offer a link or a form only to those who meet the needs of its route:
// see [view.May].
type pageRoute struct {
	method, pattern string
	needs           needs
	show            page
}

// table lists the routes by their path below the mount. An [http.ServeMux] would
// redirect to paths without the prefix that the host stripped.
func (p *pages) table() []pageRoute {
	return []pageRoute{
		{http.MethodGet, "/", toLook, (*visit).listEndpoints},
		{http.MethodGet, "/new", toAdd, (*visit).newEndpoint},
		{http.MethodPost, "/new", toAdd, (*visit).createEndpoint},
		{http.MethodGet, "/history", toLook, (*visit).listHistory},
		{http.MethodGet, "/event-types", toLook, (*visit).listTypes},
		{http.MethodGet, "/deliveries/{id}", toLook, (*visit).showDelivery},
		{http.MethodPost, "/deliveries/{id}/redeliver", toSend, (*visit).redeliver},
		{http.MethodGet, "/{id}", toLook, (*visit).showEndpoint},
		{http.MethodGet, "/{id}/edit", toChange, (*visit).editEndpoint},
		{http.MethodPost, "/{id}/edit", toChange, (*visit).updateEndpoint},
		{http.MethodPost, "/{id}/enable", toChange, (*visit).enableEndpoint},
		{http.MethodPost, "/{id}/prove", toChange, (*visit).proveEndpoint},
		{http.MethodPost, "/{id}/disable", toChange, (*visit).disableEndpoint},
		{http.MethodPost, "/{id}/test", toSend, (*visit).sendTest},
		{http.MethodGet, "/{id}/rotate", toRotate, (*visit).newSecret},
		{http.MethodPost, "/{id}/rotate", toRotate, (*visit).rotateSecret},
		{http.MethodPost, "/{id}/recover", toSend, (*visit).recoverFailed},
		{http.MethodPost, "/{id}/send-missed", toSend, (*visit).sendMissed},
		{http.MethodPost, "/{id}/recover/stop", toSend, (*visit).stopRecovery},
		{http.MethodGet, "/{id}/delete", toChange, (*visit).confirmDelete},
		{http.MethodPost, "/{id}/delete", toChange, (*visit).deleteEndpoint},
	}
}

// visit is one request for a page.
type visit struct {
	*pages
	w    http.ResponseWriter
	r    *http.Request
	base string // path of the mount, without a slash at the end
	path string // path of the page below the mount, without a slash at either end
	home string // path of the mount that has the files to load: base, or that of the operators' pages
	who  caller // zero if the visitor is not signed in
}

// ServeHTTP implements [http.Handler].
func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	base, below := p.locate(r)
	p.receive(&visit{pages: p, w: w, r: r, base: base, path: unescape(below), home: base})
}

// receive serves a file, or handles the visit.
func (p *pages) receive(v *visit) {
	p.secure(v.w.Header())
	if name, ok := strings.CutPrefix(v.path, "static/"); ok {
		p.assets.serve(v.w, v.r, name)
		return
	}
	if err := v.serve(); err != nil {
		v.fail(err)
	}
}

func (v *visit) serve() error {
	if err := v.protection.Check(v.r); err != nil {
		return errCrossSite
	}
	r, who, err := v.admit(v.r)
	if err != nil {
		return err
	}
	v.r, v.who = r, who
	rt, err := v.find()
	switch {
	case err != nil:
		return err
	case !rt.needs.met(v.who.may):
		return v.notAllowed(rt.needs.missing(v.who.may))
	}
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxBody)
	return rt.show(v)
}

// find returns the route of the path and sets the path's id as PathValue("id").
func (v *visit) find() (*pageRoute, error) {
	var allowed []string
	for i := range v.routes {
		rt := &v.routes[i]
		id, ok := matchPath(rt.pattern, v.path)
		if ok && rt.method == methodOf(v.r) {
			v.r.SetPathValue("id", id)
			return rt, nil
		}
		if ok {
			allowed = append(allowed, rt.method)
		}
	}
	if allowed == nil {
		return nil, errNoPage
	}
	v.w.Header().Set("Allow", allow(allowed))
	return nil, errMethod
}

// endpoint returns the endpoint whose id is in the path, if the organization owns it.
func (v *visit) endpoint() (alotwebhook.Endpoint, error) {
	return v.who.endpoint(v.r.Context(), v.dispatcher, v.r.PathValue("id"))
}

// delivery returns the delivery whose id is in the path, if the organization owns it.
func (v *visit) delivery() (alotwebhook.Delivery, error) {
	return v.who.delivery(v.r.Context(), v.dispatcher, v.r.PathValue("id"))
}
