package main

import (
	"net/http"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

// customer is an endpoint of the demonstration, and how it fares.
type customer struct {
	id, url, description string
	types                []string
	latency              time.Duration
	trouble              float64               // share of the attempts that fail
	failures             []alotwebhook.Attempt // how
	failingSince         time.Time             // nothing but failures from then on
	disabled             alotwebhook.DisabledReason
	disabledAt           time.Time
}

func (c *customer) hears(eventType string) bool { return slices.Contains(c.types, eventType) }

// until is when attempts end.
func (c *customer) until(now time.Time) time.Time {
	if c.disabled != "" {
		return c.disabledAt
	}
	return now
}

// demoCustomers are the endpoints. Those that are enabled are this program's
// own: whatever is sent to them stays on loopback. The names of the others do not
// exist anywhere.
func demoCustomers(address string, now time.Time) []customer {
	completed, invited := alotwebhook.EventCandidateCompleted, alotwebhook.EventCandidateInvited
	disqualified, published := alotwebhook.EventCandidateDisqualified, alotwebhook.EventAssessmentPublished
	return []customer{
		{
			url: address + "/dev/receiver/ats", description: "Applicant tracking", types: []string{completed, disqualified},
			latency: 80 * time.Millisecond, trouble: 0.02,
			failures: []alotwebhook.Attempt{badGateway, timedOut},
		},
		{
			url: address + "/dev/receiver/crm", description: "CRM: notes on candidates", types: []string{completed},
			latency: 120 * time.Millisecond, trouble: 0.03, failingSince: now.Add(-3 * time.Hour),
			failures: []alotwebhook.Attempt{broken, broken, broken, timedOut},
		},
		{
			url: address + "/dev/receiver/analytics", description: "", types: []string{invited, completed, disqualified, published},
			latency: 240 * time.Millisecond, trouble: 0.05,
			failures: []alotwebhook.Attempt{timedOut, reset, tooMany},
		},
		{
			url: "https://hooks.partner.test/alot/events", description: "Partner portal", types: []string{published, disqualified},
			latency: 190 * time.Millisecond, trouble: 0.06, failingSince: now.Add(-2 * time.Hour),
			failures: []alotwebhook.Attempt{certificate, refused},
			disabled: alotwebhook.DisabledFailing, disabledAt: now.Add(-time.Hour),
		},
		{
			url: "https://staging.example.invalid/webhooks", description: "Staging, switched off over the release", types: []string{published},
			latency: 60 * time.Millisecond, trouble: 0.1,
			failures: []alotwebhook.Attempt{notFound, unknownHost},
			disabled: alotwebhook.DisabledByUser, disabledAt: now.Add(-14 * time.Hour),
		},
	}
}

// How attempts fail, in the words of a dispatcher.
var (
	broken = alotwebhook.Attempt{
		StatusCode: http.StatusInternalServerError, Reason: alotwebhook.ReasonStatus, Detail: "answered 500 Internal Server Error",
		ResponseBody: `{"error":"relation \"candidates\" does not exist"}`,
	}
	badGateway = alotwebhook.Attempt{
		StatusCode: http.StatusBadGateway, Reason: alotwebhook.ReasonStatus, Detail: "answered 502 Bad Gateway",
		ResponseBody: "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
	}
	tooMany = alotwebhook.Attempt{
		StatusCode: http.StatusTooManyRequests, Reason: alotwebhook.ReasonStatus, Detail: "answered 429 Too Many Requests",
		ResponseBody: `{"retryAfter":30}`,
	}
	notFound = alotwebhook.Attempt{
		StatusCode: http.StatusNotFound, Reason: alotwebhook.ReasonStatus, Detail: "answered 404 Not Found", ResponseBody: "404 page not found\n",
	}
	timedOut    = alotwebhook.Attempt{Duration: 15 * time.Second, Reason: alotwebhook.ReasonTimeout, Detail: "no complete response in time"}
	reset       = alotwebhook.Attempt{Reason: alotwebhook.ReasonConnectionReset, Detail: "the connection was closed before the response was complete"}
	refused     = alotwebhook.Attempt{Duration: 2 * time.Millisecond, Reason: alotwebhook.ReasonConnectionRefused, Detail: "nothing accepts connections at that host and port"}
	certificate = alotwebhook.Attempt{Reason: alotwebhook.ReasonTLS, Detail: "the certificate has expired or is not yet valid"}
	unknownHost = alotwebhook.Attempt{Reason: alotwebhook.ReasonDNS, Detail: "the host name has no address"}
)
