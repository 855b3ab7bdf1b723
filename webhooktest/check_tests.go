package webhooktest

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/alot/alotwebhook"
)

// testEvent sends tests. Whether they are acted upon is the receiver's choice, but they are verified and answered
// as all events are.
var testEvent = check{
	name:   "test-event",
	about:  "A test (the header X-Alot-Test) is a signed event: it gets a 2xx status, whether it is acted upon or not, and is refused if its signature is wrong.",
	change: "Verify a request before you look at X-Alot-Test: anybody can send that header. Then respond with 2xx to a test as to any event, also to one of a type that you do not use. In Go, use ReceiverConfig.Tests or Event.Test.",
	good:   true,
	forged: true,
	run: func(p *probe) string {
		unheard := p.event()
		unheard.Type, unheard.Data = "webhooktest.unheard_of", json.RawMessage("{}")
		return firstOf(
			p.answersTest(p.event(), "as a test"),
			p.answersTest(unheard, "as a test of type "+unheard.Type),
			p.refuses(p.forged().named("as a test, signed with another secret").asTest()))
	},
}

// asTest returns the shot with the header of a test.
func (s shot) asTest() shot {
	s.header = http.Header{alotwebhook.TestHeader: {"true"}}
	return s
}

// answersTest sends an event as a test, and another that is none. What goes wrong with both is the finding of
// another check. It returns the problem, or "".
func (p *probe) answersTest(e alotwebhook.Event, what string) string {
	other := p.event()
	other.Type, other.Data = e.Type, e.Data
	test, plain := p.signed(e, e.Payload()).named(what).asTest(), p.signed(other, other.Payload())
	a, b := p.send(test), p.send(plain)
	if !a.ok() && b.ok() {
		return test.say("a good event", a.String()+mustAccept)
	}
	n, _ := p.handled(test)
	if m, known := p.handled(plain); known && n > m {
		return test.say("a good event", fmt.Sprintf("%s, and the event %s; one that is no test %s", a, handledTimes(n), handledTimes(m)))
	}
	return ""
}
