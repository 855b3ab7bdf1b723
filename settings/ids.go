package settings

import (
	"strings"
	"time"

	"github.com/alot/alotwebhook/internal/typeid"
)

// The prefixes of the ids that requests name.
const (
	endpointPrefix  = "wh_"
	deliveryPrefix  = "dlv_"
	eventPrefix     = "evt_"
	operationPrefix = "op_"
	recoveryPrefix  = "rec_"
)

// isID reports whether id is well formed and has the prefix. Only well-formed
// ids are looked up in the store.
func isID(prefix, id string) bool {
	_, err := typeid.Parse(strings.TrimSuffix(prefix, "_"), id)
	return err == nil
}

// idTime returns the time in a well-formed id, to the millisecond. It is the time
// of the event, in the id of a delivery too. Lists are ordered by it.
func idTime(id string) time.Time {
	prefix, _, _ := strings.Cut(id, "_")
	at, _ := typeid.Time(prefix, id)
	return at
}
