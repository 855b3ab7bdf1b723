package settings

import (
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
// outgoing webhooks, as JSON: to be published, or to make clients from. It has
// the four published event types under webhooks; what the API itself serves at
// GET /v1/webhooks/openapi.json has those of the host's catalogue, and wants
// authentication like every route.
func OpenAPI() []byte { return slices.Clone(openAPI) }

// document is the OpenAPI document, in the order in which it is read.
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

// object is one of JSON.
type object map[string]any

// describe makes the document of a host with this catalogue.
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

// readOpenAPI names the server as the caller finds it: below what the host
// took off the path.
func (a *api) readOpenAPI(r *http.Request, _ string) (answer, error) {
	d := a.document
	if mounted := at(r, ""); mounted != "" {
		servers, err := json.Marshal([]object{{"url": mounted}})
		if err != nil {
			return answer{}, err
		}
		d.Servers = servers
	}
	return answer{status: http.StatusOK, body: d}, nil
}

// publishedData names the schemas of the data of the published types.
var publishedData = map[string]string{
	alotwebhook.EventCandidateInvited:      "CandidateInvited",
	alotwebhook.EventCandidateCompleted:    "CandidateCompleted",
	alotwebhook.EventCandidateDisqualified: "CandidateDisqualified",
	alotwebhook.EventAssessmentPublished:   "AssessmentPublished",
}

// describeWebhook describes the request that an endpoint gets for an event of
// the type. Its operation's id begins with "on.", as no operation of the API does.
func describeWebhook(t alotwebhook.EventType) object {
	return object{
		"parameters": components("parameters",
			"Signature", "EventHeader", "DeliveryHeader", "AttemptHeader", "UserAgent",
			"StandardId", "StandardTimestamp", "StandardSignature"),
		"post": object{
			"operationId": "on." + t.Name,
			"tags":        []string{"Events"},
			"summary":     cmp.Or(t.Description, t.Name),
			"description": "Answer with any 2xx once it is stored; anything else, or no answer in time, is a failure and is tried again. The same event can arrive more than once.",
			"security":    []object{},
			"requestBody": object{"required": true, "content": object{"application/json": describePayload(t)}},
			"responses": object{
				"2XX":     component("responses", "Received"),
				"410":     component("responses", "Gone"),
				"default": component("responses", "NotReceived"),
			},
		},
	}
}

// describePayload shows an example as it would be sent, byte for byte.
func describePayload(t alotwebhook.EventType) object {
	properties := object{"type": object{"const": t.Name}}
	if name, ok := publishedData[t.Name]; ok {
		properties["data"] = component("schemas", name)
	}
	example := alotwebhook.Event{
		ID: "evt_01kt0v7fbgf0m8n2p4q6r7s9tv", Type: t.Name, OrganizationID: "org_123",
		Timestamp: time.Date(2026, 5, 25, 14, 23, 0, 0, time.UTC), Data: t.Example,
	}
	if len(t.Example) == 0 {
		example.Data = json.RawMessage(`{}`)
	}
	return object{
		"schema":  object{"allOf": components("schemas", "Event"), "properties": properties},
		"example": json.RawMessage(example.Payload()),
	}
}

// component refers to a part of the document that several have in common.
func component(kind, name string) object {
	return object{"$ref": "#/components/" + kind + "/" + name}
}

func components(kind string, names ...string) []object {
	list := make([]object, len(names))
	for i, name := range names {
		list[i] = component(kind, name)
	}
	return list
}

// eventTypeJSON is an entry of the catalogue.
type eventTypeJSON struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitzero"`
	Example     json.RawMessage `json:"example,omitempty"` // of an event's data
}

type eventTypesJSON struct {
	EventTypes []eventTypeJSON `json:"eventTypes"`
}

func (a *api) listEventTypes(r *http.Request, _ string) (answer, error) {
	list := eventTypesJSON{EventTypes: []eventTypeJSON{}}
	for _, t := range a.dispatcher.EventTypes() {
		list.EventTypes = append(list.EventTypes, eventTypeJSON{t.Name, t.Description, t.Example})
	}
	return answer{status: http.StatusOK, body: list}, nil
}
