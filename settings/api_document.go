package settings

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

//go:embed openapi.json
var openAPI []byte

// OpenAPI returns the OpenAPI 3.1 document of the management API and of the
// outgoing webhooks, as JSON. It is there to be published, and to generate clients
// from. Its webhooks are the four published event types. The document that the API
// serves at GET /v1/webhooks/openapi.json has the event types of the host's
// catalogue instead, and is only for authenticated requests. The caller may change
// the returned bytes.
func OpenAPI() []byte { return slices.Clone(openAPI) }

// document is the OpenAPI document. Its fields are in the order in which people
// read them.
type document struct {
	OpenAPI    json.RawMessage `json:"openapi"`
	Info       json.RawMessage `json:"info"`
	Servers    json.RawMessage `json:"servers"`
	Security   json.RawMessage `json:"security"`
	Tags       json.RawMessage `json:"tags"`
	Paths      json.RawMessage `json:"paths"`
	Webhooks   object          `json:"webhooks"`
	Components json.RawMessage `json:"components"`
}

// object is a JSON object.
type object map[string]any

// describe returns the document for a catalogue of event types.
func describe(types []alotwebhook.EventType) (d document, err error) {
	if err := json.Unmarshal(openAPI, &d); err != nil {
		return d, err
	}
	d.Webhooks = make(object, len(types))
	for _, t := range types {
		d.Webhooks[t.Name] = describeWebhook(t)
	}
	return d, nil
}

// readOpenAPI responds with the document. The server in it is the path below which
// the client found the API, if the host stripped a prefix.
func (a *api) readOpenAPI(r *http.Request, _ caller) (response, error) {
	d := a.document
	if mounted := at(r, ""); mounted != "" {
		servers, err := json.Marshal([]object{{"url": mounted}})
		if err != nil {
			return response{}, err
		}
		d.Servers = servers
	}
	return response{status: http.StatusOK, body: d}, nil
}

// publishedData are the names of the schemas in the document for the data of the published event
// types. They are those of [alotwebhook.DefaultEventTypes], which a host may change.
var publishedData = map[string]string{
	alotwebhook.EventCandidateInvited:      "CandidateInvited",
	alotwebhook.EventCandidateCompleted:    "CandidateCompleted",
	alotwebhook.EventCandidateDisqualified: "CandidateDisqualified",
	alotwebhook.EventAssessmentPublished:   "AssessmentPublished",
}

// describeWebhook describes the request that an endpoint gets for an event of the
// type. The id of its operation begins with "on." so that it differs from that of
// every operation of the API.
func describeWebhook(t alotwebhook.EventType) object {
	post := object{
		"operationId": "on." + t.Name,
		"tags":        []string{"Events"},
		"summary":     cmp.Or(t.Description, t.Name),
		"description": respondTo(t),
		"security":    []object{},
		"requestBody": object{"required": true, "content": object{"application/json": describePayload(t)}},
		"responses": object{
			"2XX":     component("responses", "Received"),
			"410":     component("responses", "Gone"),
			"default": component("responses", "NotReceived"),
		},
	}
	if t.Deprecated != "" {
		post["deprecated"] = true
	}
	return object{
		"parameters": components("parameters",
			"Signature", "EventHeader", "DeliveryHeader", "AttemptHeader", "TestHeader", "UserAgent",
			"StandardId", "StandardTimestamp", "StandardSignature"),
		"post": post,
	}
}

// respondTo says what to do with the request, and what has become of the event type.
func respondTo(t alotwebhook.EventType) string {
	words := "Respond with any 2xx status once the event is stored. Any other status, or no response in time, is a failed attempt, and the event is sent again later. The same event can arrive more than once."
	if t.Since != "" {
		words += "\n\nSince " + t.Since + "."
	}
	if t.Deprecated != "" {
		words += "\n\n**Deprecated.** " + t.Deprecated
	}
	return words
}

// describePayload describes the body of that request. Its example is what would be
// sent for the example data of the type, byte for byte.
func describePayload(t alotwebhook.EventType) object {
	properties := object{"type": object{"type": "string", "const": t.Name}}
	switch name, ok := publishedData[t.Name]; {
	case ok && isPublished(t):
		properties["data"] = component("schemas", name)
	case len(t.Schema) > 0:
		properties["data"] = embedded(t)
	}
	example := alotwebhook.Event{
		ID: "evt_01kt0v7fbgf0m8n2p4q6r7s9tv", Type: t.Name, OrganizationID: "org_123",
		Timestamp: time.Date(2026, 5, 25, 14, 23, 0, 0, time.UTC), Data: t.Example,
	}
	if len(t.Example) == 0 {
		example.Data = json.RawMessage(`{}`)
	}
	return object{
		"schema":  object{"allOf": components("schemas", "Event"), "required": []string{"type", "data"}, "properties": properties},
		"example": json.RawMessage(example.Payload()),
	}
}

// isPublished reports whether a type of that name has the published schema.
func isPublished(t alotwebhook.EventType) bool {
	return slices.ContainsFunc(alotwebhook.DefaultEventTypes(), func(p alotwebhook.EventType) bool {
		return p.Name == t.Name && bytes.Equal(p.Schema, t.Schema)
	})
}

// embedded returns the schema of a type as a part of the document. One without an id gets one, so that
// what it refers to is looked for in itself, and not in the document.
func embedded(t alotwebhook.EventType) any {
	var schema object
	if err := json.Unmarshal(t.Schema, &schema); err != nil {
		return t.Schema // the dispatcher has taken it
	}
	if _, ok := schema["$id"]; !ok && bytes.Contains(t.Schema, []byte(`"$ref"`)) {
		schema["$id"] = "urn:event-type:" + t.Name
	}
	return schema
}

// component returns a reference to a component of the document.
func component(kind, name string) object {
	return object{"$ref": "#/components/" + kind + "/" + name}
}

// components returns references to components of one kind.
func components(kind string, names ...string) []object {
	list := make([]object, len(names))
	for i, name := range names {
		list[i] = component(kind, name)
	}
	return list
}

// eventTypeJSON is an event type of the catalogue as the API shows it.
type eventTypeJSON struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitzero"`
	Since       string          `json:"since,omitzero"`
	Deprecated  string          `json:"deprecated,omitzero"`
	Schema      json.RawMessage `json:"schema,omitempty"`  // of an event's data
	Example     json.RawMessage `json:"example,omitempty"` // of an event's data
}

type eventTypesJSON struct {
	EventTypes      []eventTypeJSON `json:"eventTypes"`
	Wildcards       bool            `json:"wildcards,omitzero"`
	PayloadVersions []string        `json:"payloadVersions,omitempty"` // from the oldest to today's
}

func (a *api) listEventTypes(r *http.Request, _ caller) (response, error) {
	list := eventTypesJSON{EventTypes: []eventTypeJSON{}}
	list.Wildcards, list.PayloadVersions = a.dispatcher.Offers()
	for _, t := range a.dispatcher.EventTypes() {
		list.EventTypes = append(list.EventTypes, eventTypeJSON{t.Name, t.Description, t.Since, t.Deprecated, t.Schema, t.Example})
	}
	return response{status: http.StatusOK, body: list}, nil
}
