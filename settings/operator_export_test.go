package settings

import "net/http"

// OperatorRoutes returns the method and the pattern of each of the operators' own pages.
func OperatorRoutes(h http.Handler) (list [][2]string) {
	for _, rt := range h.(*operatorPages).routes {
		list = append(list, [2]string{rt.method, rt.pattern})
	}
	return list
}
