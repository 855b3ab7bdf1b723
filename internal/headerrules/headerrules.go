// Package headerrules says which headers an endpoint may have of its own. They stand beside those of
// the sender, so that none may replace one of these, say how the request is sent, or begin another
// field.
package headerrules

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// The limits of a list of headers. The names are counted with the values.
const (
	Most     = 10
	MaxBytes = 4 << 10
	MaxName  = 128 // bytes
)

// Header is a header with its value.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Problem returns the part of the field of the first header that may not be sent, such as
// "[2].name", and what is wrong with it; "" and "" if all may. The part is "" if the list as a whole
// is the problem. Problems quote names, and never a value: nor a name that cannot be one, which may
// be a value in the wrong place.
func Problem(list []Header) (part, problem string) {
	if len(list) > Most {
		return "", fmt.Sprintf("are %d; at most %d are allowed", len(list), Most)
	}
	size, seen := 0, make(map[string]bool, len(list))
	for i, h := range list {
		name := folded(h.Name)
		if problem := nameProblem(h.Name); problem != "" {
			return fmt.Sprintf("[%d].name", i), problem
		}
		if seen[name] {
			return fmt.Sprintf("[%d].name", i), fmt.Sprintf("%q stands twice; case and - or _ make no difference", h.Name)
		}
		if problem := valueProblem(h.Value); problem != "" {
			return fmt.Sprintf("[%d].value", i), fmt.Sprintf("of %q %s", h.Name, problem)
		}
		seen[name] = true
		size += len(h.Name) + len(h.Value)
	}
	if size > MaxBytes {
		return "", fmt.Sprintf("have %d bytes of names and values; at most %d are allowed", size, MaxBytes)
	}
	return "", ""
}

// folded returns a name as receivers may see it: they ignore its case, and many make the same
// variable of X-Name and X_Name.
func folded(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }

// nameProblem returns what is wrong with a name, or "".
func nameProblem(name string) string {
	switch {
	case name == "":
		return "is empty; give the name of a header, such as X-Tenant"
	case len(name) > MaxName:
		return fmt.Sprintf("has %d bytes; at most %d are allowed", len(name), MaxName)
	case !isToken(name):
		return "is not the name of a header; use letters, digits and -, without the colon and the value"
	}
	if why := refusal(folded(name)); why != "" {
		return fmt.Sprintf("%q %s; leave it out", name, why)
	}
	return ""
}

// Why names are refused.
const (
	ours       = "is one that the sender sets itself"
	hop        = "is about the connection, not about the request"
	content    = "describes the body, which the sender does"
	transport  = "says how the request is sent, which the sender does"
	origin     = "says where a request comes from, and these come from the sender"
	cookie     = "is for browsers, whose sessions end: use Authorization, or a header of your own"
	ofResponse = "belongs to a response"
)

// names are refused, and prefixes with all names that begin with them. They are folded. Sources for
// those of a connection: RFC 9110, section 7.6.1, and RFC 9112. A Cookie would be a session that
// somebody has copied out of a browser: it works until that ends, and opens to whoever has it what
// a person may do.
var (
	names = map[string]string{
		"user-agent": ours, "traceparent": ours, "tracestate": ours,
		"connection": hop, "keep-alive": hop, "te": hop, "trailer": hop, "transfer-encoding": hop,
		"upgrade": hop, "http2-settings": hop,
		"host": transport, "expect": transport, "accept-encoding": transport, "max-forwards": transport,
		"forwarded": origin, "via": origin, "x-real-ip": origin,
		"cookie": cookie, "cookie2": cookie, "set-cookie": ofResponse, "set-cookie2": ofResponse,
	}
	prefixes = []struct{ begins, why string }{
		{"webhook-", ours}, {"x-alot-", ours}, {"proxy-", hop}, {"content-", content}, {"x-forwarded-", origin},
	}
)

// refusal says why a folded name is not allowed; "" if it is.
func refusal(name string) string {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p.begins) {
			return p.why
		}
	}
	return names[name]
}

// valueProblem returns what is wrong with a value, or "", as the end of a sentence. A blank at an end
// would not arrive.
func valueProblem(value string) string {
	switch {
	case value == "":
		return "is empty, and no value of that name is kept; give one"
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }):
		return "has a character that is neither visible ASCII nor a blank, such as a line break"
	case strings.Trim(value, " ") != value:
		return "begins or ends with a blank"
	}
	return ""
}

// isToken reports whether s can be the name of a field (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		isWord := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !isWord && (r > '~' || !strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
}

// Authorization is the name of the header that Basic and Bearer make a value of.
const Authorization = "Authorization"

// Basic returns the value of Authorization for a user and a password (RFC 7617), or the name of the
// one that cannot be sent, and why.
func Basic(user, password string) (value, field, problem string) {
	switch {
	case user == "" && password == "":
		return "", "user", "is empty, and so is the password; give one of them"
	case strings.Contains(user, ":"):
		return "", "user", "has a colon, which ends the name of a user"
	case hasControl(user):
		return "", "user", "has a control character"
	case hasControl(password):
		return "", "password", "has a control character"
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)), "", ""
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// Bearer returns the value of Authorization for a token (RFC 6750), or what is wrong with it. It takes
// more characters than the RFC does, as senders of tokens do.
func Bearer(token string) (value, problem string) {
	switch {
	case token == "":
		return "", "is empty"
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", "has a character that is not visible ASCII, such as a blank or a line break; give the token without the word Bearer"
	}
	return "Bearer " + token, ""
}
