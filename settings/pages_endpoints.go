package settings

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/alot/alotwebhook"
)

// endpointsPage is how many endpoints a page lists: more than most
// organizations have, so that all that need attention stand first.
const endpointsPage = 100

// standing is how an endpoint is doing, in a word with its shape.
type standing struct {
	Word, Icon string
	Attention  bool
}

func standingOf(e alotwebhook.Endpoint) standing {
	switch {
	case e.DisabledReason == alotwebhook.DisabledFailing:
		return standing{"Disabled after failures", "failed", true}
	case e.DisabledReason == alotwebhook.DisabledGone:
		return standing{"Disabled: gone", "failed", true}
	case e.Disabled:
		return standing{"Disabled", "parked", false}
	case !e.FailingSince.IsZero():
		return standing{"Failing", "failing", true}
	}
	return standing{"Enabled", "delivered", false}
}

// endpointRow is an endpoint in the list.
type endpointRow struct {
	alotwebhook.Endpoint
	Standing    standing
	Day         day
	LastFailure newestFailure
}

type endpointsView struct {
	Attention, Rest []endpointRow
	Next            string // cursor
	First           bool
}

// Empty reports whether the organization has none at all.
func (l endpointsView) Empty() bool { return l.First && len(l.Attention)+len(l.Rest) == 0 }

func (v *visit) listEndpoints() error {
	q := readQuery(v.r, "cursor", flashName)
	cursor := q.cursor(endpointPrefix)
	if q.err() != nil {
		return errAddress
	}
	found, next, err := v.endpoints(cursor, endpointsPage)
	if err != nil {
		return err
	}
	days, err := v.days(found...)
	if err != nil {
		return err
	}
	list := endpointsView{Next: next, First: cursor == ""}
	for _, e := range found {
		row := endpointRow{Endpoint: e, Standing: standingOf(e), Day: days[e.ID]}
		if row.LastFailure, err = v.lastFailure(e.ID); err != nil {
			return err
		}
		if row.Standing.Attention {
			list.Attention = append(list.Attention, row)
		} else {
			list.Rest = append(list.Rest, row)
		}
	}
	slices.SortStableFunc(list.Attention, func(a, b endpointRow) int { // those that get nothing first
		return boolean(b.Disabled) - boolean(a.Disabled)
	})
	slices.SortStableFunc(list.Rest, func(a, b endpointRow) int { // those that take part first
		return boolean(a.Disabled) - boolean(b.Disabled)
	})
	return v.show(http.StatusOK, "endpoints", view{Heading: "Endpoints", Section: "endpoints", Data: list})
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// endpoints returns the organization's, at most limit, and where the next page begins.
func (v *visit) endpoints(cursor string, limit int) (found []alotwebhook.Endpoint, next string, err error) {
	return endpointsOf(v.r.Context(), v.dispatcher, v.organization, cursor, limit)
}

// days returns the last 24 hours of endpoints, by their ids.
func (v *visit) days(endpoints ...alotwebhook.Endpoint) (map[string]day, error) {
	now := time.Now()
	ids := make([]string, len(endpoints))
	for i, e := range endpoints {
		ids[i] = e.ID
	}
	tallies, err := v.dispatcher.Tallies(v.r.Context(), now.Add(-(chartHours-1)*time.Hour), ids...)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil // the zero day says that nothing is known
	}
	if err != nil {
		return nil, err
	}
	byEndpoint := map[string][]alotwebhook.Tally{}
	for _, t := range tallies {
		byEndpoint[t.EndpointID] = append(byEndpoint[t.EndpointID], t)
	}
	days := make(map[string]day, len(ids))
	for _, id := range ids {
		days[id] = newDay(byEndpoint[id], now)
	}
	return days, nil
}

// newestFailure is the newest failed delivery to an endpoint, if there is one.
type newestFailure struct {
	Delivery *alotwebhook.Delivery // nil if none was found
	Unsure   bool                  // there may be one further back
}

func (v *visit) lastFailure(endpointID string) (newestFailure, error) {
	found, next, err := v.dispatcher.DeliveryPage(v.r.Context(), alotwebhook.Filter{
		OrganizationID: v.organization, EndpointID: endpointID, State: alotwebhook.StateFailed, Limit: 1,
	})
	if err != nil || len(found) == 0 {
		return newestFailure{Unsure: next != ""}, err
	}
	return newestFailure{Delivery: &found[0]}, nil
}

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
	created, err := v.dispatcher.CreateEndpoint(v.r.Context(), alotwebhook.Endpoint{
		OrganizationID: v.organization, URL: f.URL, Description: f.Description,
		EventTypes: given.values["events"], Secret: secret,
	})
	switch {
	case err != nil:
		if err := given.refused(err, endpointLabels); err != nil {
			return err
		}
		return v.showForm(http.StatusUnprocessableEntity, f)
	case secret != "":
		return v.redirect(created.ID, "created")
	}
	return v.showSecret(created, created.Secret, secretView{New: true})
}

// sentBefore returns the endpoint that the same form made already.
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

type secretView struct {
	Endpoint alotwebhook.Endpoint
	Secret   string
	New      bool
	From     time.Time // when it begins to sign; zero for now
}

// showSecret shows a secret that was just made, in plain this once.
func (v *visit) showSecret(e alotwebhook.Endpoint, s alotwebhook.Secret, data secretView) error {
	data.Endpoint, data.Secret = e, string(s)
	heading := "New secret"
	if data.New {
		heading = "Endpoint registered"
	}
	return v.show(http.StatusOK, "secret", view{Heading: heading, Section: "endpoints", Secret: true, Data: data})
}
