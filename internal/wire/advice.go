package wire

import "strings"

// advices are what to do about a failure, by what its detail says. The first one that fits counts.
var advices = []struct{ says, do string }{
	{"refuses the client certificate", "Give the endpoint a client certificate that your server takes, or have the server trust the one that is sent."},
	{"the sender's could not be had", "Something on our side has gone wrong with the client certificate. Tell support if this goes on."},
	{"a client certificate", "Give the endpoint a client certificate, or have your server demand none."},
	{"without the extended master secret", "Turn on TLS 1.3 at your server, or renew its TLS library: OpenSSL has this extension of TLS 1.2 since 1.1.0."},
	{"no cipher suite in common", "Turn on TLS 1.3 at your server, or cipher suites with ECDHE for TLS 1.2."},
	{"no TLS version in common", "Turn on TLS 1.2 or 1.3 at your server. Older versions are not safe."},
	{"no site for this host name", "Add the host to the sites (virtual hosts) that your server has TLS for, or correct the host in the URL."},
	{"an error of its own", "Check that your server has a certificate for the host in the URL, and its log."},
	{"does not offer HTTP/1.1", "Turn on HTTP/1.1 at your server, beside HTTP/2."},
	{"HTTP/2 alone", "Turn on HTTP/1.1 at your server, beside HTTP/2."},
	{"speaks TLS at this port", "Begin the URL with https, or use the port for plain http."},
	{"did not speak TLS", "Check the port of the URL. What listens there speaks no TLS, and may be a port for plain http."},
	{"no subject alternative name", "Have the certificate issued anew, with the host as a subject alternative name (SAN). A common name has not counted for years."},
	{"for another host name", "Have your server send a certificate for the host in the URL, or correct the host."},
	{"too weak", "Have the certificate issued anew, signed with SHA-256."},
	{"self-signed", "Use a certificate of a public authority, such as Let's Encrypt."},
	{"not a public one", "Use a certificate of a public authority, such as Let's Encrypt. One of your company's own is not known here."},
	{"unknown authority", "Have your server send the intermediate certificates too: the whole chain (fullchain.pem), not the certificate alone."},
	{"has expired", "Renew the certificate, and have your server load it."}, // before "not yet valid": releases before this one said both in one
	{"not yet valid", "Use a certificate that is valid by now, and check the clock of the machine that issued it."},
	{"not one for servers", "Have the certificate issued anew for servers (the extended key usage serverAuth)."},
	{"cannot be read", "Have the certificate issued anew by a public authority. This one breaks the rules, such as by a negative serial number."},
	{"leads nowhere", "Answer with a 2xx status once the event is stored. This status says that nothing was done, and where to go it does not say."},
}

// Advice returns what to do about a failure with this detail, for the people at the other end; ""
// if its reason says all.
func Advice(detail string) string {
	for _, a := range advices {
		if strings.Contains(detail, a.says) {
			return a.do
		}
	}
	return ""
}
