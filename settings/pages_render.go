package settings

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
)

//go:embed templates/*.html
var templateFiles embed.FS

// pageNames are the templates that are pages; layout.html and parts.html are in each.
var pageNames = []string{"endpoints", "form", "endpoint", "rotate", "secret", "delete", "history", "delivery", "error"}

func loadTemplates() (map[string]*template.Template, error) {
	common, err := template.New("").Funcs(templateFuncs).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
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

// view is what a template gets.
type view struct {
	Heading string // first in the window's title
	Section string // the entry of the navigation that the page belongs to
	Secret  bool   // the page shows a secret: it is not packed
	Data    any    // the page's own

	Base, Self string // paths of the mount and of this page, with its query
	Look       look
	Files      map[string]string // the files to load, by their plain names
	Flash      *flash
	Alone      bool // without navigation: the visitor is nobody
}

// show renders a page. A request of the page's own script for the live part of
// it gets that part alone.
func (v *visit) show(status int, name string, data view) error {
	data.Base, data.Self = v.base, v.self()
	data.Look, data.Files = v.look, v.assets.named
	data.Flash = flashes[v.r.URL.Query().Get(flashName)]
	data.Alone = v.organization == ""
	part := "layout"
	if v.r.Header.Get("HX-Target") == "div#live" && v.templates[name].Lookup("live") != nil {
		part = "live"
	}
	var body bytes.Buffer
	if err := v.templates[name].ExecuteTemplate(&body, part, data); err != nil {
		return fmt.Errorf("alotwebhook: settings: %w", err)
	}
	writePage(v.w, v.r, status, body.Bytes(), data.Secret)
	return nil
}

// self is the page's own address, without the word of what was done before.
func (v *visit) self() string {
	query := v.r.URL.Query()
	query.Del(flashName)
	if encoded := query.Encode(); encoded != "" {
		return v.base + "/" + v.path + "?" + encoded
	}
	return v.base + "/" + v.path
}

// redirect sends the browser to a page after a post, with a word of what was done.
func (v *visit) redirect(path, done string) error {
	target := v.base + "/" + path
	if done != "" {
		target += "?" + flashName + "=" + done
	}
	// Not by http.Redirect, whose body repeats the address.
	v.w.Header().Set("Location", target)
	v.w.Header().Set("Cache-Control", "no-store")
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// flashName is the parameter that says what was just done. It is one of a fixed
// list of words: whoever makes a link chooses among them, and writes none.
const flashName = "done"

// flash is a sentence about what was just done.
type flash struct {
	Text    string
	Warning bool
}

var flashes = map[string]*flash{
	"created":     {Text: "Endpoint registered. Send it a test event to see that it works."},
	"existing":    {Text: "This endpoint was registered already. Its secret was shown then, and is not shown again.", Warning: true},
	"updated":     {Text: "Changes saved."},
	"enabled":     {Text: "Endpoint enabled. What was parked is on its way."},
	"disabled":    {Text: "Endpoint disabled. Its deliveries are parked until you enable it."},
	"rotated":     {Text: "The new secret is stored."},
	"tested":      {Text: "Test event sent. This page shows what becomes of it."},
	"redelivered": {Text: "The delivery is being sent again."},
	"unavailable": {Text: "It could not be sent again just now: it is under way already, or its endpoint or payload is gone.", Warning: true},
	"recovering":  {Text: "Recovery started. It goes on in the background; you may leave this page."},
	"busy":        {Text: "A recovery of this endpoint is running already.", Warning: true},
	"stopped":     {Text: "Recovery stopped. What was sent again stays so."},
	"deleted":     {Text: "Endpoint deleted. Its history stays readable."},
}
