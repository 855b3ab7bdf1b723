package webhooktest_test

import (
	"net/http"
	"testing"

	"github.com/alot/alotwebhook"
)

func isTest(r *http.Request) bool { return r.Header.Get(alotwebhook.TestHeader) == "true" }

// A receiver that treats tests wrongly, and nothing else, is found by one check.
func TestWrongReceiversOfTestsAreFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]wrong{
		"believes whoever says that it is a test": {
			func(p *parts) {
				right := p.verify
				p.verify = func(r *http.Request, body []byte) bool { return isTest(r) || right(r, body) }
			},
			[]string{"test-event"}, "as a test, signed with another secret: the response was 200 OK, and the event was handled once",
		},
		"refuses tests": {
			func(p *parts) {
				right := p.handle
				p.handle = func(r *http.Request, e alotwebhook.Event) int {
					if isTest(r) {
						return http.StatusUnprocessableEntity
					}
					return right(r, e)
				}
			},
			[]string{"test-event"}, "sent a good event as a test: the response was 422",
		},
		"refuses tests of unknown types": {
			func(p *parts) {
				right := p.handle
				p.handle = func(r *http.Request, e alotwebhook.Event) int {
					if isTest(r) && e.Type != alotwebhook.EventCandidateCompleted {
						return http.StatusNotFound
					}
					return right(r, e)
				}
			},
			[]string{"test-event"}, "as a test of type webhooktest.unheard_of: the response was 404",
		},
		"handles tests of unknown types as real": {
			func(p *parts) {
				right := p.handle
				p.handle = func(r *http.Request, e alotwebhook.Event) int {
					if isTest(r) {
						p.actOnce(e.ID)
						return http.StatusOK
					}
					return right(r, e)
				}
			},
			[]string{"test-event"}, "as a test of type webhooktest.unheard_of: the response was 200 OK, and the event was handled once",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.requireFound(t)
		})
	}
}
