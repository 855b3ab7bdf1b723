package settings

import "net/http"

// Routes returns the method and the pattern of each route of the API.
func Routes(h http.Handler) (list [][2]string) {
	for _, rt := range h.(*api).routes {
		list = append(list, [2]string{rt.method, rt.pattern})
	}
	return list
}
