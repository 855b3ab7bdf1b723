package settings

import (
	"net/http"
	"slices"
	"strings"
)

// methodOf returns the method that a request is routed by. HEAD is routed as GET;
// net/http then leaves out the body of the response.
func methodOf(r *http.Request) string {
	if r.Method == http.MethodHead {
		return http.MethodGet
	}
	return r.Method
}

// allow returns the header Allow for methods that are routed: HEAD is wherever GET is.
func allow(methods []string) string {
	if slices.Contains(methods, http.MethodGet) {
		methods = append(methods, http.MethodHead)
	}
	return strings.Join(methods, ", ")
}

// pathPrefixes are the prefixes of the ids that stand in paths.
var pathPrefixes = []string{endpointPrefix, deliveryPrefix, eventPrefix, recoveryPrefix}

// matchPath reports whether the path matches the pattern, and returns the id at
// the place of {id}. Only a well-formed id matches {id}: so the pages "{id}" and
// "new" have no path in common, and neither have "{id}" and "deliveries".
func matchPath(pattern, path string) (id string, ok bool) {
	want, got := strings.Split(pattern[1:], "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return "", false
	}
	for i, segment := range want {
		ours := func(prefix string) bool { return isID(prefix, got[i]) }
		switch {
		case segment == "{id}" && slices.ContainsFunc(pathPrefixes, ours):
			id = got[i]
		case segment == "{id}", segment != got[i]:
			return "", false
		}
	}
	return id, true
}
