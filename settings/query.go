package settings

import (
	"cmp"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/envelope"
	"github.com/alot/alotwebhook/internal/storable"
	"github.com/alot/alotwebhook/internal/text"
)

// query reads the parameters of a request and gathers what is wrong with them.
// An empty parameter counts as absent, because forms send all of their fields.
type query struct {
	values   url.Values
	problems []fieldProblem
	// labels are the names that a page shows for its parameters, by parameter. A
	// problem calls a parameter by its label, if it has one.
	labels map[string]string
	// many is set for the deliveries of all organizations: they can be selected by the states in
	// which they are not finished.
	many bool
}

// readQuery reads the parameters of a request. It refuses a parameter that is not
// known, because a misspelt filter would select everything.
func readQuery(r *http.Request, known ...string) *query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	q := &query{values: values}
	if err != nil {
		q.refuse("query", "is not well formed; percent-encode its values")
	}
	for name, given := range values {
		switch {
		case !slices.Contains(known, name):
			q.refuse(text.Clip(name, maxQuoted), "is not known here; correct it or leave it out")
		case len(given) > 1:
			q.refuse(name, "is given more than once")
		}
	}
	return q
}

// maxQuoted is how much of a name that a client chose is repeated in a response,
// in bytes.
const maxQuoted = 64

// label returns the name by which a problem calls a parameter.
func (q *query) label(name string) string { return cmp.Or(q.labels[name], name) }

func (q *query) refuse(name, detail string) {
	q.problems = append(q.problems, fieldProblem{name, detail})
}

// err returns a problem that names each parameter that was refused; nil if none was.
func (q *query) err() error {
	if len(q.problems) == 0 {
		return nil
	}
	for i, p := range q.problems {
		q.problems[i].Field = q.label(p.Field)
	}
	slices.SortFunc(q.problems, func(a, b fieldProblem) int { return strings.Compare(a.Field, b.Field) })
	return malformed(summary(q.problems), q.problems...)
}

// refused returns the problem of a page whose filter was refused; nil if none was.
func (q *query) refused() error {
	if q.err() == nil {
		return nil
	}
	return pageProblem(http.StatusBadRequest, "We could not read that filter", summary(q.problems))
}

// beside returns what is wrong with the fields of a page's form, by field. The error is that of
// refused if anything is wrong with what no field shows.
func (q *query) beside() (problems map[string]string, err error) {
	problems = map[string]string{}
	for _, p := range q.problems {
		if q.labels[p.Field] == "" {
			return nil, q.refused()
		}
		problems[p.Field] = q.label(p.Field) + " " + p.Detail + "."
	}
	return problems, nil
}

// filter reads the filters that the API's list of deliveries and the history page
// have in common. The times are in one of the layouts.
func (q *query) filter(layouts ...string) alotwebhook.Filter {
	f := alotwebhook.Filter{
		State: q.state("status"), EventType: q.eventType("type"),
		Since: q.time("since", layouts), Until: q.time("until", layouts),
	}
	f.OnlyTests, f.NoTests = q.tests("test")
	q.inOrder(f.Since, f.Until)
	return f
}

// tests reads whether only deliveries of tests are wanted, or none.
func (q *query) tests(name string) (only, none bool) {
	given := q.values.Get(name)
	if given != "" && given != "true" && given != "false" {
		q.refuse(name, "must be true, false or left out")
	}
	return given == "true", given == "false"
}

// testsOf is the reverse of tests.
func testsOf(f alotwebhook.Filter) string {
	switch {
	case f.OnlyTests:
		return "true"
	case f.NoTests:
		return "false"
	}
	return ""
}

// inOrder refuses an end of a time that does not follow its beginning.
func (q *query) inOrder(since, until time.Time) {
	if !since.IsZero() && !until.IsZero() && !since.Before(until) {
		q.refuse("until", "must be later than "+q.label("since"))
	}
}

// subject reads whom events are about.
func (q *query) subject(name string) string {
	given := q.values.Get(name)
	if problem := envelope.SubjectProblem(given); problem != "" {
		q.refuse(name, problem)
	}
	return given
}

var states = []string{
	string(alotwebhook.StatePending), string(alotwebhook.StateDelivered),
	string(alotwebhook.StateFailed), string(alotwebhook.StateParked),
}

// states returns the states that a delivery can be selected by.
func (q *query) states() []string {
	if q.many {
		return append(slices.Clip(states), string(alotwebhook.StateUnfinished))
	}
	return states
}

func (q *query) state(name string) alotwebhook.DeliveryState {
	state := q.values.Get(name)
	if state != "" && !slices.Contains(q.states(), state) {
		q.refuse(name, "must be one of "+strings.Join(q.states(), ", "))
	}
	return alotwebhook.DeliveryState(state)
}

var eventTypeForm = regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)*$`)

// isEventType reports whether a text can be the name of an event type.
func isEventType(name string) bool { return len(name) <= 128 && eventTypeForm.MatchString(name) }

// eventType reads an event type. It need not be in the catalogue: the history may
// have types that were removed from it.
func (q *query) eventType(name string) string {
	eventType := q.values.Get(name)
	if eventType != "" && !isEventType(eventType) {
		q.refuse(name, "must be an event type such as "+alotwebhook.EventCandidateCompleted)
	}
	return eventType
}

// apiLayouts are the forms of a time that the API reads.
var apiLayouts = []string{time.RFC3339}

// pageLayouts are the forms of a time that the pages read: those in which a
// browser sends the value of a datetime-local field, taken as UTC, and that of the
// API.
var pageLayouts = []string{"2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339}

// time reads a time in one of the layouts.
func (q *query) time(name string, layouts []string) time.Time {
	given := q.values.Get(name)
	if given == "" {
		return time.Time{}
	}
	given = strings.Replace(given, " ", "+", 1) // a + that the client did not percent-encode
	t, ok := parseTime(given, layouts)
	if !ok || t.IsZero() && name == "until" { // a zero time would be no end
		q.refuse(name, "must be a time such as 2026-05-25T14:23:00Z")
	} else if problem := storable.TimeProblem(t); problem != "" {
		q.refuse(name, problem)
	}
	return t
}

// parseTime reads a time in one of the layouts.
func parseTime(given string, layouts []string) (time.Time, bool) {
	for _, layout := range layouts {
		if t, err := time.Parse(layout, given); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// id reads an id with one of the prefixes. White space around it is left out: people paste ids.
func (q *query) id(name string, prefixes ...string) string {
	id := strings.TrimSpace(q.values.Get(name))
	if id != "" && !slices.ContainsFunc(prefixes, func(prefix string) bool { return isID(prefix, id) }) {
		q.refuse(name, "must be an id such as "+strings.Join(prefixes, "01jcc7… or ")+"01jcc7…")
	}
	return id
}

// organization reads the id of an organization.
func (q *query) organization(name string) string {
	id := q.values.Get(name)
	if id != "" && !isOrganization(id) {
		q.refuse(name, "must be the id of an organization: at most 255 bytes without control characters")
	}
	return id
}

// yes reads a box that is ticked or not.
func (q *query) yes(name string) bool {
	given := q.values.Get(name)
	if given != "" && given != "yes" {
		q.refuse(name, "must be yes or left out")
	}
	return given == "yes"
}

// cursor reads the cursor of a list on the pages: the id of the last item of the
// page before.
func (q *query) cursor(prefix string) string {
	cursor := q.values.Get("cursor")
	if cursor != "" && !isID(prefix, cursor) {
		q.refuse("cursor", "is not a place in this list")
	}
	return cursor
}

// The number of items on a page of a list.
const (
	defaultLimit = 50
	maxLimit     = 100
)

// limit reads how many items a page of a list may have.
func (q *query) limit() int {
	given := q.values.Get("limit")
	if given == "" {
		return defaultLimit
	}
	n, err := strconv.Atoi(given)
	if err != nil || n < 1 || n > maxLimit {
		q.refuse("limit", "must be a number from 1 to "+strconv.Itoa(maxLimit))
	}
	return n
}
