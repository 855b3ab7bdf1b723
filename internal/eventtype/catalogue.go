package eventtype

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/alot/alotwebhook/internal/audit"
	"github.com/alot/alotwebhook/internal/caught"
	"github.com/alot/alotwebhook/internal/envelope"
	"github.com/alot/alotwebhook/internal/fault"
	"github.com/alot/alotwebhook/internal/forms"
	"github.com/alot/alotwebhook/internal/text"
)

// The longest texts of an entry, in bytes.
const (
	maxSince      = 64
	maxDeprecated = 512
)

// Check checks data of an event type by the host's rules.
type Check func(eventType string, data json.RawMessage) error

// Problem returns why the data of an event is refused, or "". Without rules all data will do. The data
// of operations is this module's own. A panic of the rules refuses as well, since nothing was checked.
func (check Check) Problem(eventType string, data json.RawMessage) string {
	if check == nil || audit.IsType(eventType) {
		return ""
	}
	err := caught.Call("Config.CheckData", func() error { return check(eventType, data) })
	if p := (*caught.Panic)(nil); errors.As(err, &p) {
		return "of " + text.Clip(eventType, MaxLen) + " was not checked: " + strings.TrimPrefix(p.Error(), fault.Prefix)
	}
	if err != nil {
		return "does not fit " + text.Clip(eventType, MaxLen) + ": " + err.Error()
	}
	return ""
}

// Safe returns a check by the host's rules that host calls; nil for none.
func Safe(host *caught.Host, rules Check) Check {
	if rules == nil {
		return nil
	}
	return func(eventType string, data json.RawMessage) error {
		return host.Call("Config.CheckData", func() error { return rules(eventType, data) })
	}
}

// Entry has the fields of the root's EventType, so that each converts to the other.
type Entry struct {
	Name        string
	Description string
	Example     json.RawMessage
	TestExample json.RawMessage
	Schema      json.RawMessage
	Since       string
	Deprecated  string
	Versions    map[string]forms.Func
}

// CheckCatalogue returns the forms of the payloads of a catalogue, from the first of the versions to
// today's. Otherwise it returns what is wrong with the first wrong entry or version, after the name of
// its field, such as "eventTypes[2].name". Examples are checked as data of events.
func CheckCatalogue(entries []Entry, versions []string, check Check) (known *forms.Forms, field, problem string) {
	known, i, problem := forms.New(versions)
	if problem != "" {
		return nil, fmt.Sprintf("PayloadVersions[%d]", i), problem
	}
	first := make(map[string]int, len(entries))
	for i, e := range entries {
		j, twice := first[e.Name]
		if twice {
			return nil, fmt.Sprintf("eventTypes[%d].name", i), fmt.Sprintf("is that of eventTypes[%d], too: %s", j, e.Name)
		}
		first[e.Name] = i
		field, problem := e.problem(check)
		if problem == "" {
			field, problem = "versions", known.Add(e.Name, e.Versions)
		}
		if problem != "" {
			return nil, fmt.Sprintf("eventTypes[%d].%s", i, field), problem
		}
	}
	return known, "", ""
}

func (e *Entry) problem(check Check) (field, problem string) {
	if problem := Problem(e.Name); problem != "" {
		return "name", problem
	}
	if problem := text.PlainProblem(e.Since, maxSince); problem != "" {
		return "since", problem
	}
	if problem := text.PlainProblem(e.Deprecated, maxDeprecated); problem != "" {
		return "deprecated", problem
	}
	if len(e.Schema) > 0 && (envelope.DataProblem(e.Schema) != "" || !bytes.HasPrefix(bytes.TrimSpace(e.Schema), []byte("{"))) {
		return "schema", "is not a JSON object in UTF-8"
	}
	return e.exampleProblem(check)
}

// exampleProblem returns what is wrong with what tests send.
func (e *Entry) exampleProblem(check Check) (field, problem string) {
	if len(e.Example)+len(e.TestExample) == 0 {
		if problem := check.Problem(e.Name, envelope.FirstOf()); problem != "" {
			return "example", "is missing, and {}, which tests send instead, " + problem
		}
	}
	for _, given := range []struct {
		field string
		data  json.RawMessage
	}{{"example", e.Example}, {"testExample", e.TestExample}} {
		switch {
		case len(given.data) == 0:
			continue
		case envelope.DataProblem(given.data) != "":
			return given.field, "is not one JSON value in UTF-8"
		}
		if problem := check.Problem(e.Name, given.data); problem != "" {
			return given.field, problem
		}
	}
	return "", ""
}
