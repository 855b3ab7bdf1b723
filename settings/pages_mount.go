package settings

import (
	"net/http"
	"net/url"
	"strings"
)

// locate returns the path at which the pages are mounted, as a browser sees it,
// such as "/settings/webhooks", without a slash at the end, and the escaped segments of
// the path of the page below it, such as "history".
//
// Every link and redirect begins with the base. A link relative to the page would
// depend on a slash at the end of its address, and a redirect relative to the
// request's path would lack the prefix that the host stripped.
func (p *pages) locate(r *http.Request) (base string, below []string) {
	seen := segments(r.URL.EscapedPath())
	if p.prefix != "" {
		n := len(segments(p.prefix))
		if hasPrefix(seen, segments(p.prefix)) {
			return rooted(p.prefix), seen[n:]
		}
		return rooted(p.prefix), seen[patternLength(r.Pattern, nil, seen):]
	}
	stripped := strippedFrom(r, seen)
	n := patternLength(r.Pattern, stripped, seen)
	return rooted(strings.Join(append(stripped, seen[:n]...), "/")), seen[n:]
}

// patternLength returns how many segments of the seen path belong to the mount.
// The pattern of the router that found the handler tells them: it is
// "/settings/webhooks/" in an [http.ServeMux], "/settings/webhooks/*" in chi. The
// length is 0 if those segments were stripped already.
func patternLength(pattern string, stripped, seen []string) int {
	_, pattern, ok := strings.Cut(pattern, "/") // a method and a host can stand before the path
	if !ok {
		return 0
	}
	want := segments(pattern)
	for i, segment := range want {
		if segment == "*" || segment == "{$}" || strings.HasSuffix(segment, "...}") {
			want = want[:i]
			break
		}
	}
	if len(want) == 0 || endMatches(stripped, want) || len(want) > len(seen) || !endMatches(seen[:len(want)], want) {
		return 0
	}
	return len(want)
}

// endMatches reports whether the end of the path matches the segments of a pattern.
// A segment with a brace is a wildcard.
func endMatches(path, want []string) bool {
	if len(path) < len(want) {
		return false
	}
	for i, segment := range path[len(path)-len(want):] {
		if !strings.Contains(want[i], "{") && want[i] != segment && want[i] != unescape([]string{segment}) {
			return false
		}
	}
	return true
}

// unescape joins segments to the path of a page. A path that is not well escaped
// becomes "%", at which there is no page.
func unescape(segments []string) string {
	path, err := url.PathUnescape(strings.Join(segments, "/"))
	if err != nil {
		return "%"
	}
	return path
}
