package settings

import (
	"net/http"
	"net/url"
	"strings"
)

// locate says where the pages are mounted, as a browser sees it, and which of
// them is asked for: "/settings/webhooks" and "history". Neither ends in a slash.
//
// A link that is relative to the page would depend on the slash, and a redirect
// that is relative to the request's path would miss what was stripped. So the
// mount is found out, and all links begin with it.
func (p *pages) locate(r *http.Request) (base, path string) {
	seen := segments(r.URL.EscapedPath())
	if p.prefix != "" {
		n := len(segments(p.prefix))
		if hasPrefix(seen, segments(p.prefix)) {
			return rooted(p.prefix), unescape(seen[n:])
		}
		return rooted(p.prefix), unescape(seen[patternLength(r.Pattern, nil, seen):])
	}
	stripped := strippedFrom(r, seen)
	n := patternLength(r.Pattern, stripped, seen)
	return rooted(strings.Join(append(stripped, seen[:n]...), "/")), unescape(seen[n:])
}

// rooted makes one slash of however many, so that a link is never one to a host.
func rooted(path string) string {
	if path = strings.Trim(path, "/"); path == "" {
		return ""
	}
	return "/" + path
}

// strippedFrom returns what was taken off the beginning of the path that the
// client asked for, as [http.StripPrefix] does.
func strippedFrom(r *http.Request, seen []string) []string {
	asked, err := url.ParseRequestURI(r.RequestURI)
	if err != nil {
		return nil
	}
	whole := segments(asked.EscapedPath())
	n := len(whole) - len(seen)
	if n <= 0 || !hasPrefix(whole[n:], seen) {
		return nil
	}
	return whole[:n:n]
}

// patternLength is how many segments of the seen path belong to the mount,
// going by the pattern of the router that found it: "/settings/webhooks/" of an
// [http.ServeMux], "/settings/webhooks/*" of chi. None if StripPrefix took them
// off already.
func patternLength(pattern string, stripped, seen []string) int {
	_, pattern, ok := strings.Cut(pattern, "/") // method and host go before the path
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
	if len(want) == 0 || matches(stripped, want) || len(want) > len(seen) || !matches(seen[:len(want)], want) {
		return 0
	}
	return len(want)
}

// matches reports whether the end of the path fits the pattern's segments.
func matches(path, want []string) bool {
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

func hasPrefix(path, prefix []string) bool {
	return len(path) >= len(prefix) && strings.Join(path[:len(prefix)], "/") == strings.Join(prefix, "/")
}

// segments splits a path, without regard to slashes at its ends.
func segments(path string) []string {
	if path = strings.Trim(path, "/"); path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// unescape joins segments as a page's path. What is not well formed is no page.
func unescape(segments []string) string {
	path, err := url.PathUnescape(strings.Join(segments, "/"))
	if err != nil {
		return "%"
	}
	return path
}
