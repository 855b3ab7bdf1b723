package settings

import (
	"errors"
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
