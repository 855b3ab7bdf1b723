package settings

import (
	"slices"
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

// disabledReasons are those that have words. One of a newer release is shown as it is.
var disabledReasons = []alotwebhook.DisabledReason{
	alotwebhook.DisabledByUser, alotwebhook.DisabledFailing, alotwebhook.DisabledGone, alotwebhook.DisabledUnproven,
}

// story is what an operation tells. Pages show the time in it, if there is one, as they show other
// times.
type story struct {
	Words string
	At    *time.Time
	Rest  string // behind the time
}

// happened returns what an operation tells.
func happened(o alotwebhook.Operation) story {
	tells := story{Words: strings.TrimSuffix(deed(o.Type)+": "+o.Note, ": ")}
	switch o.Type {
	case alotwebhook.OpEndpointFailing:
		if at, err := time.Parse(time.RFC3339, strings.TrimPrefix(o.Note, "since ")); err == nil {
			return story{Words: deed(o.Type) + " since", At: &at}
		}
	case alotwebhook.OpEndpointDisabled:
		if reason := alotwebhook.DisabledReason(o.Note); slices.Contains(disabledReasons, reason) {
			return story{Words: standingOf(alotwebhook.Endpoint{Disabled: true, DisabledReason: reason}).Word}
		}
	case alotwebhook.OpRecoveryBegun:
		state, of, _ := strings.Cut(o.Note, ": events until ")
		end := strings.IndexAny(of+";", ",;") // of the time, before what else selects the events, or why
		at, err := time.Parse(time.RFC3339, of[:end])
		is := standings[alotwebhook.RecoveryState(state)]
		words := deed(o.Type) + ": " + strings.ToLower(is.word)
		switch {
		case err != nil || is.word == "":
		case is.purpose == removes: // which has no end in time
			return story{Words: words + of[end:]}
		default:
			return story{words + ", events until", &at, of[end:]}
		}
	}
	return tells
}

// deed returns the word for a type of operations.
func deed(t alotwebhook.OperationType) string {
	if word, ok := operationWords[t]; ok {
		return word
	}
	return string(t) // of a newer release
}
