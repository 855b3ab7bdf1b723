package settings

import (
	"errors"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
)

// missedEvent is the event that the filters name, where the list has no delivery of it.
type missedEvent struct {
	Type    string    // "" if nothing is known of the event
	At      time.Time // when it happened; if nothing is known of it, by its id
	Sent    bool      // it has deliveries, and the other filters leave them out
	Address string    // of the list of those
}

// Future reports whether no event can have happened yet that has this time.
func (m missedEvent) Future() bool { return time.Until(m.At) > time.Minute }

// missed returns what is known of the event that the filters name. Call it if the list is empty.
func (v *visit) missed(f alotwebhook.Filter) (*missedEvent, error) {
	known, err := v.who.event(v.r.Context(), v.dispatcher, f.EventID)
	switch {
	case errors.Is(err, alotwebhook.ErrNotFound):
		return &missedEvent{At: idTime(f.EventID)}, nil
	case err != nil:
		return nil, err
	}
	return &missedEvent{known.Type, known.Timestamp, len(known.Deliveries) > 0, v.base + "/" + v.path + "?event=" + f.EventID}, nil
}

// otherIDs are what ids are of that somebody may take for that of an event.
var otherIDs = map[string]string{
	deliveryPrefix: "a delivery", endpointPrefix: "an endpoint", operationPrefix: "an operation", recoveryPrefix: "a recovery",
}

// pastedEvent reads the id of an event as people paste it: with blanks or quotes around it, or in
// capitals.
func (q *query) pastedEvent(name string) string {
	id := strings.ToLower(strings.Trim(q.values.Get(name), " \t\r\n\"'`“”‘’„,;"))
	if id == "" || isID(eventPrefix, id) {
		return id
	}
	for prefix, of := range otherIDs {
		if isID(prefix, id) {
			q.refuse(name, "is the id of "+of+"; the id of an event begins with evt_")
			return id
		}
	}
	q.refuse(name, "must be an id such as evt_01jcc7…: evt_ and 26 letters and digits")
	return q.values.Get(name)
}
