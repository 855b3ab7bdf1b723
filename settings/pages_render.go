package settings

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/alot/alotwebhook"
)

//go:embed templates/*.html
var templateFiles embed.FS

// pageNames are the names of the templates that are pages. Each of them contains
// layout.html and parts.html.
var pageNames = []string{
	"endpoints", "form", "endpoint", "rotate", "secret", "delete", "history", "delivery", "types", "error",
	"operator_overview", "operator_search", "operator_endpoints", "operator_operations", "operator_pause",
	"operator_many", "operator_erase", "operator_remove", "operator_recoveries", "operator_recovery",
}

// loadTemplates returns the templates, which all handlers of a process share.
var loadTemplates = sync.OnceValues(parseTemplates)

func parseTemplates() (map[string]*template.Template, error) {
	common, err := template.New("").Funcs(templateFuncs).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html", "templates/operator_parts.html")
	if err != nil {
		return nil, fmt.Errorf("alotwebhook: settings: %w", err)
	}
	pages := make(map[string]*template.Template, len(pageNames))
	for _, name := range pageNames {
		one, err := common.Clone()
		if err == nil {
			one, err = one.ParseFS(templateFiles, "templates/"+name+".html")
		}
		if err != nil {
			return nil, fmt.Errorf("alotwebhook: settings: %w", err)
		}
		pages[name] = one
	}
	return pages, nil
}

// view is what a template gets. A page gives the fields of the first group, and show
// sets the others.
type view struct {
	Heading string // of the window's title
	Section string // the entry of the navigation that the page belongs to
	Secret  bool   // the page shows a secret, so it is not compressed
	Data    any    // what the template of the page shows

	Base, Self string // the path of the mount; the path of this page with its query
	Static     string // the path below which the files are
	Nav        []navEntry
	Home       string  // the first page, with its article
	Login      string  // where to sign in and come back from; "" if the host does not say
	Banner     *banner // nil for none
	Seek       string  // the address of the search over everything; "" for none
	Brand      brand
	Files      map[string]string // the names of the files to load, by their plain names
	Flash      *flash
	Alone      bool // the page has no navigation, because the visitor may not see any other

	routes []pageRoute
	may    rights
}

// May reports whether the visitor may use the routes that have the pattern. Every link and
// every form that not everybody may use stands behind it, so that what a page offers is what
// the routes accept. The error is that there is no such route.
func (v view) May(pattern string) (bool, error) {
	known := false
	for _, rt := range v.routes {
		if rt.pattern != pattern {
			continue
		}
		if known = true; !rt.needs.met(v.may) {
			return false, nil
		}
	}
	if !known {
		return false, fmt.Errorf("there is no route %q", pattern)
	}
	return true, nil
}

// MayStop reports whether the visitor may stop a recovery, by a route that he may use.
func (v view) MayStop(r alotwebhook.Recovery) bool { return actionOf(r).needs.met(v.may) }

// At reports whether this page is the one at the path below the mount.
func (v view) At(path string) bool {
	self, _, _ := strings.Cut(v.Self, "?")
	return self == v.Base+path
}

// show renders a page. When the script of the page asks for its live part, show
// renders that part alone. What it fails to read for the banner ends no answer to a form: a
// change that was made is not answered with an error, which would lose a secret that is shown once.
func (v *visit) show(status int, name string, data view) error {
	data.Base, data.Self, data.Static = v.base, v.self(), v.home+"/static/"
	data.Nav, data.Home = v.manner.nav, v.manner.home
	data.Brand, data.Files, data.Login = v.brand, v.assets.named, v.login()
	data.Flash = cmp.Or(data.Flash, flashes[v.r.URL.Query().Get(flashName)])
	data.routes, data.may = v.routes, v.who.may
	data.Alone = !v.who.may[ActionLook]
	part := "layout"
	if v.isLive() && v.templates[name].Lookup("live") != nil {
		part = "live"
	} else if v.banner != nil && v.who.may[ActionLook] {
		var err error
		data.Banner, err = v.banner(v)
		switch {
		case err != nil && methodOf(v.r) == http.MethodGet && name != "error":
			return err
		case err != nil:
			v.logFailure(err)
		}
	}
	if v.manner.seek {
		data.Seek = v.home + "/search"
	}
	var body bytes.Buffer
	if err := v.templates[name].ExecuteTemplate(&body, part, data); err != nil {
		return fmt.Errorf("alotwebhook: settings: %w", err)
	}
	writePage(v.w, v.r, status, body.Bytes(), data.Secret)
	return nil
}

// isLive reports whether the script of the page asks for its live part alone.
func (v *visit) isLive() bool { return v.r.Header.Get("HX-Target") == "div#live" }

// self returns the address of the page, without the parameter that says what was just
// done.
func (v *visit) self() string {
	query := v.r.URL.Query()
	query.Del(flashName)
	if encoded := query.Encode(); encoded != "" {
		return v.base + "/" + v.path + "?" + encoded
	}
	return v.base + "/" + v.path
}

// login returns the address at which the visitor signs in, and comes back to this page.
func (v *visit) login() string {
	back := v.self()
	if methodOf(v.r) != http.MethodGet {
		back = v.base + "/"
	}
	return strings.ReplaceAll(v.brand.LoginURL, returnMark, url.QueryEscape(back))
}

// redirect sends the browser from a posted form to a page. done is the word that
// selects the flash of that page, "" for none.
func (v *visit) redirect(path, done string) error {
	target := v.base + "/" + path
	if done != "" {
		target += "?" + flashName + "=" + done
	}
	return v.lead(target)
}

// lead sends the browser to an address.
func (v *visit) lead(target string) error {
	// http.Redirect would write a body that repeats the address.
	v.w.Header().Set("Location", target)
	v.w.Header().Set("Cache-Control", "no-store")
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// flashName is the parameter that says what was just done. Its value is a word of a
// fixed list, so that nobody can make a link to a page with a text of their own.
const flashName = "done"

// flash is what a page says about what was just done.
type flash struct {
	Text    string
	Warning bool
}

var flashes = map[string]*flash{
	"created":     {Text: "Endpoint added. Send it a test event to check that it works."},
	"again":       {Text: "Endpoint added. Another endpoint has the same URL, so your service gets each event once for every one of them.", Warning: true},
	"existing":    {Text: "This endpoint was already added. Its secret was shown then, and is not shown again.", Warning: true},
	"updated":     {Text: "Changes saved."},
	"enabled":     {Text: "Endpoint enabled. Its parked deliveries are being sent."},
	"proven":      {Text: "URL proven: your service knows the signing secret. The endpoint is enabled."},
	"discarded":   {Text: "Endpoint enabled. What was parked has been discarded; the history shows it as failed."},
	"discarding":  {Text: "Parked deliveries are being discarded in the background. The endpoint is enabled at the end; you can leave this page."},
	"disabled":    {Text: "Endpoint disabled. Its deliveries are parked until you enable it."},
	"rotated":     {Text: "The new secret is saved."},
	"tested":      {Text: "Test event sent. This page shows how its delivery goes."},
	"redelivered": {Text: "The delivery is being sent again."},
	"unavailable": {Text: "The delivery was not sent again: an attempt is under way, its endpoint is disabled or deleted, or its payload was erased.", Warning: true},
	"sending":     {Text: "What the endpoint missed is being sent in the background; you can leave this page."},
	"recovering":  {Text: "Recovery started. It runs in the background; you can leave this page."},
	"busy":        {Text: "A recovery of this endpoint is already running.", Warning: true},
	"stopped":     {Text: "Recovery stopped. Deliveries that were already sent again are not affected."},
	"paused":      {Text: "Paused. Processes claim no more of it within two seconds; what they have claimed is still sent."},
	"resumed":     {Text: "Resumed. What another pause covers stays paused."},
	"begun":       {Text: "It has begun, and goes on in the background. You can leave this page."},
	"counted":     {Text: "A recovery of this endpoint was begun after the count, and this is it: no second one was begun. If it is not the one that you meant, count again.", Warning: true},
	"ended":       {Text: "Stopped. What was done before stays done."},
	"deleted":     {Text: "Endpoint deleted. Its deliveries stay in the history."},
}
