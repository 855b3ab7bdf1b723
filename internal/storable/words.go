package storable

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/alot/alotwebhook/internal/text"
)

// words has the closed lists by which a filter can select, by the name of the Go type. Any other
// word would select nothing, and say nothing. A test of the root holds them to its constants.
var words = map[string][]string{
	"DeliveryState": {"pending", "delivered", "failed", "parked", "unfinished"},
	"FailureReason": {
		"timeout", "connection_refused", "connection_reset", "tls", "dns", "blocked_address", "status", "redirect",
		"response_too_large", "protocol", "network", "no_route", "proxy_refused", "poison", "endpoint_deleted",
		"expired", "discarded", "canceled", "erased", "conversion", "unsendable",
	},
	"OperationType": {
		"endpoint.created", "endpoint.changed", "endpoint.rotated", "endpoint.deleted", "endpoint.failing",
		"endpoint.disabled", "endpoint.enabled", "endpoint.recovered", "delivery.exhausted", "recovery.begun",
		"recovery.ended", "deliveries.paused", "deliveries.resumed",
	},
	"RecoveryState": {
		"running", "done", "stopped", "discarding", "discarded", "canceling", "canceled", "sending", "sent",
		"erasing", "erased", "removing", "removed",
	},
}

// ReasonProblem says what is wrong with a reason by which deliveries are selected; "" if nothing is.
func ReasonProblem(reason string) string { return wordProblem(words["FailureReason"], reason) }

// typeProblem says what is wrong with a text whose type has a closed list; "" if nothing is.
func typeProblem(of reflect.Type, word string) string { return wordProblem(words[of.Name()], word) }

func wordProblem(list []string, word string) string {
	if list == nil || word == "" || slices.Contains(list, word) {
		return ""
	}
	return fmt.Sprintf("%q is none; take one of the constants: %s", text.Clip(word, quoted), strings.Join(list, ", "))
}
