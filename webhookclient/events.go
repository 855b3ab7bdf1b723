package webhookclient

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
)

// Event is an event as the API lists it.
type Event struct {
	// Event is the parsed payload; its Data is nil if the payload is hidden.
	alotwebhook.Event
	// Body is the exact body of the requests; nil if the token may not see payloads.
	Body []byte
	// Cursor is the place behind the page that the event is on. Whoever has handled all events
	// that have it may go on there.
	Cursor string
}

// EventsOptions selects events.
type EventsOptions struct {
	// Types are the event types to select, at most 50; none, nil or empty, for all.
	Types []string
	// Since bounds the time in the event's id. Zero is no bound.
	Since time.Time
	// Cursor is where to go on; "" for the oldest events that there are. It belongs to the same Types.
	Cursor string
	// PageSize is how many events are read at once, from 1 to 100. Defaults to 100.
	PageSize int
}

// EventPage is a page of the events of an organization.
type EventPage struct {
	Events []Event
	// Next is where to go on. It is never "".
	Next string
	// More says that more may follow already. Otherwise wait for some seconds.
	More bool
}

// EventPage returns a page of all events of your organization, oldest first, whether an endpoint was
// subscribed to them or not. See package feed of the sender for what their order promises. The
// error is [ErrCursorExpired] if payloads behind the cursor may have been erased meanwhile.
func (c *Client) EventPage(ctx context.Context, o EventsOptions) (EventPage, error) {
	query, err := o.query()
	if err != nil {
		return EventPage{}, err
	}
	got, err := ask(ctx, c, request{method: http.MethodGet, path: "/events", query: query}, func(p eventsJSON) error {
		switch {
		case p.NextCursor == "":
			return errors.New("it does not say where it goes on")
		case p.More:
			return checkPage(p.Events, p.NextCursor, o.Cursor)
		}
		return checkPage(p.Events, "", "") // at the end, the cursor may stay where it is
	})
	if err != nil {
		return EventPage{}, err
	}
	page := EventPage{Next: got.NextCursor, More: got.More}
	for _, e := range got.Events {
		event := Event{Event: alotwebhook.Event{ID: e.ID, Type: e.Type, Timestamp: e.Timestamp}, Cursor: got.NextCursor}
		if e.Payload != "" {
			var err error
			if event.Event, err = alotwebhook.ParseEvent([]byte(e.Payload)); err != nil {
				return EventPage{}, fmt.Errorf("webhookclient: the payload of %q: %w", e.ID, err)
			}
			event.Body = []byte(e.Payload)
		}
		page.Events = append(page.Events, event)
	}
	return page, nil
}

// eventsJSON is a page of events as the API spells it.
type eventsJSON struct {
	Events []struct {
		ID, Type, Payload string
		Timestamp         time.Time
	}
	NextCursor string
	More       bool
}

// query returns the parameters that o stands for. The API takes the types with commas between them, and
// an empty list for all.
func (o EventsOptions) query() (url.Values, error) {
	for i, t := range o.Types {
		if t == "" || strings.Contains(t, ",") {
			return nil, fmt.Errorf("webhookclient: Types[%d] is %q; give one event type, such as candidate.completed, or leave Types out to select all", i, t)
		}
	}
	query := url.Values{"limit": {strconv.Itoa(cmp.Or(o.PageSize, 100))}}
	set(query, "type", strings.Join(o.Types, ","))
	set(query, "since", timeParam(o.Since))
	set(query, "cursor", o.Cursor)
	return query, nil
}

// Events returns all events that o selects and that there are by now, oldest first. The sequence
// ends with the first error. To go on later, keep the Cursor of the last event, or read pages with
// [Client.EventPage], whose Next also moves on when there is nothing.
func (c *Client) Events(ctx context.Context, o EventsOptions) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			page, err := c.EventPage(ctx, o)
			if err != nil {
				yield(Event{}, err)
				return
			}
			for _, e := range page.Events {
				if !yield(e, nil) {
					return
				}
			}
			if o.Cursor = page.Next; !page.More {
				return
			}
		}
	}
}

// StoredEvent is an event with what became of it.
type StoredEvent struct {
	ID         string     `json:"id"`
	Type       string     `json:"type"`
	Timestamp  time.Time  `json:"timestamp"`
	Deliveries []Delivery `json:"deliveries"`
	// Payload is the exact body of the requests; "" once it is erased, or if the token may not see it.
	Payload string `json:"payload"`
}

// Event returns an event with its newest deliveries, at most 100.
func (c *Client) Event(ctx context.Context, id string) (StoredEvent, error) {
	return ask(ctx, c, request{method: http.MethodGet, path: "/events/{evt_}", id: id}, idCheck(func(e StoredEvent) string { return e.ID }, id))
}

// EventType is a type of the sender's catalogue.
type EventType struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Example     json.RawMessage `json:"example"`
}

// EventTypes returns the catalogue.
func (c *Client) EventTypes(ctx context.Context) ([]EventType, error) {
	type list struct{ EventTypes []EventType }
	got, err := ask(ctx, c, request{method: http.MethodGet, path: "/event-types"}, func(l list) error { return checkPage(l.EventTypes, "", "") })
	return got.EventTypes, err
}

// set sets a parameter, unless it is empty.
func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

// timeParam spells a time; "" for zero.
func timeParam(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
