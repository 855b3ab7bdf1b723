package memory

import (
	"container/list"

	"github.com/alot/alotwebhook"
)

func newEndpoint() *storedEndpoint { return &storedEndpoint{dueNow: list.New(), alarm: -1} }

// ofTests returns the endpoint with the queue of its tests. These are claimed one by one, whether
// the endpoint is disabled or not.
func (e *storedEndpoint) ofTests() *storedEndpoint {
	if e.tests == nil {
		e.tests = newEndpoint()
		e.tests.isTests, e.tests.Endpoint = true, e.Endpoint
	}
	return e.tests
}

// replace replaces what claims share of the endpoint.
func (e *storedEndpoint) replace(next *alotwebhook.Endpoint) {
	e.Endpoint = next
	if e.tests != nil {
		e.tests.Endpoint = next
	}
}

// parks reports whether the deliveries of e are parked.
func (e *storedEndpoint) parks() bool { return e.Disabled && !e.isTests }

// inOrder reports whether the deliveries of e go out in order.
func (e *storedEndpoint) inOrder() bool { return e.Ordered && !e.isTests }
