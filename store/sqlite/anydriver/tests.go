package anydriver

import (
	"strings"

	"github.com/alot/alotwebhook"
)

// The tests of an endpoint stand in a lane of their own, in the queue and in the history: their
// column endpoint holds the negative of its ref. So whoever goes by the refs of endpoints has no
// part of them, and nothing else pays for them.

// endpointOf returns the ref of the endpoint of a lane.
func endpointOf(lane int64) int64 { return max(lane, -lane) }

// isTests reports whether a lane is that of tests.
func isTests(lane int64) bool { return lane < 0 }

// inOrder reports whether the deliveries of a lane go out in the order of its endpoint.
func inOrder(lane int64, e *alotwebhook.Endpoint) bool { return e.Ordered && !isTests(lane) }

// laneOf returns the lane of an event to an endpoint.
func laneOf(ref int64, event *alotwebhook.Event) int64 {
	if event.Test {
		return -ref
	}
	return ref
}

// sends is a condition on an endpoint e and the lane ref of a row turn: that what is due there is sent.
const sends = "(e.active OR turn.ref < 0 AND e.deleted_at IS NULL)"

// markTest notes that an event is a test, if it has just been stored as one.
func (t *txn) markTest(eventID, endpointID string, lane int64) error {
	event, err := eventKey(eventID)
	if err != nil {
		return err
	}
	delivery, _ := parseKey(deliveryPrefix, alotwebhook.DeliveryID(eventID, endpointID))
	return t.exec(`UPDATE alotwebhook_events SET test = 1 WHERE id = ? AND test IS NULL
		AND EXISTS (SELECT 1 FROM alotwebhook_queue WHERE id = ? AND endpoint = ?)`, event[:], delivery[:], lane)
}

// lanes returns the lanes of the endpoints that meet the conditions, in which @ stands before a column:
// those of other events with a state that they have, and those of tests, of which none is parked.
func (l *lister) lanes(f alotwebhook.Filter, where string, args []any) (lanes []int64, err error) {
	if !f.OnlyTests || f.State != alotwebhook.StatePending {
		lanes, err = l.numbers("SELECT ref FROM alotwebhook_endpoints WHERE "+strings.ReplaceAll(where, "@", "")+activeIn(f.State), args...)
	}
	var tests []int64
	switch {
	case err != nil || f.NoTests || f.State == alotwebhook.StateParked:
	case f.State == alotwebhook.StatePending: // they are few, and of endpoints in any state
		tests, err = l.numbers("SELECT DISTINCT q.endpoint FROM alotwebhook_queue q CROSS JOIN alotwebhook_endpoints e ON e.ref = -q.endpoint WHERE q.endpoint < 0 AND "+
			strings.ReplaceAll(where, "@", "e."), args...)
	default:
		for _, ref := range lanes {
			tests = append(tests, -ref)
		}
	}
	if f.OnlyTests {
		lanes = nil
	}
	return append(lanes, tests...), err
}

// activeIn returns a condition on an endpoint: that its unfinished deliveries are in the state, if that
// depends on it.
func activeIn(state alotwebhook.DeliveryState) string {
	switch state {
	case alotwebhook.StateParked:
		return " AND active = 0"
	case alotwebhook.StatePending:
		return " AND active = 1"
	}
	return ""
}

// signOf returns how the lanes that f selects compare with 0; "" if all are selected.
func signOf(f alotwebhook.Filter) string {
	switch {
	case f.OnlyTests && f.NoTests:
		return "="
	case f.OnlyTests:
		return "<"
	case f.NoTests:
		return ">"
	}
	return ""
}
