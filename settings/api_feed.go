package settings

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/alot/alotwebhook/feed"
)

// fedEventJSON is an event in a feed.
type fedEventJSON struct {
	ID        string  `json:"id"`
	Type      string  `json:"type"`
	Timestamp instant `json:"timestamp"`
	// Payload is the exact body of the requests; "" if the request may not see it.
	Payload string `json:"payload,omitzero"`
}

// feedJSON is a page of a feed.
type feedJSON struct {
	Events []fedEventJSON `json:"events"`
	// NextCursor is always there.
	NextCursor     string `json:"nextCursor"`
	More           bool   `json:"more"`
	PayloadsHidden bool   `json:"payloadsHidden,omitzero"`
}

var errCursorExpired = newProblem(http.StatusGone, "The cursor has expired: payloads of events behind it may have been erased meanwhile. "+
	"Begin again without a cursor, from a time with since, and leave out the events that you have handled.", fieldProblem{"cursor", "has expired"})

// maxTypes is how many event types a request can select.
const maxTypes = 50

// listEvents responds with a page of all events of the organization, whoever was subscribed to
// them, in the order in which they became known.
func (a *api) listEvents(r *http.Request, who caller) (response, error) {
	q := readQuery(r, "type", "since", "cursor", "limit")
	f := feed.Filter{OrganizationID: who.organization, EventTypes: q.eventTypes("type"), Since: q.time("since", apiLayouts), Limit: q.limit()}
	f.Cursor = q.feedCursor(f)
	if err := q.err(); err != nil {
		return response{}, err
	}
	found, err := feed.Read(r.Context(), a.dispatcher, f)
	if errors.Is(err, feed.ErrCursorExpired) {
		return response{}, errCursorExpired
	}
	if err != nil {
		return response{}, err
	}
	page := feedJSON{Events: make([]fedEventJSON, len(found.Events)), NextCursor: spellFeedCursor(f, found.Next), More: found.More, PayloadsHidden: !who.may[ActionPayloads]}
	for i, e := range found.Events {
		page.Events[i] = fedEventJSON{ID: e.ID, Type: e.Type, Timestamp: instant(e.Timestamp)}
		if !page.PayloadsHidden {
			page.Events[i].Payload = string(e.Payload())
		}
	}
	return response{status: http.StatusOK, body: page}, nil
}

// eventTypes reads event types with commas between them; nil for all.
func (q *query) eventTypes(name string) []string {
	given := q.values.Get(name)
	if given == "" {
		return nil
	}
	types := strings.Split(given, ",")
	if len(types) > maxTypes || slices.ContainsFunc(types, func(t string) bool { return !isEventType(t) }) {
		q.refuse(name, "must be event types such as candidate.completed, with commas between them")
		return nil
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// spellFeedCursor returns a cursor of the API. Like those of its lists it belongs to one organization,
// and to the types that were passed over.
func spellFeedCursor(f feed.Filter, cursor string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursor)) + "." + feedListing(f).check(cursor)
}

func feedListing(f feed.Filter) listing {
	return listing{by: append([]string{"events", f.OrganizationID}, f.EventTypes...)}
}

// feedCursor reads the cursor of a feed; "" for the beginning.
func (q *query) feedCursor(f feed.Filter) string {
	given := q.values.Get("cursor")
	if given == "" {
		return ""
	}
	encoded, _, _ := strings.Cut(given, ".")
	cursor, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || spellFeedCursor(f, string(cursor)) != given {
		q.refuse("cursor", "is not a nextCursor of your events with this type; start again without a cursor")
		return ""
	}
	return string(cursor)
}
