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
	dispatcher   *alotwebhook.Dispatcher
	organization func(*http.Request) (string, error)
	actor        func(*http.Request) string // may be nil
	logger       *slog.Logger
	brand        brand
	prefix       string // from the options, with a slash before it and none behind it; "" if not given
	policy       string // Content-Security-Policy
	protection   *http.CrossOriginProtection
	templates    map[string]*template.Template
	assets       *assets
	routes       []pageRoute
}

// brand is what the pages show of the host. The fields are those of [Options].
type brand struct {
	Title, Product, HomeURL, LogoURL, Stylesheet string
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
	if err := checkLinks(opts); err != nil {
		return nil, err
	}
	protection, err := protect(opts)
	if err != nil {
		return nil, err
	}
	p := &pages{
		dispatcher:   d,
		organization: opts.Organization,
		actor:        opts.Actor,
		logger:       cmp.Or(opts.Logger, d.Logger()),
		brand:        brand{cmp.Or(opts.Title, "Webhooks"), opts.Product, opts.HomeURL, opts.LogoURL, opts.Stylesheet},
		prefix:       "/" + strings.Trim(opts.Prefix, "/"),
		policy:       contentPolicy(opts),
		protection:   protection,
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
	p.routes = p.table()
	return p, nil
}

// page handles a visit: it shows a page, or does what a form asks for.
type page func(*visit) error

// pageRoute is a method and a path that the pages serve.
type pageRoute struct {
	method, pattern string
	show            page
}

// table lists the routes by their path below the mount. An [http.ServeMux] would
// redirect to paths without the prefix that the host stripped.
func (p *pages) table() []pageRoute {
	return []pageRoute{
		{http.MethodGet, "/", (*visit).listEndpoints},
		{http.MethodGet, "/new", (*visit).newEndpoint},
		{http.MethodPost, "/new", (*visit).createEndpoint},
		{http.MethodGet, "/history", (*visit).listHistory},
		{http.MethodGet, "/deliveries/{id}", (*visit).showDelivery},
		{http.MethodPost, "/deliveries/{id}/redeliver", (*visit).redeliver},
		{http.MethodGet, "/{id}", (*visit).showEndpoint},
		{http.MethodGet, "/{id}/edit", (*visit).editEndpoint},
		{http.MethodPost, "/{id}/edit", (*visit).updateEndpoint},
		{http.MethodPost, "/{id}/enable", (*visit).enableEndpoint},
		{http.MethodPost, "/{id}/disable", (*visit).disableEndpoint},
		{http.MethodPost, "/{id}/test", (*visit).sendTest},
		{http.MethodGet, "/{id}/rotate", (*visit).newSecret},
		{http.MethodPost, "/{id}/rotate", (*visit).rotateSecret},
		{http.MethodPost, "/{id}/recover", (*visit).recoverFailed},
		{http.MethodPost, "/{id}/recover/stop", (*visit).stopRecovery},
		{http.MethodGet, "/{id}/delete", (*visit).confirmDelete},
		{http.MethodPost, "/{id}/delete", (*visit).deleteEndpoint},
	}
}

// visit is one request for a page.
type visit struct {
	*pages
	w            http.ResponseWriter
	r            *http.Request
	base         string // path of the mount, without a slash at the end
	path         string // path of the page below the mount, without a slash at either end
	organization string
}

// ServeHTTP implements [http.Handler].
func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	base, path := p.locate(r)
	p.secure(w.Header())
	if name, ok := strings.CutPrefix(path, "static/"); ok {
		p.assets.serve(w, r, name)
		return
	}
	v := &visit{pages: p, w: w, r: r, base: base, path: path}
	if err := v.serve(); err != nil {
		v.fail(err)
	}
}

func (v *visit) serve() (err error) {
	if err := v.protection.Check(v.r); err != nil {
		return errCrossSite
	}
	if v.organization, err = v.pages.organization(v.r); err != nil || v.organization == "" {
		v.organization = ""
		return errNotSignedIn
	}
	show, err := v.find()
	if err != nil {
		return err
	}
	v.r = acting(v.r, v.actor)
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxBody)
	return show(v)
}

// find returns the page at the path and sets the path's id as PathValue("id").
func (v *visit) find() (page, error) {
	var allowed []string
	for _, rt := range v.routes {
		id, ok := matchPath(rt.pattern, v.path)
		if ok && rt.method == methodOf(v.r) {
			v.r.SetPathValue("id", id)
			return rt.show, nil
		}
		if ok {
			allowed = append(allowed, rt.method)
		}
	}
	if allowed == nil {
		return nil, errNoPage
	}
	v.w.Header().Set("Allow", strings.Join(allowed, ", "))
	return nil, errMethod
}

// endpoint returns the endpoint whose id is in the path, if the organization owns it.
func (v *visit) endpoint() (alotwebhook.Endpoint, error) {
	return endpointOf(v.r.Context(), v.dispatcher, v.organization, v.r.PathValue("id"))
}

// delivery returns the delivery whose id is in the path, if the organization owns it.
func (v *visit) delivery() (alotwebhook.Delivery, error) {
	return deliveryOf(v.r.Context(), v.dispatcher, v.organization, v.r.PathValue("id"))
}
