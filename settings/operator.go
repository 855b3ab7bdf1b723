package settings

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/audit"
	"github.com/alot/alotwebhook/internal/text"
)

// OperatorOptions say how the operators' API or pages fit into the host. Operators see all
// organizations.
type OperatorOptions struct {
	// Operator returns the name of who makes a request, by the host's own authentication of the
	// people who run it. What they do has that name: see [alotwebhook.WithActor]. A request gets
	// 401 if Operator returns an error or "". The error is neither shown nor logged, because it
	// may quote a token. Let in nobody who is not an operator, such as a customer with a session
	// of the same host. Operator is required.
	Operator func(*http.Request) (name string, err error)

	// May reports whether a request may do something: see [Options.May], which is asked in the
	// same way about the actions of customers. Operators' requests need [ActionPause],
	// [ActionCancel] and [ActionErase] besides. Return false for an action that you do not know. May is required,
	// so that nobody opens everything by forgetting it.
	May func(*http.Request, Action) bool

	// Logger gets a record of each request that failed because of an error of the dispatcher or
	// its store.
	// Defaults to the dispatcher's: [alotwebhook.Config.Logger].
	Logger *slog.Logger

	// TrustedOrigins are further sites whose pages may change something: see
	// [Options.TrustedOrigins].
	// Defaults to none.
	TrustedOrigins []string

	// The fields from here on are for [NewOperatorPages] alone. They are as in [Options], but
	// that Title defaults to "Webhooks: operations".

	Prefix, Title, Product, HomeURL, LogoURL, LoginURL, Stylesheet string
}

// check refuses a missing dispatcher, and options without authentication or rights.
func (o *OperatorOptions) check(d *alotwebhook.Dispatcher) error {
	switch {
	case d == nil:
		return &alotwebhook.FieldError{Field: "dispatcher", Problem: "is nil; make one with NewDispatcher"}
	case o == nil || o.Operator == nil:
		return &alotwebhook.FieldError{Field: "Operator", Problem: "is nil; give the function that authenticates an operator"}
	case o.May == nil:
		return &alotwebhook.FieldError{Field: "May", Problem: "is nil; give the function that says what an operator may do"}
	}
	return nil
}

// errNoOperator says that a request comes from nobody who runs the host.
var errNoOperator = errors.New("alotwebhook: settings: not an operator")

// admit returns the request as one of the operator who makes it, and what it may do. It returns
// errNoOperator, and nothing of the host's error, if nobody is signed in.
func (o *OperatorOptions) admit(r *http.Request) (*http.Request, rights, error) {
	name, err := o.Operator(r)
	if err != nil || name == "" {
		return r, nil, errNoOperator
	}
	may := askAbout(operatorActions, r, o.May)
	return r.WithContext(audit.WithOperator(r.Context(), name)), may, nil
}

// organizationSegment returns an organization's id as one segment of an escaped path. Browsers
// and proxies resolve the segments "." and ".." even if they are escaped, so that a "~" stands
// before these, and before an id that begins with one.
func organizationSegment(id string) string {
	if id == "." || id == ".." || strings.HasPrefix(id, "~") {
		id = "~" + id
	}
	return url.PathEscape(id)
}

// maxOrganizationID is the longest id of an organization, in bytes.
const maxOrganizationID = 255

// organizationIn returns the organization whose id an escaped segment is, and whether it is one.
func organizationIn(segment string) (id string, ok bool) {
	id, err := url.PathUnescape(segment)
	id = strings.TrimPrefix(id, "~")
	return id, err == nil && isOrganization(id)
}

// isOrganization reports whether a text can be the id of an organization.
func isOrganization(id string) bool {
	return id != "" && len(id) <= maxOrganizationID && text.IsPlain(id)
}
