package settings

import (
	"net/http"
	"strings"

	"github.com/alot/alotwebhook"
)

// Routes returns the method and the pattern of each route of the API.
func Routes(h http.Handler) (list [][2]string) {
	for _, rt := range h.(*api).routes {
		list = append(list, [2]string{rt.method, rt.pattern})
	}
	return list
}

// OperatorAPIRoutes returns the same of the operators' API: those over all organizations, and those of
// one as operators find them.
func OperatorAPIRoutes(h http.Handler) (over, customers [][2]string) {
	for _, rt := range Routes(h.(*operatorAPI).customers) {
		customers = append(customers, [2]string{rt[0], organizationPattern + strings.TrimPrefix(rt[1], webhooksPath)})
	}
	return Routes(h.(*operatorAPI).over), customers
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

// Words returns what the pages call a reason, a type of operations and a state of recoveries; ""
// for what they have no words for.
func Words(reason alotwebhook.FailureReason, kind alotwebhook.OperationType, state alotwebhook.RecoveryState) (words [3]string) {
	words[0] = reasons[reason].Word
	if reason == alotwebhook.ReasonStatus {
		words[0] = reasonOf(reason, 0).Word
	}
	words[1], words[2] = operationWords[kind], recoveryWords[state]
	return words
}
