package settings

import (
	"net/http"
	"net/url"
	"strings"
)

// The paths that a browser or a client sees begin with what the host's router
// stripped. The API needs that part for its Location headers, the pages for their
// links.

// strippedFrom returns the segments that were removed from the beginning of the
// path that the client asked for, as [http.StripPrefix] does. seen are the
// segments that are left of it.
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

// segments splits a path at its slashes and ignores slashes at both ends.
func segments(path string) []string {
	if path = strings.Trim(path, "/"); path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

func hasPrefix(path, prefix []string) bool {
	return len(path) >= len(prefix) && strings.Join(path[:len(prefix)], "/") == strings.Join(prefix, "/")
}

// rooted returns the path with exactly one slash before it and none behind it, and
// "" for an empty path. A link that began with two slashes would lead to another
// host.
func rooted(path string) string {
	if path = strings.Trim(path, "/"); path == "" {
		return ""
	}
	return "/" + path
}
