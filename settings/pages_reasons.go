package settings

import (
	"net/http"

	"github.com/alot/alotwebhook"
)

// reason explains a failed attempt to the people who run the endpoint.
type reason struct {
	Word string // what happened, in a few words
	Do   string // what to do about it
}

var reasons = map[alotwebhook.FailureReason]reason{
	alotwebhook.ReasonTimeout: {"Timed out",
		"Store the event and respond with 200 at once, then do the work. The whole response has to arrive before the time is up."},
	alotwebhook.ReasonConnectionRefused: {"Connection refused",
		"Check that your service is running and listens on the port of the URL, and that no firewall refuses the connection."},
	alotwebhook.ReasonConnectionReset: {"Connection broken",
		"Check whether your service, or a proxy in front of it, crashed, restarted or closed the connection too early."},
	alotwebhook.ReasonTLS: {"TLS failed",
		"Open a failed delivery: its detail names the cause. Mostly the certificate has expired, is for another host, or comes without the intermediate certificates."},
	alotwebhook.ReasonDNS: {"Host not found",
		"Check the spelling of the host, and that its DNS record exists and is public."},
	alotwebhook.ReasonBlockedAddress: {"Address not allowed",
		"Use a host on the public internet. Requests to private, local and reserved addresses are never sent."},
	alotwebhook.ReasonRedirect: {"Redirected",
		"Redirects are not followed. Change the URL of the endpoint to the one that the redirect leads to."},
	alotwebhook.ReasonResponseTooLarge: {"Response too large",
		"Respond with few headers, and a short body or none. Only the status counts."},
	alotwebhook.ReasonProtocol: {"Not HTTP",
		"Check the port of the URL. The server there does not speak HTTP."},
	alotwebhook.ReasonNetwork: {"Connection failed",
		"Check that the host can be reached from the internet, then redeliver."},
	alotwebhook.ReasonNoRoute: {"No way to the address",
		"Your host has only addresses that we have no way to, such as those of IPv6. Your service is not at fault. Add an IPv4 address to its DNS record, or tell support."},
	alotwebhook.ReasonProxyRefused: {"Not let out by our proxy",
		"Our own proxy let nothing through to this host. Your service is not at fault and there is nothing to do, unless the host has no public address. Tell support if this goes on."},
	alotwebhook.ReasonProxyUnreachable: {"Our proxy does not answer",
		"Something on our side keeps requests from leaving. There is nothing to do: they are sent once it works."},
	alotwebhook.ReasonProxyAuthentication: {"Our proxy refuses us",
		"Something on our side keeps requests from leaving. There is nothing to do: they are sent once it works."},
	alotwebhook.ReasonPoison: {"Given up",
		"Sending was started several times and never finished. Redeliver it. If that fails too, tell support the delivery id."},
	alotwebhook.ReasonEndpointDeleted: {"Endpoint deleted",
		"The endpoint was deleted before the event could be delivered. There is nothing to do."},
	alotwebhook.ReasonExpired: {"Expired",
		"The endpoint was disabled for too long, so the event was not sent. Redeliver it if you still want it."},
	alotwebhook.ReasonDiscarded: {"Discarded",
		"Somebody chose not to send it when the endpoint was enabled. Redeliver it if you want it after all."},
	alotwebhook.ReasonCanceled: {"Canceled",
		"The people who run this service canceled it, so it is not sent. Redeliver it if you want it after all."},
	alotwebhook.ReasonErased: {"Erased",
		"The personal data in it was erased before it was delivered, so it is not sent. There is nothing to do."},
	alotwebhook.ReasonConversion: {"Not sent",
		"The sender could not make the payload in the version that the endpoint has. Your service is not the cause. Ask the sender, then redeliver, or choose another version."},
	alotwebhook.ReasonUnsendable: {"Could not be sent",
		"See the detail of the attempt. If the payload was erased, it cannot be sent again. Otherwise check the URL, or rotate the secret."},
}

// reasonOf explains a failed attempt by its reason and the status code of its
// response. The code is 0 if there was no response, or if the explanation is for
// several attempts.
func reasonOf(r alotwebhook.FailureReason, code int) reason {
	if r == alotwebhook.ReasonStatus && code == 0 {
		return reason{"Answered with an error status", statusAdvice(0)}
	}
	if r == alotwebhook.ReasonStatus {
		return reason{"Answered " + status(code), statusAdvice(code)}
	}
	if known, ok := reasons[r]; ok {
		return known
	}
	return reason{string(r), "See the detail of the attempt."}
}

// statusAdvice says what to do about a status code, or about several if code is 0.
func statusAdvice(code int) string {
	switch {
	case code == 0:
		return "Look for the errors in your service's log. Any 2xx status counts as delivered."
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return "Check that your service has the secret of this endpoint, that it verifies the raw body, and that the URL needs no login."
	case code == http.StatusNotFound || code == http.StatusMethodNotAllowed:
		return "Check the path of the URL, and that your service accepts POST requests there."
	case code == http.StatusGone:
		return "Status 410 means that the endpoint is gone for good, so it was disabled. Correct the URL, then enable it."
	case code == http.StatusRequestEntityTooLarge:
		return "Raise the limit on the size of a request body in your service or its proxy."
	case code == http.StatusTooManyRequests:
		return "Your service asked for fewer requests, so sending was slowed down. Raise its limit if this goes on."
	case code >= 500:
		return "Look for the error in your service's log at the time of the attempt, fix it, then redeliver."
	}
	return "Your service refused the request. Its log or its response should say why. Any 2xx status counts as delivered."
}
