package settings

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
)

// Sizes of a page.
const (
	defaultPage = 50
	maxPage     = 100
)

// query reads the parameters of a request and gathers what is wrong with them.
// An empty parameter counts as absent: forms send all of their fields.
type query struct {
	values url.Values
	errs   []fieldProblem
}

// readQuery refuses parameters that are not known: one that is misspelt would
// otherwise select everything.
func readQuery(r *http.Request, known ...string) *query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	q := &query{values: values}
	if err != nil {
		q.refuse("query", "is not well formed; percent-encode its values")
	}
	for name, given := range values {
		switch {
		case !slices.Contains(known, name):
			q.refuse(clip(name), "is not known here; correct it or leave it out")
		case len(given) > 1:
			q.refuse(name, "is given more than once")
		}
	}
	return q
}

func (q *query) refuse(name, detail string) {
	q.errs = append(q.errs, fieldProblem{name, detail})
}

// err refuses the request if any parameter was refused.
func (q *query) err() error {
	if len(q.errs) == 0 {
		return nil
	}
	slices.SortFunc(q.errs, func(a, b fieldProblem) int { return strings.Compare(a.Field, b.Field) })
	return malformed(summary(q.errs), q.errs...)
}

// cursor reads the id of the last item of the page before.
func (q *query) cursor(prefix string) string {
	cursor := q.values.Get("cursor")
	if cursor != "" && !isID(prefix, cursor) {
		q.refuse("cursor", "is not a nextCursor of this list")
	}
	return cursor
}

// limit reads how many items a page has.
func (q *query) limit() int {
	given := q.values.Get("limit")
	if given == "" {
		return defaultPage
	}
	n, err := strconv.Atoi(given)
	if err != nil || n < 1 || n > maxPage {
		q.refuse("limit", "must be a number from 1 to "+strconv.Itoa(maxPage))
	}
	return n
}

var states = []string{
	string(alotwebhook.StatePending), string(alotwebhook.StateDelivered),
	string(alotwebhook.StateFailed), string(alotwebhook.StateParked),
}

func (q *query) state(name string) alotwebhook.DeliveryState {
	state := q.values.Get(name)
	if state != "" && !slices.Contains(states, state) {
		q.refuse(name, "must be one of "+strings.Join(states, ", "))
	}
	return alotwebhook.DeliveryState(state)
}

var eventTypeForm = regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)*$`)

// eventType reads a type; the history may have some that are in no catalogue any more.
func (q *query) eventType(name string) string {
	eventType := q.values.Get(name)
	if eventType != "" && (len(eventType) > 128 || !eventTypeForm.MatchString(eventType)) {
		q.refuse(name, "is not an event type, such as "+alotwebhook.EventCandidateCompleted)
	}
	return eventType
}

func (q *query) time(name string) time.Time {
	given := q.values.Get(name)
	if given == "" {
		return time.Time{}
	}
	// A + that was not percent-encoded arrives as a blank.
	t, err := time.Parse(time.RFC3339, strings.Replace(given, " ", "+", 1))
	if err != nil {
		q.refuse(name, "must be a time such as 2026-05-25T14:23:00Z")
	}
	return t
}

var idSuffix = regexp.MustCompile(`^[0-7][0-9a-hjkmnp-tv-z]{25}$`)

// isID reports whether id is one of ours by its form: nothing else is asked of a store.
func isID(prefix, id string) bool {
	suffix, ok := strings.CutPrefix(id, prefix)
	return ok && idSuffix.MatchString(suffix)
}
