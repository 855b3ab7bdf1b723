package settings

import (
	"net/http"
	"strings"
)

// methodOf takes HEAD for GET: net/http leaves out the body.
func methodOf(r *http.Request) string {
	if r.Method == http.MethodHead {
		return http.MethodGet
	}
	return r.Method
}

// matchPath reports whether the path fits, and what stands for {id} in it. Only
// a well-formed id does: that keeps {id} and new, or {id} and deliveries, apart.
func matchPath(pattern, path string) (id string, ok bool) {
	want, got := strings.Split(pattern[1:], "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return "", false
	}
	for i, segment := range want {
		switch ours := isID(endpointPrefix, got[i]) || isID(deliveryPrefix, got[i]); {
		case segment == "{id}" && ours:
			id = got[i]
		case segment == "{id}", segment != got[i]:
			return "", false
		}
	}
	return id, true
}
