// Package audit holds what operations are made of: who did something, which fields it changed,
// when a failing endpoint is told of, and what the types of operations mean.
package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alot/alotwebhook/internal/credential"
	"github.com/alot/alotwebhook/internal/text"
	"github.com/alot/alotwebhook/internal/typeid"
)

type actorKey struct{}

const (
	maxActor = 128 // bytes of the name of an actor
	maxNote  = 512 // bytes of a note
)

// WithActor returns a context with the name of who acts, made plain text and cut to 128 bytes.
func WithActor(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, text.Plain(actor, maxActor))
}

// Actor returns the name that WithActor gave, or "".
func Actor(ctx context.Context) string {
	actor, _ := ctx.Value(actorKey{}).(string)
	return actor
}

type operatorKey struct{}

// WithOperator is WithActor for somebody who runs the host: customers do not read who of these begins
// or stops a recovery.
func WithOperator(ctx context.Context, name string) context.Context {
	return context.WithValue(WithActor(ctx, name), operatorKey{}, true)
}

type noteKey struct{}

// WithNote returns a context with the note of what is done, where a change has none of its own.
func WithNote(ctx context.Context, note string) context.Context {
	return context.WithValue(ctx, noteKey{}, note)
}

// Note returns the note of a change, or else the one that WithNote gave.
func Note(ctx context.Context, own string) string {
	given, _ := ctx.Value(noteKey{}).(string)
	return cmp.Or(own, given)
}

// Endpoint is what operations tell of an endpoint.
type Endpoint struct {
	URL            string
	Events         []string
	Description    string
	Rate           float64
	Ordered        bool
	PayloadVersion string
	Credentials    credential.Kept
	NextSecretAt   time.Time
	Disabled       string // why it is; "" while it is enabled
	FailingSince   time.Time
	Warned         int
}

// Change is what an operation tells.
type Change struct{ Type, Note string }

// Changes returns what to tell of an endpoint that was changed. It does not see a rotation of the
// secret, of which no copy should be about.
func Changes(was, is Endpoint, rotated bool) (list []Change) {
	tell := func(happened bool, kind, note string) {
		if happened {
			list = append(list, Change{kind, note})
		}
	}
	tell(rotated, "endpoint.rotated", signsFrom(is.NextSecretAt))
	fields := fieldsOf(was, is)
	tell(fields != "", "endpoint.changed", fields)
	tell(was.Disabled == "" && is.Disabled != "", "endpoint.disabled", is.Disabled)
	tell(was.Disabled != "" && is.Disabled == "", "endpoint.enabled", "")
	tell(is.Warned > was.Warned, "endpoint.failing", "since "+is.FailingSince.UTC().Format(time.RFC3339))
	tell(is.Warned < was.Warned && is.Disabled == was.Disabled, "endpoint.recovered", "")
	return list
}

func signsFrom(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return "signs from " + at.UTC().Format(time.RFC3339)
}

// fieldsOf names the fields that somebody has changed, as the API spells them.
func fieldsOf(was, is Endpoint) string {
	var names []string
	note := func(same bool, name string) {
		if !same {
			names = append(names, name)
		}
	}
	note(was.URL == is.URL, "url")
	note(slices.Equal(was.Events, is.Events), "events")
	note(was.Description == is.Description, "description")
	note(was.Rate == is.Rate, "rate")
	note(was.Ordered == is.Ordered, "ordered")
	note(was.PayloadVersion == is.PayloadVersion, "payloadVersion")
	note(was.Credentials.SameHeaders(is.Credentials), "headers ("+cmp.Or(strings.Join(is.Credentials.Headers, ", "), "none")+")")
	note(was.Credentials.SameCertificate(is.Credentials), "clientCertificate")
	return text.Clip(strings.Join(names, ", "), maxNote-len("…"))
}

// Warnings says how often is to be warned in all of something that has been failing for that long,
// of which was warned so often: once after warn, never if that is negative, and once more after half
// of disable, if that is longer.
func Warnings(failing, warn, disable time.Duration, warned int) int {
	switch {
	case warn < 0 || failing < warn:
		return warned
	case disable/2 > warn && failing >= disable/2:
		return 2
	}
	return max(warned, 1)
}

// Due says whether what has been failing for that long is to be disabled, after disable unless that
// is negative, and else how often is to be warned of it in all.
func Due(failing, warn, disable time.Duration, warned int) (bool, int) {
	if disable > 0 && failing >= disable {
		return true, warned
	}
	return false, Warnings(failing, warn, disable, warned)
}

// SucceededSince reports whether a success is known to have been recorded since an endpoint was
// claimed that had been failing since then, and a failure before or none after. Zero is not failing.
func SucceededSince(failing, claimed time.Time) bool {
	return failing.IsZero() || !claimed.IsZero() && !claimed.Equal(failing)
}

// Recovery is what operations tell of a recovery. Of all fields but State, "" says nothing.
type Recovery struct {
	Many                     bool   // it is over many endpoints
	Actor                    string // who of the host began it
	State                    string
	EventID, EventType, Last string // Last is why the deliveries failed last
	Note                     string // why somebody began it
}

// byOperators marks in the note of an operation that people of the host began or stopped the recovery
// of one endpoint. No customer can give a recovery anything in which it occurs. What is about many
// endpoints needs no mark: only they do that.
const byOperators = ", by operators"

// mark returns the mark of what is done to a recovery, if it is to have one.
func (r Recovery) mark(ctx context.Context) string {
	operates, _ := ctx.Value(operatorKey{}).(bool)
	if r.Many || !operates && r.Actor+r.Note == "" {
		return ""
	}
	return byOperators
}

// Begun says what a recovery is to do.
func Begun(ctx context.Context, r Recovery, until time.Time) string {
	words := r.State + ": events until " + until.UTC().Format(time.RFC3339)
	for _, part := range [][2]string{{", event ", r.EventID}, {", type ", r.EventType}, {", reason ", r.Last}, {"", r.mark(ctx)}, {"; ", r.Note}} {
		if part[1] != "" {
			words += part[0] + part[1]
		}
	}
	return text.Clip(words, maxNote-len("…"))
}

// Ended says what a recovery has done, with the mark if somebody has stopped it. One that discards or
// cancels deliveries, or erases events, has skipped these.
func Ended(ctx context.Context, r Recovery, recovered, skipped int64) string {
	did := r.did(recovered, skipped)
	if Actor(ctx) != "" {
		did += r.mark(ctx)
	}
	return did
}

func (r Recovery) did(recovered, skipped int64) string {
	switch r.State {
	case "discarded", "canceled":
		return fmt.Sprintf("%s: %d deliveries", r.State, skipped)
	case "erased":
		return fmt.Sprintf("%s: %d events", r.State, skipped)
	case "removed":
		return r.State
	}
	return fmt.Sprintf("%s: %d sent again, %d skipped", r.State, recovered, skipped)
}

// ForCustomer leaves out of an operation what operators of the host say to each other: why they
// paused, resumed, recovered or canceled, and who of them did. What they do to the recovery of one
// endpoint is marked; one over many endpoints, whose id is no endpoint's, is always theirs. Earlier
// releases had no mark, but a "; " before the note of a recovery.
func ForCustomer(kind, endpointID, actor, note string) (_, _, _ string) {
	of, isRecovery := strings.CutPrefix(kind, "recovery.")
	_, isMany := strings.CutPrefix(endpointID, "rec_")
	told, _, noted := strings.Cut(note, "; ")
	told, _, marked := strings.Cut(told, byOperators)
	switch {
	case strings.HasPrefix(of, "deliveries."):
		actor, note = "", ""
	case isRecovery && (noted || marked || isMany):
		actor, note = "", told
	}
	if isMany {
		endpointID = ""
	}
	return endpointID, actor, note
}

// Told returns the organizations that are told of an operation of an organization: that of the
// host, if there is one, and its own, if customers are told. What is about all organizations has "".
// Who is removed is not told: the event would be left of him, and there is no endpoint to get it.
func Told(host string, customers bool, own, kind, note string) (organizations []string) {
	if host != "" {
		organizations = append(organizations, host)
	}
	leaves := strings.HasPrefix(kind, "recovery.") && (note == "removed" || strings.HasPrefix(note, "removing: "))
	if customers && own != host && own != "" && !leaves {
		organizations = append(organizations, own)
	}
	return organizations
}

// EventID returns the id of the event that tells an organization of an operation: always the same
// one, with the operation's time in it.
func EventID(operationID, organizationID string) string {
	id, _ := typeid.Parse("op", operationID)
	sum := text.Hash(operationID, organizationID)
	copy(id[6:], sum[:])
	typeid.SetV7(&id)
	return typeid.Format("evt", id)
}

// Type describes a type of operations for a catalogue of event types.
type Type struct {
	Name, Description string
	Example           json.RawMessage
}

// descriptions are those of the types, by their names.
var descriptions = [...][3]string{
	{"endpoint.created", "An endpoint was registered.", ""},
	{"endpoint.changed", "An endpoint was changed.", "url, events"},
	{"endpoint.rotated", "An endpoint got a new secret.", "signs from 2026-05-26T14:23:00Z"},
	{"endpoint.deleted", "An endpoint was deleted.", ""},
	{"endpoint.failing", "An endpoint has given nothing but failures for some time.", "since 2026-05-25T13:22:59Z"},
	{"endpoint.disabled", "An endpoint was disabled: its events are parked.", "gone"},
	{"endpoint.enabled", "An endpoint was enabled: what was parked is sent.", ""},
	{"endpoint.recovered", "An endpoint that had been failing has succeeded.", ""},
	{"delivery.exhausted", "A delivery has failed for good.", "timeout"},
	{"recovery.begun", "Failed deliveries are being sent again, parked ones discarded, unfinished ones canceled, or data is being erased.", "running: events until 2026-05-25T14:23:00Z"},
	{"recovery.ended", "Sending failed deliveries again, discarding parked ones, canceling or erasing has ended.", "done: 17 sent again, 0 skipped"},
	{"deliveries.paused", "Deliveries are held back.", "maintenance of the receiver"},
	{"deliveries.resumed", "Deliveries are no longer held back.", ""},
}

// Types returns all types.
func Types() []Type {
	list := make([]Type, len(descriptions))
	for i, d := range descriptions {
		example := fmt.Sprintf(`{"id":"op_01kt0v7fbgf0m8n2p4q6r7s9tv","type":%q,"at":"2026-05-25T14:23:00.123Z","organizationId":"org_123","endpointId":"wh_01jwsxqk1qej8v5kcv0p34c9mn"`, d[0])
		if strings.HasPrefix(d[0], "delivery.") {
			example += `,"deliveryId":"dlv_01kt0v7fbgf8x2n4p6q8r0s2tv"`
		}
		if d[2] != "" {
			example += fmt.Sprintf(`,"note":%q`, d[2])
		}
		list[i] = Type{Name: d[0], Description: d[1], Example: json.RawMessage(example + "}")}
	}
	return list
}

// IsType reports whether a type of events is one of operations.
func IsType(name string) bool {
	return slices.ContainsFunc(descriptions[:], func(d [3]string) bool { return d[0] == name })
}
