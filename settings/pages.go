package settings

import (
	"cmp"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"strings"

	"github.com/alot/alotwebhook"
)

// pages are the pages Settings → Webhooks.
type pages struct {
	dispatcher   *alotwebhook.Dispatcher
	organization func(*http.Request) (string, error)
	logger       *slog.Logger
	look         look
	prefix       string
	policy       string // Content-Security-Policy
	protection   *http.CrossOriginProtection
	templates    map[string]*template.Template
	assets       *assets
	routes       []pageRoute
}

// look is how the pages fit in with the host's own.
type look struct {
	Title, Product, HomeURL, LogoURL, Stylesheet string
}

// NewPages returns the pages Settings → Webhooks as a handler: the endpoints,
// each of them, the history of their deliveries, and each delivery. It works at
// its own path and under [http.StripPrefix], with or without a slash at the end.
//
// Every action is a plain form and works without script. Posts from other sites
// are refused, the pages cannot be framed, and they load nothing from elsewhere
// but [Options.LogoURL] and [Options.Stylesheet].
//
// The error is a [alotwebhook.FieldError] that names what of opts is wrong.
func NewPages(d *alotwebhook.Dispatcher, opts *Options) (http.Handler, error) {
	if err := checkHost(d, opts); err != nil {
		return nil, err
	}
	if err := checkLook(opts); err != nil {
		return nil, err
	}
	p := &pages{
		dispatcher:   d,
		organization: opts.Organization,
		logger:       cmp.Or(opts.Logger, slog.Default()),
		look:         look{cmp.Or(opts.Title, "Webhooks"), opts.Product, opts.HomeURL, opts.LogoURL, opts.Stylesheet},
		prefix:       "/" + strings.Trim(opts.Prefix, "/"),
		policy:       contentPolicy(opts),
		protection:   http.NewCrossOriginProtection(),
	}
	if opts.Prefix == "" {
		p.prefix = ""
	}
	var err error
	if p.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if p.templates, err = loadTemplates(); err != nil {
		return nil, err
	}
	p.routes = p.table()
	return p, nil
}

// page answers one visit.
type page func(*visit) error

type pageRoute struct {
	method, pattern string
	show            page
}

// table lists the pages by their path below the mount. An [http.ServeMux] would
// redirect to paths without the prefix that was stripped.
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
	path         string // path of the page below it, without slashes around
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
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxBody)
	return show(v)
}

// find returns the page at the path and sets the id in it.
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

// endpoint returns the one of the path, if it is the organization's.
func (v *visit) endpoint() (alotwebhook.Endpoint, error) {
	return endpointOf(v.r.Context(), v.dispatcher, v.organization, v.r.PathValue("id"))
}

// delivery returns the one of the path, if it is the organization's.
func (v *visit) delivery() (alotwebhook.Delivery, error) {
	return deliveryOf(v.r.Context(), v.dispatcher, v.organization, v.r.PathValue("id"))
}

// refusal is an error as the visitor reads it.
type refusal struct {
	Status        int
	Title, Detail string
}

func (e *refusal) Error() string { return e.Title + ": " + e.Detail }

var (
	errNotSignedIn = &refusal{http.StatusUnauthorized, "You are not signed in", "Sign in again, then come back to this page."}
	errNoPage      = &refusal{http.StatusNotFound, "There is nothing here", "It may have been deleted, or its time in the history is over."}
	errMethod      = &refusal{http.StatusMethodNotAllowed, "That cannot be done here", "Go back to the endpoints and try from there."}
	errCrossSite   = &refusal{http.StatusForbidden, "This did not come from these pages", "The form was sent by another site, so nothing was done."}
	errStale       = &refusal{http.StatusConflict, "It was changed meanwhile", "Somebody changed this endpoint after you opened the form, so nothing was done. Look at it again."}
	errAddress     = badRequest("Its address has a part that is not understood.")
	errFormLarge   = &refusal{http.StatusRequestEntityTooLarge, "That is too much", "The form is larger than 64 KiB, so nothing was done."}
	errFailed      = &refusal{http.StatusInternalServerError, "Something failed on our side", "Try again in a moment. Nothing that you had saved is lost."}
)

func badRequest(detail string) *refusal {
	return &refusal{http.StatusBadRequest, "This request makes no sense", detail}
}

// fail shows an error's page, and logs what only the host should know.
func (v *visit) fail(err error) {
	var r *refusal
	switch {
	case errors.As(err, &r):
	case errors.Is(err, alotwebhook.ErrNotFound):
		r = errNoPage
	case errors.Is(err, alotwebhook.ErrConflict), errors.Is(err, alotwebhook.ErrKeyReused):
		r = errStale
	default:
		if v.r.Context().Err() == nil { // otherwise the visitor left
			v.logger.ErrorContext(v.r.Context(), "alotwebhook: settings page failed",
				"method", v.r.Method, "path", v.r.URL.Path, "organization", v.organization, "error", err)
		}
		r = errFailed
	}
	if err := v.show(r.Status, "error", view{Heading: r.Title, Data: r}); err != nil {
		v.logger.ErrorContext(v.r.Context(), "alotwebhook: settings page failed", "path", v.r.URL.Path, "error", err)
		http.Error(v.w, r.Title, http.StatusInternalServerError)
	}
}
