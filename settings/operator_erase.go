package settings

import (
	"net/http"
	"net/url"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/envelope"
)

// erasureForm is the form that says whose data is to be erased, or the organization to remove.
type erasureForm struct {
	Organization, Event, Subject, Since, Until, Note string
	From, To                                         *time.Time        // Since and Until as they were read; nil for none
	Again                                            string            // the organization once more, to be sure
	Problems                                         map[string]string // by field
	Sure                                             bool              // what is to be erased is shown once more
	Found                                            string            // address of the deliveries that this is about
}

// Hidden returns the fields of the form, name and value, as the button sends them that erases.
func (f erasureForm) Hidden() [][2]string {
	return [][2]string{
		{"organization", f.Organization}, {"event", f.Event}, {"subject", f.Subject},
		{"since", f.Since}, {"until", f.Until}, {"note", f.Note}, {"sure", "yes"},
	}
}

// newErasure shows the form, filled in with what the address names.
func (o *operatorPages) newErasure(v *visit) error {
	q := readQuery(v.r, "organization", "event", "subject", flashName)
	f := erasureForm{Organization: q.organization("organization"), Event: q.id("event", eventPrefix), Subject: q.subject("subject")}
	if err := q.refused(); err != nil {
		return err
	}
	return v.showErasure(http.StatusOK, f)
}

func (v *visit) showErasure(status int, f erasureForm) error {
	return v.show(status, "operator_erase", view{Heading: "Erase personal data", Section: "recoveries", Data: f})
}

// erase shows once more what the form selects. Sent by the button that stands there, it begins to
// erase that.
func (o *operatorPages) erase(v *visit) error {
	given, err := readForm(v.r, "organization", "event", "subject", "since", "until", "note", "sure")
	if err != nil {
		return err
	}
	f := erasureForm{
		Organization: given.get("organization"), Event: given.text("event"), Subject: given.get("subject"),
		Since: given.get("since"), Until: given.get("until"), Note: given.text("note"), Problems: given.problems,
	}
	r := f.selection()
	if len(f.Problems) > 0 {
		return v.showErasure(http.StatusUnprocessableEntity, f)
	}
	if given.get("sure") == "yes" {
		return v.begin(given, func() (alotwebhook.Recovery, error) { return v.dispatcher.Erase(v.r.Context(), r) }, func() error {
			return v.showErasure(http.StatusUnprocessableEntity, f)
		})
	}
	f.Sure, f.Found = true, v.deliveriesOf(r)
	return v.showErasure(http.StatusOK, f)
}

// begin begins a recovery and leads to its page, or has refused show the form with what is wrong.
func (v *visit) begin(given *form, do func() (alotwebhook.Recovery, error), refused func() error) error {
	begun, err := do()
	if err == nil {
		return v.redirect("recoveries/"+begun.EndpointID, "begun")
	}
	if err := given.addOperatorProblem(err); err != nil {
		return err
	}
	return refused()
}

// selection returns what the form selects, and notes what is wrong with it.
func (f *erasureForm) selection() alotwebhook.Recovery {
	times := manyForm{Problems: f.Problems}
	r := alotwebhook.Recovery{
		OrganizationID: f.Organization, EventID: f.Event, Subject: f.Subject, Note: f.Note,
		Since: times.time("since", f.Since), Until: times.time("until", f.Until),
	}
	switch {
	case f.Organization != "" && !isOrganization(f.Organization):
		f.Problems["organization"] = "This cannot be the id of an organization."
	case f.Event != "" && !isID(eventPrefix, f.Event):
		f.Problems["event"] = "Give the id of an event, such as evt_01jcc7…"
	case envelope.SubjectProblem(f.Subject) != "":
		f.Problems["subject"] = "Give the subject as it was emitted: at most 128 bytes of plain text."
	case f.Organization+f.Event+f.Subject == "":
		f.Problems["subject"] = "Say whose data it is: name a subject, an event or an organization."
	}
	if f.Note == "" {
		f.Problems["note"] = noReason
	}
	if !r.Since.IsZero() {
		f.From = &r.Since
	}
	if !r.Until.IsZero() {
		f.To = &r.Until
	}
	return r
}

// deliveriesOf returns the address of the deliveries that an erasure is about.
func (v *visit) deliveriesOf(r alotwebhook.Recovery) string {
	selected := url.Values{}
	for name, value := range map[string]string{
		"organization": r.OrganizationID, "event": r.EventID, "subject": r.Subject, "since": input(r.Since), "until": input(r.Until),
	} {
		if value != "" {
			selected.Set(name, value)
		}
	}
	return v.base + "/deliveries?" + selected.Encode()
}

// newRemoval shows the form that removes an organization.
func (o *operatorPages) newRemoval(v *visit) error {
	q := readQuery(v.r, "organization", flashName)
	f := erasureForm{Organization: q.organization("organization")}
	if err := q.refused(); err != nil {
		return err
	}
	return v.showRemoval(http.StatusOK, f)
}

func (v *visit) showRemoval(status int, f erasureForm) error {
	return v.show(status, "operator_remove", view{Heading: "Remove an organization", Section: "recoveries", Data: f})
}

// remove begins to remove an organization whose id was typed twice.
func (o *operatorPages) remove(v *visit) error {
	given, err := readForm(v.r, "organization", "again", "note")
	if err != nil {
		return err
	}
	f := erasureForm{Organization: given.get("organization"), Again: given.get("again"), Note: given.text("note"), Problems: given.problems}
	switch {
	case !isOrganization(f.Organization):
		f.Problems["organization"] = "Give the id of the organization."
	case f.Again != f.Organization:
		f.Problems["again"] = "This is not the id above. Type it once more, to be sure."
	}
	if f.Note == "" {
		f.Problems["note"] = noReason
	}
	if len(f.Problems) > 0 {
		return v.showRemoval(http.StatusUnprocessableEntity, f)
	}
	return v.begin(given, func() (alotwebhook.Recovery, error) {
		return v.dispatcher.Remove(v.r.Context(), f.Organization, f.Note)
	}, func() error { return v.showRemoval(http.StatusUnprocessableEntity, f) })
}
