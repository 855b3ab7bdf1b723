package settings

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/alot/alotwebhook"
)

// origin is the form in which browsers write an origin (RFC 6454), but for the port.
var origin = regexp.MustCompile(`^https?://([a-zA-Z0-9._-]+|\[[0-9a-fA-F:.]+\])(:[1-9][0-9]{0,4})?$`)

// protect returns the check for requests from pages of other sites. The error is a
// [alotwebhook.FieldError] that names the origin that no browser would send.
func protect(trustedOrigins []string) (*http.CrossOriginProtection, error) {
	p := http.NewCrossOriginProtection()
	for i, trusted := range trustedOrigins {
		problem := originProblem(trusted)
		if err := p.AddTrustedOrigin(trusted); err != nil && problem == "" {
			problem = err.Error()
		}
		if problem != "" {
			return nil, &alotwebhook.FieldError{Field: fmt.Sprintf("TrustedOrigins[%d]", i), Problem: fmt.Sprintf("is %q; %s", trusted, problem)}
		}
	}
	return p, nil
}

// originProblem returns what is wrong with an origin, or "". An origin that is spelled in
// another way than browsers do would never match, and nobody would be told.
func originProblem(text string) string {
	const form = `give scheme and host, and the port if it is not the usual one, as browsers do: "https://app.example.com"`
	u, err := url.Parse(strings.ToLower(text))
	if err != nil || !origin.MatchString(strings.ToLower(text)) || u.Port() > "65535" && len(u.Port()) == 5 {
		return form
	}
	if u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
		u.Host = strings.TrimSuffix(u.Host, ":"+u.Port())
	}
	if u.String() != text {
		return fmt.Sprintf("browsers spell it in another way: write %q", u)
	}
	return ""
}

// isExempt reports whether a request has a bearer token and nothing else to authenticate
// it. A page of another site cannot add one. Credentials of other schemes, such as Basic
// or Negotiate, are added by the browser itself.
func isExempt(r *http.Request) bool {
	credentials := r.Header["Authorization"]
	if len(credentials) != 1 {
		return false
	}
	scheme, token, _ := strings.Cut(credentials[0], " ")
	return strings.EqualFold(scheme, "Bearer") && strings.Trim(token, " ") != ""
}
