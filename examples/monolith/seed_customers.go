package main

import (
	"hash/crc32"
	"net/http"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

// customer is an endpoint of the demonstration, with the behaviour of its receiver.
type customer struct {
	id, url, description string
	types                []string
	latency              time.Duration
	trouble              float64               // the share of attempts that fail
	failures             []alotwebhook.Attempt // the ways in which they fail
	failingSince         time.Time             // every attempt after that time fails
	disabled             alotwebhook.DisabledReason
	disabledAt           time.Time
}

// hears reports whether the endpoint subscribes to an event type.
func (c *customer) hears(eventType string) bool { return slices.Contains(c.types, eventType) }

// happened returns an operation that tells of the endpoint. It is handled: nobody is told of what
// is made up.
func (c *customer) happened(kind alotwebhook.OperationType, at time.Time, actor, note string) alotwebhook.Operation {
	at = at.UTC().Truncate(time.Millisecond)
	return alotwebhook.Operation{
		ID: typeID("op_", at, uint64(crc32.ChecksumIEEE([]byte(c.id)))), Type: kind, At: at, OrganizationID: demo, EndpointID: c.id, Actor: actor, Note: note, Handled: true,
	}
}

// operations returns what happened to the endpoint since it was added.
func (c *customer) operations(now time.Time) []alotwebhook.Operation {
	list := []alotwebhook.Operation{
		c.happened(alotwebhook.OpEndpointChanged, now.Add(-9*24*time.Hour), "jane@example.com", "events"),
		c.happened(alotwebhook.OpEndpointRotated, now.Add(-5*24*time.Hour), "joe@example.com", ""),
	}
	if !c.failingSince.IsZero() {
		since := c.failingSince.UTC().Format(time.RFC3339)
		list = append(list, c.happened(alotwebhook.OpEndpointFailing, c.failingSince.Add(40*time.Minute), "", "since "+since))
	}
	if c.disabled != "" {
		list = append(list, c.happened(alotwebhook.OpEndpointDisabled, c.disabledAt, "", string(c.disabled)))
	}
	return list
}

// until returns the time of the last attempt.
func (c *customer) until(now time.Time) time.Time {
	if c.disabled != "" {
		return c.disabledAt
	}
	return now
}

// demoCustomers returns the endpoints. The URLs of the enabled ones belong to this program,
// so that their requests stay on loopback. The host names of the others are reserved ones,
// which do not exist.
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

// These attempts fail in different ways. Their details have the words of the dispatcher.
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
	certificate = alotwebhook.Attempt{Reason: alotwebhook.ReasonTLS, Detail: "the certificate has expired"}
	unknownHost = alotwebhook.Attempt{Reason: alotwebhook.ReasonDNS, Detail: "the host name has no address, or could not be looked up"}
)
