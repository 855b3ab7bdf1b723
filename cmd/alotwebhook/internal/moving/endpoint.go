// Package moving reads the endpoints of other webhook senders and registers them with a service
// that has the management API of this project, as often as somebody asks and each of them once.
package moving

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
)

// Everything stands in the events of an endpoint that gets all event types.
const Everything = "*"

// Endpoint is an endpoint as its old sender has it. Its JSON is documented in docs/moving.md.
type Endpoint struct {
	// Organization is whose it is: the id that events will be emitted for.
	Organization string `json:"organizationId,omitempty"`
	// ID and UID are its ids at the old sender; UID is the one that the host chose there.
	ID          string   `json:"id,omitempty"`
	UID         string   `json:"uid,omitempty"`
	URL         string   `json:"url"`
	Description string   `json:"description,omitempty"`
	Events      []string `json:"events"`
	Disabled    bool     `json:"disabled,omitempty"`
	Ordered     bool     `json:"ordered,omitempty"`
	Rate        float64  `json:"rate,omitempty"` // requests a second; 0 for no limit
	// PayloadVersion is one of the new sender's; "" has it give today's.
	PayloadVersion string   `json:"payloadVersion,omitempty"`
	Headers        []Header `json:"headers,omitempty"`
	Secret         string   `json:"secret,omitempty"`
	// Unsupported says what the old sender does for the endpoint, and the new one would not.
	Unsupported []string `json:"unsupported,omitempty"`
}

// Header is a header of the endpoint's own. Its value is as secret as the endpoint's secret, and is
// not in what this project's API says.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

// name is what tells the endpoint from others of its organization.
func (e *Endpoint) name() string {
	if e.ID != "" {
		return e.ID
	}
	return e.URL
}

// lacks notes what the new sender would not do.
func (e *Endpoint) lacks(format string, args ...any) {
	e.Unsupported = append(e.Unsupported, fmt.Sprintf(format, args...))
}

// maxDescription is the longest description of the API, in bytes.
const maxDescription = 256

// describe takes over a description: on one line, and cut to what the API takes.
func (e *Endpoint) describe(text string) {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxDescription {
		text = strings.TrimSpace(strings.ToValidUTF8(text[:maxDescription-len("…")], "")) + "…"
	}
	e.Description = text
}

// File is what an export writes and an import reads.
type File struct {
	// From says which sender the endpoints are from.
	From      string     `json:"from,omitempty"`
	Endpoints []Endpoint `json:"endpoints"`
}

// These are the senders whose endpoints can be read.
const (
	FromOurs   = "alotwebhook"
	FromSvix   = "svix"
	FromConvoy = "convoy"
)

// Sources are the values of From.
var Sources = []string{FromOurs, FromSvix, FromConvoy}

// Read reads the endpoints of an export. It refuses what it would otherwise pass over in silence:
// an unknown key in a file of ours, an endpoint that stands twice, and a file without any.
func Read(from string, r io.Reader) ([]Endpoint, error) {
	read := map[string]func(io.Reader) ([]Endpoint, error){FromOurs: readOurs, FromSvix: readSvix, FromConvoy: readConvoy}[from]
	if read == nil {
		return nil, fmt.Errorf("exports are read from %s, and not from %q", strings.Join(Sources, ", "), from)
	}
	found, err := read(r)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, errors.New("the export has no endpoints")
	}
	for i, e := range found {
		if e.URL == "" {
			return nil, fmt.Errorf("endpoint %d of the export has no URL", i+1)
		}
	}
	return found, distinct(found)
}

// Renamed gives the organizations of endpoints their names here. It refuses two that would be one from then on.
func Renamed(endpoints []Endpoint, organizations map[string]string) ([]Endpoint, error) {
	renamed := slices.Clone(endpoints)
	for i, e := range renamed {
		if name, ok := organizations[e.Organization]; ok {
			renamed[i].Organization = name
		}
	}
	if err := distinct(renamed); err != nil {
		return nil, fmt.Errorf("with the organizations renamed, %w", err)
	}
	return renamed, nil
}

// distinct refuses an endpoint that stands twice. One without an id is told from others by its URL, so that no
// other of its organization may have that.
func distinct(endpoints []Endpoint) error {
	names, urls, nameless := map[[2]string]bool{}, map[[2]string]bool{}, map[[2]string]bool{}
	for _, e := range endpoints {
		name, url := [2]string{e.Organization, e.name()}, [2]string{e.Organization, canonical(e.URL)}
		if names[name] || nameless[url] || e.ID == "" && urls[url] {
			return fmt.Errorf("the export has %s of %q twice; an id may stand once, and so may a URL without an id", e.shown(), e.Organization)
		}
		names[name], urls[url] = true, true
		nameless[url] = nameless[url] || e.ID == ""
	}
	return nil
}

// shown is the endpoint's name without what may be secret in it.
func (e *Endpoint) shown() string {
	if e.ID != "" {
		return e.ID
	}
	return Place(e.URL)
}

// Place is a URL without what may be secret in it: a user and a query. It leaves other texts as they are.
func Place(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || strings.Contains(u.Opaque, "@") {
		return "(a URL that is not understood)"
	}
	u.User = nil
	if u.Fragment = ""; u.RawQuery != "" {
		u.RawQuery = "…"
	}
	return u.String()
}

// canonical returns the form that URLs have in common which lead to one place.
func canonical(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	u.Host = strings.TrimSuffix(strings.ToLower(u.Host), ":443")
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String()
}

// Write writes a file of ours. With secrets it is as secret as they are.
func (f File) Write(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(f)
}

func readOurs(r io.Reader) ([]Endpoint, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, unreadable(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var f File
	if err := decoder.Decode(&f); err != nil {
		return nil, unreadable(err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("something stands behind the JSON of the export")
	}
	return f.Endpoints, exactKeys(bytes.TrimSpace(text), reflect.TypeFor[File]())
}

// documents hands over every JSON value of a stream: pages of a list, one after the other, or one
// endpoint a line.
func documents(r io.Reader, take func(json.RawMessage) error) error {
	decoder := json.NewDecoder(r)
	for {
		var document json.RawMessage
		switch err := decoder.Decode(&document); {
		case err == io.EOF:
			return nil
		case err != nil:
			return unreadable(err)
		}
		if err := take(bytes.TrimSpace(document)); err != nil {
			return err
		}
	}
}

// unreadable says what is wrong with an export without quoting it: it holds secrets.
func unreadable(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var at *time.ParseError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("the export is not JSON: the error is at byte %d", syntax.Offset)
	case errors.As(err, &kind):
		return misplaced(kind)
	case errors.As(err, &at):
		return errors.New("a time in the export is not one such as 2026-05-25T00:00:00Z")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the export ends in the middle of its JSON")
	case errors.Is(err, io.EOF):
		return errors.New("the export is empty")
	}
	return fmt.Errorf("the export is not understood: %w", err)
}

// misplaced says where one kind of value stands in the place of another.
func misplaced(e *json.UnmarshalTypeError) error {
	place := "the export"
	if e.Field != "" {
		place = fmt.Sprintf("%q in the export", e.Field)
	}
	given, _, _ := strings.Cut(e.Value, " ") // of a number, the value itself follows
	is, wanted := kinds[given], kinds[kindOf(e.Type)]
	if is == wanted {
		return fmt.Errorf("%s is %s that is out of range", place, is)
	}
	return fmt.Errorf("%s is %s, where %s belongs", place, is, wanted)
}

// kinds are the kinds of values of JSON, in words.
var kinds = map[string]string{
	"array": "an array", "object": "an object", "string": "a string", "number": "a number", "bool": "true or false",
}

// kindOf returns the kind of JSON that a type of Go is read from.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.Struct, reflect.Map:
		return "object"
	case reflect.Slice, reflect.Array:
		return "array"
	case reflect.String, reflect.Bool:
		return t.Kind().String()
	}
	return "number"
}

// secretProblem returns why the API would refuse a secret by its length, which many a secret of
// other senders would be; "" if it would not.
func secretProblem(secret string) string {
	switch {
	case len(secret) < 16:
		return fmt.Sprintf("its secret has %d bytes, and one of less than 16 is refused: whoever has one captured request can guess it. Rotate it first", len(secret))
	case len(secret) > 256:
		return fmt.Sprintf("its secret has %d bytes, and one of more than 256 is refused", len(secret))
	}
	return ""
}

// isIncluded reports whether events have a star that includes the name.
func isIncluded(name string, events []string) bool {
	return slices.ContainsFunc(events, func(other string) bool {
		wider := alotwebhook.Endpoint{EventTypes: []string{other}}
		return other != name && strings.HasSuffix(other, Everything) && wider.Subscribes(strings.Replace(name, Everything, "x", 1))
	})
}

// eventsOf returns the types that the endpoint is to get: renamed, without those that are
// dropped, each once. Names with a star stay where the service takes them; elsewhere all of the
// catalogue stands in the place of "*". missing are those that the catalogue does not have.
func eventsOf(e *Endpoint, rename map[string]string, drop, catalogue []string, stars bool) (events, missing []string) {
	for _, name := range e.Events {
		if slices.Contains(drop, name) {
			continue
		}
		if renamed, ok := rename[name]; ok {
			name = renamed
		}
		switch {
		case stars && strings.HasSuffix(name, Everything):
			events = append(events, name)
		case name == Everything:
			events = append(events, catalogue...)
		case slices.Contains(catalogue, name):
			events = append(events, name)
		default:
			missing = append(missing, name)
		}
	}
	slices.Sort(events)
	events = slices.Compact(events)
	return slices.DeleteFunc(slices.Clone(events), func(name string) bool { return isIncluded(name, events) }), missing
}
