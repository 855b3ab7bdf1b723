package settings

import (
	"cmp"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/alot/alotwebhook"
)

// endpointForm is the form for a new endpoint, and for a change of one.
type endpointForm struct {
	Endpoint    alotwebhook.Endpoint // none if it is new
	URL         string
	Description string
	Chosen      map[string]bool
	Types       []alotwebhook.EventType
	Problems    map[string]string
	Stale       bool
	// Version is that of the endpoint which the form shows, Issued when the
	// form was made: what tells a form that is sent twice from two forms.
	Version, Issued int64
}

func (v *visit) newForm() endpointForm {
	return endpointForm{Types: v.dispatcher.EventTypes(), Chosen: map[string]bool{}, Issued: time.Now().UnixMicro()}
}

// changeForm offers what the endpoint subscribes to even if it is in no
// catalogue any more: saving something else does not take it away.
func (v *visit) changeForm(e alotwebhook.Endpoint) endpointForm {
	f := v.newForm()
	f.Endpoint, f.Version = e, e.Version
	for _, name := range e.EventTypes {
		if !slices.ContainsFunc(f.Types, func(t alotwebhook.EventType) bool { return t.Name == name }) {
			f.Types = append(f.Types, alotwebhook.EventType{Name: name, Description: "There are no such events any more."})
		}
	}
	return f
}

// fill keeps what was filled in; a secret is never sent back.
func (f *endpointForm) fill(given *form) {
	f.URL, f.Description, f.Problems = given.get("url"), given.get("description"), given.problems
	f.Issued, _ = strconv.ParseInt(given.get("issued"), 10, 64)
	f.Chosen = map[string]bool{}
	for _, name := range given.values["events"] {
		f.Chosen[name] = true
	}
}

var endpointLabels = map[string]string{
	"url": "The URL", "description": "The description", "events": "The choice of events", "secret": "The secret",
}

func (v *visit) newEndpoint() error {
	if readQuery(v.r, flashName).err() != nil {
		return errAddress
	}
	f := v.newForm()
	f.Chosen = nil // all of them
	return v.showForm(http.StatusOK, f)
}

func (v *visit) showForm(status int, f endpointForm) error {
	heading := "Add an endpoint"
	if f.Endpoint.ID != "" {
		heading = "Edit " + site(f.Endpoint.URL)
	}
	return v.show(status, "form", view{Heading: heading, Section: "endpoints", Data: f})
}

// createEndpoint shows the secret on its own answer, the one time. Whoever
// loads that again sends the form again, and gets no second endpoint.
func (v *visit) createEndpoint() error {
	given, err := readForm(v.r, "url", "description", "events[]", "secret", "issued")
	if err != nil {
		return err
	}
	f := v.newForm()
	f.fill(given)
	existing, err := v.sentBefore(f)
	if err != nil {
		return err
	}
	if existing != "" {
		return v.redirect(existing, "existing")
	}
	secret := alotwebhook.Secret(given.get("secret"))
	created, repeated, err := v.dispatcher.CreateEndpointOnce(v.r.Context(), f.key(), alotwebhook.Endpoint{
		OrganizationID: v.organization, URL: f.URL, Description: f.Description,
		EventTypes: given.values["events"], Secret: secret,
	})
	switch {
	case err != nil:
		if err := given.refused(err, endpointLabels); err != nil {
			return err
		}
		return v.showForm(http.StatusUnprocessableEntity, f)
	case repeated:
		return v.redirect(created.ID, "existing")
	case secret != "":
		return v.redirect(created.ID, "created")
	}
	return v.showSecret(created, created.Secret, secretView{New: true})
}

// key is the form's own, as it was filled in: of two clicks at the same moment,
// which do not find each other's endpoint, one makes it.
func (f *endpointForm) key() string {
	sum := hash(strconv.FormatInt(cmp.Or(f.Issued, time.Now().UnixMicro()), 10), f.URL, f.Description)
	return "form " + hex.EncodeToString(sum[:])
}

// sentBefore returns the endpoint that the same form made already, however long ago.
func (v *visit) sentBefore(f endpointForm) (id string, err error) {
	if f.Issued == 0 {
		return "", nil
	}
	filter := alotwebhook.EndpointFilter{OrganizationID: v.organization}
	for e, err := range v.dispatcher.Endpoints(v.r.Context(), filter) {
		if err != nil {
			return "", err
		}
		if e.CreatedAt.UnixMicro() >= f.Issued && e.URL == f.URL && e.Description == f.Description {
			return e.ID, nil
		}
	}
	return "", nil
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
	f.URL, f.Description = e.URL, e.Description
	for _, name := range e.EventTypes {
		f.Chosen[name] = true
	}
	return v.showForm(http.StatusOK, f)
}

func (v *visit) updateEndpoint() error {
	given, err := readForm(v.r, "url", "description", "events[]", "version")
	if err != nil {
		return err
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
	changed.URL, changed.Description, changed.EventTypes = f.URL, f.Description, given.values["events"]
	_, err = v.dispatcher.UpdateEndpoint(v.r.Context(), changed)
	if err == nil {
		return v.redirect(e.ID, "updated")
	}
	if err := given.refused(err, endpointLabels); err != nil {
		return err
	}
	return v.showForm(http.StatusUnprocessableEntity, f)
}
