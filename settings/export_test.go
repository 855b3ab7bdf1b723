package settings

import "net/http"

// Routes returns the method and the pattern of each route of the API.
func Routes(h http.Handler) (list [][2]string) {
	for _, rt := range h.(*api).routes {
		list = append(list, [2]string{rt.method, rt.pattern})
	}
	return list
}

// PageRoutes returns the method and the pattern of each route of the pages.
func PageRoutes(h http.Handler) (list [][2]string) {
	for _, rt := range h.(*pages).routes {
		list = append(list, [2]string{rt.method, rt.pattern})
	}
	return list
}

// MeetsNoNeeds reports whether somebody who may do everything may use a route that says
// nothing of what it takes.
func MeetsNoNeeds() bool { return route{}.needs.met(rightsOf(nil, nil)) }
