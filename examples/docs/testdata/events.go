package fragment

import (
	"context"
	"encoding/json"

	"github.com/alot/alotwebhook"
)

// CandidateWithdrew is the data of a type of the host's own.
type CandidateWithdrew struct {
	SessionID, Reason string
}

var (
	store    alotwebhook.Store
	receiver *alotwebhook.Receiver
)

func fragment() {
	// the fragment
}
