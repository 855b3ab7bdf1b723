package settings

import (
	"compress/gzip"
	"net/http"
	"net/url"
	"strings"

	"github.com/alot/alotwebhook"
)

// contentPolicy returns the Content-Security-Policy of the pages. It allows their own
// files, and the logo and the style sheet that the options name.
func contentPolicy(opts *Options) string {
	return strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self'" + sourceOf(opts.Stylesheet),
		"img-src 'self'" + sourceOf(opts.LogoURL),
		"connect-src 'self'",
		"form-action 'self'",
		"frame-ancestors 'none'",
		"base-uri 'none'",
	}, "; ")
}

// sourceOf returns a URL as a source of the policy, with a blank before it, or "" if it
// is on the host of the pages. A source has no query.
func sourceOf(link string) string {
	u, err := url.Parse(link)
	if err != nil || u.Host == "" {
		return ""
	}
	path := strings.NewReplacer(";", "%3B", ",", "%2C").Replace(u.EscapedPath()) // both characters would end the source
	return " " + u.Scheme + "://" + u.Host + path
}

// checkLinks refuses options that are not the URLs and the path that they should be.
func checkLinks(opts *Options) error {
	for _, link := range []struct{ field, value string }{
		{"HomeURL", opts.HomeURL}, {"LogoURL", opts.LogoURL}, {"LoginURL", opts.LoginURL}, {"Stylesheet", opts.Stylesheet},
	} {
		if link.value == "" {
			continue
		}
		u, err := url.Parse(link.value)
		absolute := err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
		local := err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(u.Path, "/")
		if !absolute && !local {
			return &alotwebhook.FieldError{Field: link.field, Problem: "is neither an http or https URL nor a path that begins with one slash"}
		}
	}
	if strings.ContainsAny(opts.Prefix, "?#\\ ") {
		return &alotwebhook.FieldError{Field: "Prefix", Problem: "has a blank or one of ? # \\; give a path such as /settings/webhooks"}
	}
	return nil
}

// secure sets the headers that every response of the pages has.
func (p *pages) secure(h http.Header) {
	h.Set("Content-Security-Policy", p.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Robots-Tag", "noindex")
}

// takesGzip reports whether the client accepts a response in gzip.
func takesGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if strings.TrimSpace(name) == "gzip" {
			return !strings.HasPrefix(strings.ReplaceAll(weight, " ", ""), "q=0") || strings.ContainsAny(weight, "123456789")
		}
	}
	return false
}

// writePage sends a page, compressed if the client accepts that and the page is not
// tiny. A page with a secret is never compressed, because its compressed size would
// tell something about the secret.
func writePage(w http.ResponseWriter, r *http.Request, status int, body []byte, secret bool) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Encoding, HX-Target")
	if secret || len(body) < 1<<10 || !takesGzip(r) {
		w.WriteHeader(status)
		_, _ = w.Write(body) // if that fails, the client has gone
		return
	}
	h.Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	z := gzip.NewWriter(w)
	_, _ = z.Write(body)
	_ = z.Close()
}
