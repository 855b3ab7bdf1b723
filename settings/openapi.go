package settings

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"net/http"
	"slices"
)

//go:embed openapi.json
var openAPI []byte

// OpenAPI returns the OpenAPI 3.1 document of the management API and of the
// outgoing webhooks, as JSON: to be published, or to make clients from. The
// API's own GET /v1/webhooks/openapi.json wants authentication like every route.
func OpenAPI() []byte { return slices.Clone(openAPI) }

// readOpenAPI names the server as the caller finds it: below what the host
// took off the path.
func (a *api) readOpenAPI(r *http.Request, _ string) (answer, error) {
	if err := readQuery(r).err(); err != nil {
		return answer{}, err
	}
	server, err := json.Marshal(at(r, ""))
	if err != nil {
		return answer{}, err
	}
	document := openAPI
	if mounted := string(server); mounted != `""` {
		document = bytes.Replace(openAPI, []byte(`"url": "/"`), []byte(`"url": `+mounted), 1)
	}
	return answer{status: http.StatusOK, body: json.RawMessage(document)}, nil
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
	if err := readQuery(r).err(); err != nil {
		return answer{}, err
	}
	list := eventTypesJSON{EventTypes: []eventTypeJSON{}}
	for _, t := range a.dispatcher.EventTypes() {
		list.EventTypes = append(list.EventTypes, eventTypeJSON{t.Name, t.Description, t.Example})
	}
	return answer{status: http.StatusOK, body: list}, nil
}
