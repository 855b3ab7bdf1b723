package settings

import (
	"cmp"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/audit"
	"github.com/alot/alotwebhook/internal/demand"
	"github.com/alot/alotwebhook/internal/text"
	"github.com/alot/alotwebhook/internal/typeid"
)

// many is what can be done with the deliveries of many endpoints.
type many struct {
	Path, Heading, Verb string
	state               alotwebhook.RecoveryState // while it is under way
	begin               func(*visit, alotwebhook.Recovery) (alotwebhook.Recovery, error)
}

var (
	recovering = many{"recover", "Send failed deliveries again", "Send", alotwebhook.RecoveryRunning,
		func(v *visit, r alotwebhook.Recovery) (alotwebhook.Recovery, error) {
			return v.dispatcher.RecoverMany(v.r.Context(), r)
		}}
	canceling = many{"cancel", "Cancel unfinished deliveries", "Cancel", alotwebhook.RecoveryCanceling,
		func(v *visit, r alotwebhook.Recovery) (alotwebhook.Recovery, error) {
			return v.dispatcher.CancelMany(v.r.Context(), r)
		}}
)

// manyForm is the form that selects deliveries, and what it has counted.
type manyForm struct {
	many
	Organization, Endpoint, Event, Type, Reason, Note string
	Since, Until                                      string // as they were filled in, in UTC
	Types                                             []string
	Reasons                                           []alotwebhook.FailureReason
	Problems                                          map[string]string  // by field
	Count                                             *alotwebhook.Count // nil before it was counted
	Uncounted                                         bool               // the store cannot count
	Counted                                           string             // when it was, in RFC 3339
	Last                                              string             // when the endpoint's last recovery was begun, at the count
}

// Cancels reports whether the form cancels.
func (f manyForm) Cancels() bool { return f.state == alotwebhook.RecoveryCanceling }

// CountedAt returns when it was counted.
func (f manyForm) CountedAt() time.Time {
	t, _ := time.Parse(time.RFC3339, f.Counted) // countMany wrote it
	return t
}

// Hidden returns the fields of the form, name and value, as the button sends them that does what
// was counted.
func (f manyForm) Hidden() [][2]string {
	return [][2]string{
		{"organization", f.Organization}, {"endpoint", f.Endpoint}, {"event", f.Event}, {"type", f.Type},
		{"reason", f.Reason}, {"since", f.Since}, {"until", f.Until}, {"note", f.Note}, {"counted", f.Counted}, {"last", f.Last},
	}
}

// manyFields are the fields of the form. What was counted goes along with the button that does it,
// in the same fields.
var manyFields = []string{"organization", "endpoint", "event", "type", "reason", "since", "until", "note", "counted", "last"}

// open shows the form, filled in with what the address names.
func (m many) open(v *visit) error {
	q := readQuery(v.r, "organization", "endpoint", "event", "type", flashName)
	f := manyForm{
		many: m, Organization: q.organization("organization"), Endpoint: q.id("endpoint", endpointPrefix),
		Event: q.id("event", eventPrefix), Type: q.eventType("type"),
	}
	if err := q.refused(); err != nil {
		return err
	}
	return v.showMany(http.StatusOK, f)
}

func (v *visit) showMany(status int, f manyForm) error {
	for _, t := range v.dispatcher.EventTypes() {
		f.Types = append(f.Types, t.Name)
	}
	if f.Type != "" && !slices.Contains(f.Types, f.Type) {
		f.Types = append(f.Types, f.Type)
	}
	f.Reasons = failureReasons
	return v.show(status, "operator_many", view{Heading: f.Heading, Section: "recoveries", Data: f})
}

// failureReasons are the reasons by which deliveries can be selected, in the order of their words.
var failureReasons = func() (list []alotwebhook.FailureReason) {
	for reason := range reasons {
		if reason != alotwebhook.ReasonProxyUnreachable && reason != alotwebhook.ReasonProxyAuthentication { // no delivery has them
			list = append(list, reason)
		}
	}
	list = append(list, alotwebhook.ReasonStatus)
	slices.SortFunc(list, func(a, b alotwebhook.FailureReason) int {
		return cmp.Compare(reasonOf(a, 0).Word, reasonOf(b, 0).Word)
	})
	return list
}()

// submit counts what the form selects. Sent by the button that stands beside the count, it begins
// what was counted.
func (m many) submit(v *visit) error {
	given, err := readForm(v.r, manyFields...)
	if err != nil {
		return err
	}
	f := manyForm{
		many: m, Organization: given.get("organization"), Endpoint: given.text("endpoint"), Event: given.text("event"),
		Type: given.get("type"), Reason: given.get("reason"), Note: given.text("note"),
		Since: given.get("since"), Until: given.get("until"), Problems: given.problems, Counted: given.get("counted"), Last: given.get("last"),
	}
	r := f.selection()
	if len(f.Problems) > 0 {
		return v.showMany(http.StatusUnprocessableEntity, f)
	}
	if f.Counted == "" {
		err = v.countMany(&f, r)
	} else {
		err = v.beginMany(f, r)
	}
	if err == nil || len(f.Problems) > 0 {
		return err
	}
	if err := given.addOperatorProblem(err); err != nil {
		return err
	}
	f.Counted = ""
	return v.showMany(http.StatusUnprocessableEntity, f)
}

// countMany shows the form with the number of deliveries that it selects now. What comes later is
// not among them: it is not selected when the work begins, either.
func (v *visit) countMany(f *manyForm, r alotwebhook.Recovery) error {
	now := time.Now().Add(time.Millisecond).Truncate(time.Millisecond)
	n, err := v.dispatcher.CountMany(v.r.Context(), f.bound(r, now))
	if f.Uncounted = errors.Is(err, errors.ErrUnsupported); !f.Uncounted && err != nil {
		return err
	}
	f.Count, f.Counted = &n, exact(now)
	if f.Endpoint != "" {
		if f.Last, err = v.lastOf(f.Endpoint); err != nil {
			return err
		}
	}
	return v.showMany(http.StatusOK, *f)
}

// beginMany begins what was counted, and leads to its page. The same form sent twice begins it once,
// whatever has become of it meanwhile: the id of a recovery over many endpoints follows from the form.
func (v *visit) beginMany(f manyForm, r alotwebhook.Recovery) error {
	counted, err := time.Parse(time.RFC3339, f.Counted)
	if err != nil {
		return badForm("It does not say when the deliveries were counted. Load the page again.")
	}
	r = f.bound(r, counted)
	if f.Endpoint != "" {
		return v.beginOne(f, r)
	}
	id := f.recoveryID(counted, audit.Actor(v.r.Context()))
	begun, err := v.dispatcher.Recovery(v.r.Context(), id)
	if errors.Is(err, alotwebhook.ErrNotFound) {
		v.r = v.r.WithContext(demand.WithID(v.r.Context(), id))
		begun, err = f.begin(v, r)
	}
	if errors.Is(err, alotwebhook.ErrRecovering) { // the same form at the same moment
		begun, err = v.dispatcher.Recovery(v.r.Context(), id)
	}
	if err != nil {
		return err
	}
	return v.redirect("recoveries/"+id, begunFlash(begun))
}

// recoveryID returns the id of the recovery that the form begins, of an operator. It is the same for
// the same form alone.
func (f *manyForm) recoveryID(counted time.Time, operator string) string {
	all := []string{f.Path, operator}
	for _, field := range f.Hidden() {
		all = append(all, field[1])
	}
	sum := text.Hash(all...)
	return typeid.Derived("rec", "rec", typeid.First("rec", counted), hex.EncodeToString(sum[:]))
}

// beginOne begins the recovery of the one endpoint that the form names. That has no id of its own, so
// that nothing is begun if it is not the same any more as it was when the form counted.
func (v *visit) beginOne(f manyForm, r alotwebhook.Recovery) error {
	last, err := v.lastOf(f.Endpoint)
	if err != nil {
		return err
	}
	if last == f.Last {
		_, err = f.begin(v, r)
		if err == nil {
			return v.redirect("recoveries/"+f.Endpoint, "begun")
		}
		if last, _ = v.lastOf(f.Endpoint); last == f.Last || !errors.Is(err, alotwebhook.ErrRecovering) {
			return err
		}
	}
	return v.redirect("recoveries/"+f.Endpoint, "counted")
}

// lastOf returns when the last recovery of an endpoint was begun; "" if there was none.
func (v *visit) lastOf(endpointID string) (string, error) {
	last, err := v.dispatcher.Recovery(v.r.Context(), endpointID)
	if errors.Is(err, alotwebhook.ErrNotFound) {
		return "", nil
	}
	return last.CreatedAt.UTC().Format(time.RFC3339Nano), err
}

// begunFlash returns the word that selects what the page of a recovery says that somebody has begun; "" if it
// has ended, which the page says.
func begunFlash(begun alotwebhook.Recovery) string {
	if begun.State.Active() {
		return "begun"
	}
	return ""
}

// bound ends the selection at the time of the count.
func (f *manyForm) bound(r alotwebhook.Recovery, counted time.Time) alotwebhook.Recovery {
	if r.Until.IsZero() || r.Until.After(counted) {
		r.Until = counted
	}
	if !f.Cancels() && (r.FailedUntil.IsZero() || r.FailedUntil.After(counted)) {
		r.FailedUntil = counted
	}
	if r.FailedUntil.Before(r.Until) && !f.Cancels() { // an event is older than its failure
		r.Until = r.FailedUntil
	}
	return r
}

// selection returns what the form selects, and notes what is wrong with it.
func (f *manyForm) selection() alotwebhook.Recovery {
	r := alotwebhook.Recovery{
		State: f.state, OrganizationID: f.Organization, EndpointID: f.Endpoint, EventID: f.Event, EventType: f.Type,
		Reason: alotwebhook.FailureReason(f.Reason), Note: f.Note,
	}
	since, until := f.time("since", f.Since), f.time("until", f.Until)
	if f.Cancels() {
		r.Since, r.Until = since, until
	} else {
		r.FailedSince, r.FailedUntil = since, until
	}
	switch {
	case f.Organization != "" && !isOrganization(f.Organization):
		f.Problems["organization"] = "This cannot be the id of an organization."
	case f.Endpoint != "" && !isID(endpointPrefix, f.Endpoint):
		f.Problems["endpoint"] = "Give the id of an endpoint, such as wh_01jcc7…"
	case f.Event != "" && !isID(eventPrefix, f.Event):
		f.Problems["event"] = "Give the id of an event, such as evt_01jcc7…"
	}
	if f.Type != "" && (len(f.Type) > 128 || !eventTypeForm.MatchString(f.Type)) {
		f.Problems["type"] = "Choose an event type from the list."
	}
	if f.Reason != "" && !slices.Contains(failureReasons, r.Reason) {
		f.Problems["reason"] = "Choose a reason from the list."
	}
	if f.Note == "" {
		f.Problems["note"] = noReason
	}
	return r
}

// time reads a time of the form, in UTC.
func (f *manyForm) time(name, given string) time.Time {
	t, ok := parseTime(given, pageLayouts)
	if given != "" && (!ok || t.IsZero()) { // a zero time would select as if nothing were filled in
		f.Problems[name] = "Give date and time, such as 2026-05-25T14:23:00."
	}
	return t
}
