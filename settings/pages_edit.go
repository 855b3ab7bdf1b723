package settings

import (
	"cmp"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/fault"
	"github.com/alot/alotwebhook/internal/text"
)

// endpointForm is the form to add an endpoint, or to change one.
type endpointForm struct {
	Endpoint    alotwebhook.Endpoint // zero in the form to add one
	URL         string
	Description string
	Rate        string // as it was filled in
	Ordered     bool
	Chosen      map[string]bool // event types; nil for all that are not deprecated
	Types       []alotwebhook.EventType
	stars       bool              // the host allows new subscriptions with a star
	Wide        []wide            // the subscriptions with a star that it offers
	Versions    []string          // of payloads, from the oldest to today's; offered if there are several
	Version     string            // the one that is chosen
	Problems    map[string]string // by field
	Refused     *problem          // why nothing was saved, if it is not for a field; else nil
	Stale       bool              // the endpoint was changed after the form was opened
	Revision    int64             // the version of the endpoint that the form shows
	Issued      int64             // when the form was made, in microseconds since 1970

	Headers       string // a line for each, without its value
	Auth          string // how Authorization is to be set: basic, bearer, or "" for not at all
	NoCertificate bool   // the client certificate is to be removed
	Typed         bool   // values were typed that are not sent back
	MayCredit     bool   // the visitor may give headers and a certificate
}

// Ticked reports whether the form shows an event type as chosen.
func (f endpointForm) Ticked(eventType string) bool {
	if f.Chosen != nil {
		return f.Chosen[eventType]
	}
	return slices.ContainsFunc(f.Types, func(t alotwebhook.EventType) bool { return t.Name == eventType && t.Deprecated == "" })
}

// Newest returns today's version of payloads.
func (f endpointForm) Newest() string { return f.Versions[len(f.Versions)-1] }

func (v *visit) newForm() endpointForm {
	f := endpointForm{Types: v.dispatcher.EventTypes(), Chosen: map[string]bool{}, Issued: time.Now().UnixMicro(), MayCredit: v.mayCredit()}
	f.stars, f.Versions = v.dispatcher.Offers()
	f.Wide = wides(f.Types, f.stars, nil)
	if len(f.Versions) > 0 {
		f.Version = f.Newest()
	}
	return f
}

// changeForm returns the form to change an endpoint. It also offers event types that
// the endpoint subscribes to, but that are no longer in the catalogue: otherwise they
// would be lost when somebody changes anything else.
func (v *visit) changeForm(e alotwebhook.Endpoint) endpointForm {
	f := v.newForm()
	f.Endpoint, f.Revision = e, e.Version
	f.Wide = wides(f.Types, f.stars, e.EventTypes)
	if len(f.Versions) > 0 {
		f.Version = cmp.Or(e.PayloadVersion, f.Versions[0])
	}
	for _, name := range e.EventTypes {
		if !isWide(name) && !slices.ContainsFunc(f.Types, func(t alotwebhook.EventType) bool { return t.Name == name }) {
			f.Types = append(f.Types, alotwebhook.EventType{Name: name, Description: "This event type no longer exists."})
		}
	}
	return f
}

// fill puts what was filled in back into the form, except for the secret, which is never
// sent back.
func (f *endpointForm) fill(given *form) {
	f.URL, f.Description, f.Rate, f.Problems = strings.TrimSpace(given.get("url")), given.get("description"), given.get("rate"), given.problems
	f.Ordered, f.Version = given.get("ordered") != "", cmp.Or(given.get("payloadVersion"), f.Version)
	f.fillCredentials(given)
	f.Issued, _ = strconv.ParseInt(given.get("issued"), 10, 64)
	f.Chosen = map[string]bool{}
	for _, name := range given.values["events"] {
		f.Chosen[name] = true
	}
}

// endpointLabels are the subjects of the problems that a form about an endpoint shows,
// by the field of the problem.
var endpointLabels = map[string]string{
	"url": "The URL", "description": "The description", "events": "The event", "secret": "The secret", "rate": "The limit", "payloadVersion": "The version",
	"headers": "The headers", "headers.name": "The header", "headers.value": "The value", "user": "The user", "password": "The password", "token": "The token",
	"clientCertificate": "The client certificate",
}

func (v *visit) newEndpoint() error {
	if readQuery(v.r, flashName).err() != nil {
		return errAddress
	}
	f := v.newForm()
	f.Chosen = nil
	return v.showForm(http.StatusOK, f)
}

func (v *visit) showForm(status int, f endpointForm) error {
	heading := "Add an endpoint"
	if f.Endpoint.ID != "" {
		heading = "Edit " + site(f.Endpoint.URL)
	}
	return v.show(status, "form", view{Heading: heading, Section: "endpoints", Data: f})
}

// createEndpoint adds an endpoint. Its response is the only page that shows a
// generated secret. When a visitor reloads that page, the browser sends the form
// again: that leads to the endpoint that exists, and makes no second one.
func (v *visit) createEndpoint() error {
	given, err := readForm(v.r, "url", "description", "events[]", "rate", "ordered", "payloadVersion", "secret", "issued", "headers", "auth", "user", "password", "token", "clientCertificate", "noCertificate")
	if err != nil {
		return err
	}
	f := v.newForm()
	f.fill(given)
	if f.isOld() {
		f.Issued, f.Refused = time.Now().UnixMicro(), errOldForm
		return v.showForm(errOldForm.Status, f)
	}
	rate, err := f.perSecond()
	secret := alotwebhook.Secret(given.get("secret"))
	asked := alotwebhook.Endpoint{
		OrganizationID: v.who.organization, URL: f.URL, Description: f.Description,
		EventTypes: widest(given.values["events"]), Rate: rate, Ordered: f.Ordered, PayloadVersion: given.get("payloadVersion"), Secret: secret,
	}
	if err := fault.All(err, given.credentials(&asked)); err != nil {
		return v.refuseForm(f, given, err)
	}
	created, repeated, err := v.dispatcher.CreateEndpointOnce(v.r.Context(), f.key(), asked)
	switch {
	case err == nil && repeated, errors.Is(err, alotwebhook.ErrKeyReused): // the latter after going back in the browser
		return v.redirect(created.ID, "existing")
	case err != nil:
		return v.refuseForm(f, given, err)
	}
	same, err := v.sameURL(created)
	if err != nil { // the endpoint is added all the same, and its secret is to be shown now
		v.logFailure(err)
	}
	switch {
	case secret != "" && same > 0:
		return v.redirect(created.ID, "again")
	case secret != "":
		return v.redirect(created.ID, "created")
	}
	return v.showSecret(created, created.Secret, secretView{New: true, Same: same})
}

// sameURL counts the other endpoints that have the URL of an endpoint, among the oldest of its host.
// They get the same events once more.
func (v *visit) sameURL(e alotwebhook.Endpoint) (same int, err error) {
	u, err := url.Parse(e.URL)
	if err != nil {
		return 0, nil // the dispatcher has taken it
	}
	f := alotwebhook.EndpointFilter{OrganizationID: v.who.organization, URLPart: u.Hostname()}
	found, _, err := endpointPage(v.r.Context(), v.dispatcher, f, endpointsPage)
	for _, other := range found {
		if other.ID != e.ID && plainURL(other.URL) == plainURL(e.URL) {
			same++
		}
	}
	return same, err
}

// plainURL returns a URL in the form in which two that lead to the same place are equal.
func plainURL(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return link
	}
	u.Host = strings.TrimSuffix(strings.ToLower(u.Host), map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String()
}

// key returns the key under which the dispatcher makes one endpoint for a form, also
// if the form is sent twice at the same moment. It is the same for the same form with
// the same values.
func (f *endpointForm) key() string {
	sum := text.Hash(strconv.FormatInt(cmp.Or(f.Issued, time.Now().UnixMicro()), 10), f.URL, f.Description, f.Rate, strconv.FormatBool(f.Ordered))
	return "form " + hex.EncodeToString(sum[:])
}

// perSecond returns the rate that was filled in; 0 if none was. It refuses what the dispatcher
// would, since a form says "leave it empty" where an API says 0.
func (f *endpointForm) perSecond() (float64, error) {
	if strings.TrimSpace(f.Rate) == "" {
		return 0, nil
	}
	rate, err := strconv.ParseFloat(strings.TrimSpace(f.Rate), 64)
	if err != nil || !(rate >= 0.01 && rate <= 10_000) { // NaN is not
		return 0, &alotwebhook.FieldError{Field: "rate", Problem: "must be a number from 0.01 to 10000, such as 5 or 0.5; leave it empty for no limit"}
	}
	return rate, nil
}

// maxFormAge is for how long a form can be sent. The dispatcher knows the key of an endpoint
// that it made in this time, and so finds out that a form comes again.
const maxFormAge = 24 * time.Hour

// isOld reports whether the form may have made an endpoint whose key is not known any more.
func (f *endpointForm) isOld() bool {
	return f.Issued != 0 && time.Since(time.UnixMicro(f.Issued)) > maxFormAge
}

func (v *visit) editEndpoint() error {
	if readQuery(v.r).err() != nil {
		return errAddress
	}
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	f := v.changeForm(e)
	f.URL, f.Description, f.Ordered, f.Headers = e.URL, e.Description, e.Ordered, headerLines(e.Headers)
	if e.Rate != 0 {
		f.Rate = decimal(e.Rate)
	}
	for _, name := range e.EventTypes {
		f.Chosen[name] = true
	}
	return v.showForm(http.StatusOK, f)
}

func (v *visit) updateEndpoint() error {
	given, err := readForm(v.r, "url", "description", "events[]", "rate", "ordered", "payloadVersion", "version", "headers", "auth", "user", "password", "token", "clientCertificate", "noCertificate")
	if err != nil {
		return err
	}
	if given.has(credentialFields) && !v.mayCredit() {
		return v.notAllowed(toCredit.missing(v.who.may))
	}
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	f := v.changeForm(e)
	f.fill(given)
	if given.get("version") != strconv.FormatInt(e.Version, 10) {
		f.Stale = true
		return v.showForm(http.StatusConflict, f)
	}
	changed := e
	changed.Ordered = f.Ordered
	changed.Rate, err = f.perSecond()
	changed.URL, changed.Description, changed.EventTypes = f.URL, f.Description, widest(given.values["events"])
	changed.PayloadVersion = cmp.Or(given.get("payloadVersion"), e.PayloadVersion)
	if err = fault.All(err, given.credentials(&changed)); err != nil {
		return v.refuseForm(f, given, err)
	}
	_, err = v.dispatcher.UpdateEndpoint(v.r.Context(), changed)
	if err == nil {
		return v.redirect(e.ID, "updated")
	}
	return v.refuseForm(f, given, err)
}

// refuseForm shows the form again, with what the dispatcher's error says. It returns an
// error that is about neither a field nor a limit.
func (v *visit) refuseForm(f endpointForm, given *form, err error) error {
	var limit *alotwebhook.LimitError
	if errors.As(err, &limit) {
		f.Refused = v.overLimit(limit)
		return v.showForm(f.Refused.Status, f)
	}
	if err := given.addProblem(err, endpointLabels); err != nil {
		return err
	}
	if meant := f.meantURL(); meant != "" && given.problems["url"] != "" {
		given.problems["url"] = "The URL does not begin with https://. Did you mean " + meant + "?"
	}
	return v.showForm(http.StatusUnprocessableEntity, f)
}

// meantURL returns the URL that somebody meant who typed it without its beginning; "" if that
// cannot be told.
func (f *endpointForm) meantURL() string {
	host, _, _ := strings.Cut(f.URL, "/")
	meant, err := url.Parse("https://" + f.URL)
	if err != nil || strings.Contains(f.URL, "://") || strings.ContainsAny(host, "@: ") || !strings.Contains(strings.Trim(host, "."), ".") {
		return ""
	}
	return meant.String()
}
