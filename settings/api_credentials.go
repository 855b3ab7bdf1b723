package settings

import (
	"encoding/json"
	"fmt"

	"github.com/alot/alotwebhook"
)

// headerJSON is a header of an endpoint's own as the API shows it: without its value.
type headerJSON struct {
	Name string `json:"name"`
}

func showHeaders(e alotwebhook.Endpoint) (list []headerJSON) {
	for _, h := range e.Headers {
		list = append(list, headerJSON{h.Name})
	}
	return list
}

// certificateJSON is a client certificate as the API shows it.
type certificateJSON struct {
	Subject   string  `json:"subject"`
	ExpiresAt instant `json:"expiresAt"`
}

func showCertificate(e alotwebhook.Endpoint) *certificateJSON {
	if e.ClientCertificate == nil {
		return nil
	}
	return &certificateJSON{e.ClientCertificate.Subject, instant(e.ClientCertificate.NotAfter)}
}

// credentials are what a request gives for an endpoint: nil for what it does not name.
type credentials struct {
	headers     []alotwebhook.Header
	certificate *alotwebhook.ClientCertificate
}

// fields adds the keys of credentials to those of a request.
func (c *credentials) fields(f fields) fields {
	f["headers"] = c.readHeaders
	f["clientCertificate"] = c.readCertificate
	return f
}

// given reports whether the request gives any.
func (c *credentials) given() bool { return c.headers != nil || c.certificate != nil }

// apply has an endpoint get them; what is nil is kept.
func (c *credentials) apply(e *alotwebhook.Endpoint) {
	e.Headers, e.ClientCertificate = c.headers, c.certificate
}

// readHeaders reads an array of headers; null stands for none.
func (c *credentials) readHeaders(name string, value json.RawMessage) (errs []fieldProblem) {
	var items []json.RawMessage
	if string(value) != "null" && (value[0] != '[' || json.Unmarshal(value, &items) != nil) {
		return []fieldProblem{{name, "must be an array of objects such as {\"name\": \"X-Tenant\", \"value\": \"42\"}"}}
	}
	c.headers = make([]alotwebhook.Header, len(items))
	for i, item := range items {
		errs = append(errs, readHeader(&c.headers[i], fmt.Sprintf("%s[%d]", name, i), item)...)
	}
	return errs
}

// readHeader reads one header: a name with a value, or without one to keep it; or a user with a
// password, or a token, that become an Authorization header.
func readHeader(into *alotwebhook.Header, name string, item json.RawMessage) []fieldProblem {
	var header, value, token *string
	var basic json.RawMessage
	errs := readParts(name, item, fields{
		"name": optionalInto(&header), "value": optionalInto(&value), "bearer": optionalInto(&token),
		"basic": func(_ string, v json.RawMessage) []fieldProblem { basic = v; return nil },
	})
	switch {
	case errs != nil:
		return errs
	case (header != nil || value != nil) && (basic != nil || token != nil) || basic != nil && token != nil:
		return []fieldProblem{{name, "must have either name and value, or basic, or bearer"}}
	case basic != nil:
		return readBasic(into, name+".basic", basic)
	case token != nil:
		h, err := alotwebhook.BearerAuth(alotwebhook.Secret(*token))
		*into = h
		return within(name, "bearer", err)
	case header == nil:
		return []fieldProblem{{name + ".name", "is missing"}}
	case value != nil && *value == "":
		return []fieldProblem{{name + ".value", "is empty; leave it out to keep the value that there is"}}
	}
	into.Name = *header
	if value != nil {
		into.Value = alotwebhook.Secret(*value)
	}
	return nil
}

func readBasic(into *alotwebhook.Header, name string, item json.RawMessage) []fieldProblem {
	var user, password string
	if errs := readParts(name, item, fields{"user": stringInto(&user), "password": stringInto(&password)}); errs != nil {
		return errs
	}
	h, err := alotwebhook.BasicAuth(user, alotwebhook.Secret(password))
	*into = h
	return within(name, "", err)
}

// readParts reads the members of an object that is the value of the field called name.
func readParts(name string, item json.RawMessage, want fields) (errs []fieldProblem) {
	err := readMembers(item, want)
	if err == nil {
		return nil
	}
	if p := err.(*problem); len(p.Errors) > 0 { // readMembers has no other errors
		for _, e := range p.Errors {
			errs = append(errs, fieldProblem{name + "." + e.Field, e.Detail})
		}
		return errs
	}
	return []fieldProblem{{name, "must be an object"}}
}

// within returns the problem of a part of a field; instead, if not "", is the part's name.
func within(name, instead string, err error) []fieldProblem {
	field, ok := err.(*alotwebhook.FieldError)
	if !ok {
		return nil
	}
	if instead == "" {
		instead = field.Field
	}
	return []fieldProblem{{name + "." + instead, field.Problem}}
}

// readCertificate reads a client certificate; null stands for none.
func (c *credentials) readCertificate(name string, value json.RawMessage) []fieldProblem {
	c.certificate = new(alotwebhook.ClientCertificate)
	if string(value) == "null" {
		return nil
	}
	var text *string
	switch errs := readParts(name, value, fields{"pem": optionalInto(&text)}); {
	case errs != nil:
		return errs
	case text == nil || *text == "":
		return []fieldProblem{{name + ".pem", "is missing; give the certificate with its chain and its private key, or null for none"}}
	}
	c.certificate.PEM = alotwebhook.Secret(*text)
	return nil
}
