package alotwebhook

import (
	"time"

	"github.com/alot/alotwebhook/internal/credential"
	"github.com/alot/alotwebhook/internal/headerrules"
)

// Header is a header of an endpoint's own.
type Header struct {
	// Name is at most 128 bytes. The ones that are refused: those that a dispatcher sets, all that
	// begin with Webhook-, X-Alot-, Content-, Proxy- or X-Forwarded-, those of a connection
	// (RFC 9110, section 7.6.1), Host, Expect, Accept-Encoding, Cookie and such.
	Name string
	// Value is visible ASCII, with blanks in between. It is write-only, and empty in what is read.
	Value Secret
}

// BasicAuth returns the header of Basic authentication (RFC 7617), or a [FieldError].
func BasicAuth(user string, password Secret) (Header, error) {
	value, field, problem := headerrules.Basic(user, string(password))
	if problem != "" {
		return Header{}, refused(field, problem)
	}
	return Header{headerrules.Authorization, Secret(value)}, nil
}

// BearerAuth returns the header of a bearer token (RFC 6750), or a [FieldError].
func BearerAuth(token Secret) (Header, error) {
	value, problem := headerrules.Bearer(string(token))
	if problem != "" {
		return Header{}, refused("token", problem)
	}
	return Header{headerrules.Authorization, Secret(value)}, nil
}

// ClientCertificate proves to an endpoint's server who sends.
type ClientCertificate struct {
	// PEM is the certificate, its chain and its private key, which is not encrypted, one behind the
	// other: at most 16 KiB. It is write-only, and empty in what is read.
	PEM Secret
	// Subject and NotAfter are those of the certificate, filled in by what reads it.
	Subject  string
	NotAfter time.Time
}

// box seals and opens the credentials of an endpoint.
func (s *sender) box(endpointID string) credential.Box {
	return credential.NewBox(endpointID, s.safe.Texts)
}

// change returns what e asks for in the place of the stored credentials.
func (e *Endpoint) change(stored *Endpoint) credential.Change {
	c := credential.Change{URL: e.URL, Moved: stored.URL != e.URL}
	if e.Headers != nil {
		c.Headers = make([]credential.Header, len(e.Headers))
		for i, h := range e.Headers {
			c.Headers[i] = credential.Header{Name: h.Name, Value: string(h.Value)}
		}
	}
	if of := e.ClientCertificate; of != nil && (of.PEM != "" || of.Subject == "") { // a read one stays
		c.Certificate = (*string)(&of.PEM)
	}
	return c
}

// setCredentials has stored keep what asked has. It needs the URL that stored had before.
func (d *Dispatcher) setCredentials(stored, asked *Endpoint) error {
	kept, err := d.sender.box(stored.ID).Apply(string(stored.Credentials), asked.change(stored))
	if err == nil {
		stored.Credentials = Secret(kept)
	}
	return fieldError(err)
}

// withoutSecrets returns e as somebody may read it.
func (e Endpoint) withoutSecrets() Endpoint {
	kept := credential.Read(string(e.Credentials))
	e.Secret, e.NextSecret, e.Credentials, e.Headers, e.ClientCertificate = "", "", "", nil, nil
	for _, name := range kept.Headers {
		e.Headers = append(e.Headers, Header{Name: name})
	}
	if c := kept.Certificate; c != nil {
		e.ClientCertificate = &ClientCertificate{Subject: c.Subject, NotAfter: c.NotAfter}
	}
	return e
}
