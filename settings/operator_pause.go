package settings

import (
	"errors"
	"net/http"

	"github.com/alot/alotwebhook"
)

// pauseForm is the form that pauses, or the one that resumes.
type pauseForm struct {
	Scope                  string // all, organization or endpoint; "" if none is chosen
	Organization, Endpoint string
	Note                   string
	Problems               map[string]string // by field
	Pauses                 []pauseRow        // that there are
	Resumed                *pauseRow         // what the form ends; nil in the form that pauses
}

// newPause shows the form, filled in with what the address names.
func (o *operatorPages) newPause(v *visit) error {
	q := readQuery(v.r, "organization", "endpoint", flashName)
	f := pauseForm{Organization: q.organization("organization"), Endpoint: q.id("endpoint", endpointPrefix)}
	if err := q.refused(); err != nil {
		return err
	}
	switch {
	case f.Endpoint != "":
		f.Scope = "endpoint"
	case f.Organization != "":
		f.Scope = "organization"
	}
	return v.showPause(http.StatusOK, f)
}

func (v *visit) showPause(status int, f pauseForm) error {
	pauses, err := v.dispatcher.Pauses(v.r.Context())
	for _, p := range pauses {
		f.Pauses = append(f.Pauses, newPauseRow(p, v.base))
	}
	if err != nil {
		return err
	}
	heading := "Pause deliveries"
	if f.Resumed != nil {
		heading = "Resume deliveries"
	}
	return v.show(status, "operator_pause", view{Heading: heading, Section: "overview", Data: f})
}

func (o *operatorPages) pause(v *visit) error {
	given, err := readForm(v.r, "scope", "organization", "endpoint", "note")
	if err != nil {
		return err
	}
	f := pauseForm{
		Scope: given.get("scope"), Organization: given.get("organization"), Endpoint: given.text("endpoint"),
		Note: given.text("note"), Problems: given.problems,
	}
	f.check()
	if len(f.Problems) == 0 {
		_, err = v.dispatcher.Pause(v.r.Context(), alotwebhook.Pause{OrganizationID: f.Organization, EndpointID: f.Endpoint, Note: f.Note})
		if err == nil {
			return v.redirect("", "paused")
		}
		if err := given.addOperatorProblem(err); err != nil {
			return err
		}
	}
	return v.showPause(http.StatusUnprocessableEntity, f)
}

// check notes what is wrong with the form. What is to be paused has to be said twice, so that
// a field left empty by mistake does not pause everything.
func (f *pauseForm) check() {
	wants := map[string]string{"all": "", "organization": "organization", "endpoint": "endpoint"}
	field, ok := wants[f.Scope]
	switch {
	case !ok:
		f.Problems["scope"] = "Choose what is to be paused."
	case field == "" && f.Organization+f.Endpoint != "":
		f.Problems["scope"] = "To pause everything, leave organization and endpoint empty."
	case field == "organization" && f.Endpoint != "":
		f.Problems["scope"] = "To pause an organization, leave the endpoint empty."
	case field == "organization" && !isOrganization(f.Organization):
		f.Problems["organization"] = "Give the id of the organization."
	case field == "endpoint" && !isID(endpointPrefix, f.Endpoint):
		f.Problems["endpoint"] = "Give the id of the endpoint, such as wh_01jcc7…"
	}
	if f.Note == "" {
		f.Problems["note"] = noReason
	}
}

const noReason = "Say why you do it."

// newResume shows the form that ends a pause.
func (o *operatorPages) newResume(v *visit) error {
	q := readQuery(v.r, "organization", "endpoint", flashName)
	f := pauseForm{Organization: q.organization("organization"), Endpoint: q.id("endpoint", endpointPrefix)}
	if err := q.refused(); err != nil {
		return err
	}
	return v.showResume(http.StatusOK, f)
}

func (v *visit) showResume(status int, f pauseForm) error {
	pauses, err := v.dispatcher.Pauses(v.r.Context())
	if err != nil {
		return err
	}
	for _, p := range pauses {
		if p.OrganizationID == f.Organization && p.EndpointID == f.Endpoint {
			row := newPauseRow(p, v.base)
			f.Resumed = &row
			return v.showPause(status, f)
		}
	}
	return errNotPaused
}

var errNotPaused = pageProblem(http.StatusNotFound, "This is not paused", "Somebody may have resumed it meanwhile. The overview shows what is paused.")

func (o *operatorPages) resume(v *visit) error {
	given, err := readForm(v.r, "organization", "endpoint", "note")
	if err != nil {
		return err
	}
	f := pauseForm{Organization: given.get("organization"), Endpoint: given.text("endpoint"), Note: given.text("note"), Problems: given.problems}
	if f.Note == "" {
		f.Problems["note"] = noReason
		return v.showResume(http.StatusUnprocessableEntity, f)
	}
	err = v.dispatcher.Resume(v.r.Context(), alotwebhook.Pause{OrganizationID: f.Organization, EndpointID: f.Endpoint, Note: f.Note})
	switch {
	case err == nil:
		return v.redirect("", "resumed")
	case errors.Is(err, alotwebhook.ErrNotFound):
		return errNotPaused
	}
	if err := given.addOperatorProblem(err); err != nil {
		return err
	}
	return v.showResume(http.StatusUnprocessableEntity, f)
}
