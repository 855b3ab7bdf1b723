package settings

import (
	"compress/gzip"
	"net/http"
	"net/url"
	"strings"

	"github.com/alot/alotwebhook"
)

// contentPolicy lets the pages load what they consist of, and exactly those two
// files of the host's that its options name.
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

// sourceOf is a URL as a source of a policy, without its query, which policies
// do not have; "" if it is on the pages' own host.
func sourceOf(link string) string {
	u, err := url.Parse(link)
	if err != nil || u.Host == "" {
		return ""
	}
	path := strings.NewReplacer(";", "%3B", ",", "%2C").Replace(u.EscapedPath()) // both would end the source
	return " " + u.Scheme + "://" + u.Host + path
}

// checkLook refuses links that could not be meant, or would be no links.
func checkLook(opts *Options) error {
	for _, link := range []struct{ field, value string }{
		{"HomeURL", opts.HomeURL}, {"LogoURL", opts.LogoURL}, {"Stylesheet", opts.Stylesheet},
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
		return &alotwebhook.FieldError{Field: "Prefix", Problem: "is not a path such as /settings/webhooks"}
	}
	return nil
}

// secure sets the headers that every answer has.
func (p *pages) secure(h http.Header) {
	h.Set("Content-Security-Policy", p.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Robots-Tag", "noindex")
}

// takesGzip reports whether the client unpacks gzip.
func takesGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if strings.TrimSpace(name) == "gzip" {
			return !strings.HasPrefix(strings.ReplaceAll(weight, " ", ""), "q=0") || strings.ContainsAny(weight, "123456789")
		}
	}
	return false
}

// writePage sends a page, packed if the client takes it and it is worth it. A
// page with a secret is not: its size would tell about the secret.
func writePage(w http.ResponseWriter, r *http.Request, status int, body []byte, secret bool) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Encoding, HX-Target")
	if secret || len(body) < 1<<10 || !takesGzip(r) {
		w.WriteHeader(status)
		_, _ = w.Write(body) // nobody is left to tell
		return
	}
	h.Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	z := gzip.NewWriter(w)
	_, _ = z.Write(body)
	_ = z.Close()
}
