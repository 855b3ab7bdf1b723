package settings

import (
	"net/http"

	"github.com/alot/alotwebhook"
)

// reason puts a failure into words for whoever runs the endpoint.
type reason struct {
	Word string // for a list
	Do   string // what to do about it
}

var reasons = map[alotwebhook.FailureReason]reason{
	alotwebhook.ReasonTimeout: {"Timed out",
		"Store the event and answer with 200 at once, then do the work; the answer has to be complete in time."},
	alotwebhook.ReasonConnectionRefused: {"Connection refused",
		"Check that your service is running, listens on the port of the URL, and that no firewall refuses it."},
	alotwebhook.ReasonConnectionReset: {"Connection broken",
		"Check whether your service or a proxy in front of it crashed, restarted or closes requests early."},
	alotwebhook.ReasonTLS: {"TLS failed",
		"Renew or correct the certificate: it has to be valid for this host, with its intermediate certificates sent along."},
	alotwebhook.ReasonDNS: {"Host not found",
		"Check the spelling of the host and that its DNS record exists and is public."},
	alotwebhook.ReasonBlockedAddress: {"Address not allowed",
		"Use a host on the public internet; private, local and reserved addresses are never called."},
	alotwebhook.ReasonRedirect: {"Redirected",
		"Redirects are not followed: register the URL that it leads to."},
	alotwebhook.ReasonResponseTooLarge: {"Answer too large",
		"Answer with few headers and a short body or none; only the status counts."},
	alotwebhook.ReasonProtocol: {"Not HTTP",
		"Check the port of the URL: what answers there does not speak HTTP."},
	alotwebhook.ReasonNetwork: {"Connection failed",
		"Check that the host can be reached from the internet, then redeliver."},
	alotwebhook.ReasonPoison: {"Given up",
		"Sending it was begun several times and never came to an end. Redeliver it; if that fails too, tell support the delivery's id."},
	alotwebhook.ReasonEndpointDeleted: {"Endpoint deleted",
		"The endpoint was deleted before this could be delivered. There is nothing to do."},
	alotwebhook.ReasonUnsendable: {"Could not be sent",
		"See the detail. If the payload's time is over it cannot be sent again; otherwise check the URL, or rotate the secret."},
}

// reasonOf explains a failure. Which status it was makes a difference to what
// can be done.
func reasonOf(r alotwebhook.FailureReason, code int) reason {
	if r == alotwebhook.ReasonStatus && code == 0 { // of several
		return reason{"Answered with an error status", statusAdvice(0)}
	}
	if r == alotwebhook.ReasonStatus {
		return reason{"Answered " + status(code), statusAdvice(code)}
	}
	if known, ok := reasons[r]; ok {
		return known
	}
	return reason{string(r), "See the detail."}
}

func statusAdvice(code int) string {
	switch {
	case code == 0:
		return "Any 2xx status counts as delivered; look for the error in your service's log."
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return "Check that the secret in your service is the endpoint's, that the raw body is verified, and that no login stands in front of the URL."
	case code == http.StatusNotFound || code == http.StatusMethodNotAllowed:
		return "Check the path of the URL, and that your service takes POST there."
	case code == http.StatusGone:
		return "410 says that the endpoint is gone for good, so it was disabled. Correct the URL and enable it."
	case code == http.StatusRequestEntityTooLarge:
		return "Raise the limit on the size of a body in your service or its proxy."
	case code == http.StatusTooManyRequests:
		return "Your service asked for fewer requests; sending was slowed down. Raise its limit if this goes on."
	case code >= 500:
		return "Look for the error in your service's log at the time of the attempt, mend it, then redeliver."
	}
	return "Your service refused the request; its log or the response should say why. Any 2xx status counts as delivered."
}
