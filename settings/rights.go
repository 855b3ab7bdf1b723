package settings

import (
	"net/http"
	"slices"
	"strings"
)

// Action is a kind of thing that somebody does with the API or the pages. [Options.May]
// says which of them a request may do. Later versions may have more: allow those that you
// know by name, so that a new one is not open before you have decided about it.
type Action string

const (
	// ActionLook is to see endpoints, their figures, the history with every attempt, and how
	// far a recovery is. Every request takes it: without it, no other action is of any use.
	ActionLook Action = "look"

	// ActionPayloads is to see what was sent and received: the payload of a delivery, which
	// holds personal data, and the response bodies that the host keeps. Without it both are
	// left out, and the API and the pages say so.
	ActionPayloads Action = "payloads"

	// ActionChange is to edit, disable, enable and delete endpoints. Enabling sends or
	// discards what is parked. To add an endpoint takes [ActionSecrets] as well. Whoever may
	// change an endpoint can have its events sent to a server of his own, and so learn
	// payloads that he may not see here.
	ActionChange Action = "change"

	// ActionSend is to have something sent: test events, redeliveries and recoveries. It is
	// also to stop a recovery, and the discarding of what was parked, but not what [ActionCancel] is about.
	ActionSend Action = "send"

	// ActionSecrets is to see a generated secret, once, and to choose one: by rotating, and
	// by adding an endpoint. With a secret one can forge events of the endpoint. It is also to
	// give, replace and remove the headers and the client certificate of an endpoint, and so to
	// change the URL of one that has some: nobody can read those.
	ActionSecrets Action = "secrets"

	// ActionPause is to hold deliveries back and to resume them, of an endpoint, of an organization
	// or of all. It is for operators: [OperatorOptions.May] is asked about it, and [Options.May] is not.
	ActionPause Action = "pause"

	// ActionCancel is to cancel unfinished deliveries, of many endpoints at once. It is for
	// operators alone, as ActionPause is. To send many again takes [ActionSend].
	ActionCancel Action = "cancel"

	// ActionErase is to erase personal data for good, and to remove an organization with its
	// endpoints and its history. It is for operators alone, as ActionPause is.
	ActionErase Action = "erase"
)

// actions are those that customers' requests are about, in the order in which a problem names
// them. operatorActions are all.
var (
	actions         = []Action{ActionLook, ActionPayloads, ActionChange, ActionSend, ActionSecrets}
	operatorActions = append(slices.Clip(actions), ActionPause, ActionCancel, ActionErase)
)

// rights are the actions that a request may do. The zero value allows nothing.
type rights map[Action]bool

// rightsOf asks the host about every action of customers.
func rightsOf(r *http.Request, may func(*http.Request, Action) bool) rights {
	return askAbout(actions, r, may)
}

// askAbout asks the host about every one of the actions, before anything is done. A host's function
// that panics so ends the request while it has neither changed nor shown anything.
func askAbout(all []Action, r *http.Request, may func(*http.Request, Action) bool) rights {
	allowed := make(rights, len(all))
	for _, a := range all {
		allowed[a] = may == nil || may(r, a)
	}
	return allowed
}

// needs are the actions that a route takes, all of them. They stand in its table: a route
// that has none is open to nobody.
type needs []Action

// The needs of the routes. A response may always show what [ActionLook] is about, so every
// route takes that.
//
// An endpoint whose secret nobody has been shown gets events that nobody can verify. So
// whoever adds one has to be somebody who may see its secret.
var (
	toLook   = needs{ActionLook}
	toChange = needs{ActionLook, ActionChange}
	toSend   = needs{ActionLook, ActionSend}
	toRotate = needs{ActionLook, ActionSecrets}
	toAdd    = needs{ActionLook, ActionChange, ActionSecrets}
	toCredit = needs{ActionLook, ActionChange, ActionSecrets} // headers and certificate
	toPause  = needs{ActionLook, ActionPause}
	toCancel = needs{ActionLook, ActionCancel}
	toErase  = needs{ActionLook, ActionErase}
)

// met reports whether the rights are enough.
func (n needs) met(may rights) bool { return len(n) > 0 && len(n.missing(may)) == 0 }

// missing returns the needs that the rights do not meet.
func (n needs) missing(may rights) []Action {
	return slices.DeleteFunc(slices.Clone(n), func(a Action) bool { return may[a] })
}

// rightWords say what somebody who has the right may do.
var rightWords = map[Action]string{
	ActionLook:     "look at endpoints and deliveries",
	ActionPayloads: "see payloads",
	ActionChange:   "change endpoints",
	ActionSend:     "send tests and deliveries",
	ActionSecrets:  "see and choose secrets",
	ActionPause:    "pause and resume deliveries",
	ActionCancel:   "cancel deliveries",
	ActionErase:    "erase personal data and remove organizations",
}

// inWords returns what somebody who has the rights may do.
func inWords(missing []Action) string {
	words := make([]string, len(missing))
	for i, a := range missing {
		words[i] = rightWords[a]
	}
	return strings.Join(words, ", and to ")
}
