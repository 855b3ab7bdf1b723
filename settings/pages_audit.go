package settings

import (
	"strings"
	"time"

	"github.com/alot/alotwebhook"
)

// recentOperations is how many operations the page of an endpoint shows.
const recentOperations = 10

// operations returns the newest operations of an endpoint.
func (v *visit) operations(endpointID string) ([]alotwebhook.Operation, error) {
	page, _, err := v.who.operations(v.r.Context(), v.dispatcher, alotwebhook.OperationFilter{EndpointID: endpointID, Limit: recentOperations})
	return page, err
}

// operationWords are the words for the types of operations.
var operationWords = map[alotwebhook.OperationType]string{
	alotwebhook.OpEndpointCreated:   "Added",
	alotwebhook.OpEndpointChanged:   "Changed",
	alotwebhook.OpEndpointRotated:   "Secret rotated",
	alotwebhook.OpEndpointDeleted:   "Deleted",
	alotwebhook.OpEndpointFailing:   "Failing",
	alotwebhook.OpEndpointDisabled:  "Disabled",
	alotwebhook.OpEndpointEnabled:   "Enabled",
	alotwebhook.OpEndpointRecovered: "Succeeds again",
	alotwebhook.OpDeliveryExhausted: "Delivery failed",
	alotwebhook.OpRecoveryBegun:     "Recovery started",
	alotwebhook.OpRecoveryEnded:     "Recovery ended",
	alotwebhook.OpPaused:            "Paused",
	alotwebhook.OpResumed:           "Resumed",
}

// happened says what an operation tells, but for the time that [sinceOf] returns.
func happened(o alotwebhook.Operation) string {
	if sinceOf(o) != nil {
		return deed(o.Type) + " since"
	}
	return strings.TrimSuffix(deed(o.Type)+": "+o.Note, ": ")
}

// sinceOf returns the time that the note of an operation is, as that of a failing endpoint, or
// nil: pages show it as they show other times.
func sinceOf(o alotwebhook.Operation) *time.Time {
	t, err := time.Parse(time.RFC3339, strings.TrimPrefix(o.Note, "since "))
	if err != nil || o.Type != alotwebhook.OpEndpointFailing {
		return nil
	}
	return &t
}

// deed returns the word for a type of operations.
func deed(t alotwebhook.OperationType) string {
	if word, ok := operationWords[t]; ok {
		return word
	}
	return string(t) // of a newer release
}
