package settings

import (
	"fmt"
	"strings"

	"github.com/alot/alotwebhook"
)

// credentialFields are the fields of a form that give an endpoint's own headers and certificate.
var credentialFields = []string{"headers", "auth", "user", "password", "token", "clientCertificate", "noCertificate"}

// typedBefore stands in a form that is shown again for a value that somebody has typed: it is not sent
// back, and must not be taken for one that is kept either. No value may have it.
const typedBefore = "…"

// mayCredit reports whether the visitor may give headers and a certificate.
func (v *visit) mayCredit() bool { return toCredit.met(v.who.may) }

// headerLines returns the headers of an endpoint as the form shows them: without their values.
func headerLines(list []alotwebhook.Header) string {
	var lines strings.Builder
	for _, h := range list {
		lines.WriteString(h.Name + ":\n")
	}
	return lines.String()
}

// fillCredentials puts back what was filled in, without any value.
func (f *endpointForm) fillCredentials(given *form) {
	var lines strings.Builder
	for line := range strings.Lines(given.get("headers")) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		switch {
		case name == "" && value == "":
			continue
		case !ok: // it may be a value
			lines.WriteString(typedBefore + "\n")
			continue
		}
		lines.WriteString(strings.TrimSpace(name) + ":")
		if strings.TrimSpace(value) != "" {
			lines.WriteString(" " + typedBefore)
		}
		lines.WriteString("\n")
	}
	f.Headers, f.Auth, f.NoCertificate = lines.String(), given.get("auth"), given.get("noCertificate") != ""
	f.Typed = strings.Contains(f.Headers, typedBefore) || f.Auth != "" || given.get("clientCertificate") != ""
}

// credentials has the endpoint get what was filled in. A form without the fields keeps all.
func (f *form) credentials(e *alotwebhook.Endpoint) (err error) {
	e.Headers, e.ClientCertificate = nil, nil // which keeps them
	if _, ok := f.values["headers"]; ok {
		if e.Headers, err = f.headers(); err != nil {
			return err
		}
	}
	switch pem := strings.TrimSpace(f.get("clientCertificate")); {
	case pem != "" && f.get("noCertificate") != "":
		return &alotwebhook.FieldError{Field: "clientCertificate", Problem: "is given, and is to be removed: choose one of them"}
	case pem != "":
		e.ClientCertificate = &alotwebhook.ClientCertificate{PEM: alotwebhook.Secret(pem + "\n")}
	case f.get("noCertificate") != "":
		e.ClientCertificate = new(alotwebhook.ClientCertificate)
	}
	return nil
}

// headers returns the headers of a form: those of its lines, and Authorization as it was chosen.
func (f *form) headers() ([]alotwebhook.Header, error) {
	list := []alotwebhook.Header{}
	n := 0
	for line := range strings.Lines(f.get("headers")) {
		n++
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case !ok:
			return nil, &alotwebhook.FieldError{Field: "headers[].name", Problem: fmt.Sprintf("in line %d has no colon behind its name; write it as X-Tenant: 42", n)}
		case value == typedBefore:
			return nil, &alotwebhook.FieldError{Field: "headers[].name", Problem: fmt.Sprintf("in line %d needs its value again, in the place of %s", n, typedBefore)}
		}
		list = append(list, alotwebhook.Header{Name: strings.TrimSpace(name), Value: alotwebhook.Secret(value)})
	}
	return f.authorized(list)
}

// authorized returns the headers with Authorization as it was chosen, in the place of one that is kept.
func (f *form) authorized(list []alotwebhook.Header) ([]alotwebhook.Header, error) {
	var own alotwebhook.Header
	var err error
	switch f.get("auth") {
	case "":
		return list, nil
	case "basic":
		own, err = alotwebhook.BasicAuth(f.get("user"), alotwebhook.Secret(f.get("password")))
	case "bearer":
		own, err = alotwebhook.BearerAuth(alotwebhook.Secret(strings.TrimSpace(f.get("token"))))
	default:
		return nil, badForm("Choose how the endpoint knows the sender.")
	}
	for i := range list {
		if strings.EqualFold(list[i].Name, own.Name) && list[i].Value == "" {
			list[i] = own
			return list, err
		}
	}
	return append(list, own), err
}
