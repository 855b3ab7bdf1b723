package settings

import (
	_ "embed"
	"encoding/json"
	"maps"
	"strings"
)

//go:embed operator_openapi.json
var operatorOpenAPI []byte

// OperatorOpenAPI returns the OpenAPI 3.1 document of the operators' API, as JSON: see
// [NewOperatorAPI]. The API serves it at GET /v1/operator/openapi.json. The error is always nil for
// the documents that this package has.
func OperatorOpenAPI() ([]byte, error) {
	d, err := describeOperators()
	if err != nil {
		return nil, err
	}
	return json.Marshal(d)
}

// organizationPattern is what the paths of an organization's API begin with in the document.
const organizationPattern = operatorPath + "/organizations/{organizationId}/webhooks"

// describeOperators returns the document of the operators' API. It has the paths and the components
// of the management API, too.
func describeOperators() (d document, err error) {
	var shared document
	if err := json.Unmarshal(openAPI, &shared); err != nil {
		return d, err
	}
	if err := json.Unmarshal(operatorOpenAPI, &d); err != nil {
		return d, err
	}
	d.Webhooks = object{}
	if d.Components, err = withShared(shared.Components, d.Components); err != nil {
		return d, err
	}
	d.Paths, err = withOrganizations(shared.Paths, d.Paths)
	return d, err
}

// withShared returns the components of both, by kind and name.
func withShared(shared, own json.RawMessage) (json.RawMessage, error) {
	var all, more map[string]map[string]json.RawMessage
	if err := json.Unmarshal(shared, &all); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(own, &more); err != nil {
		return nil, err
	}
	for kind, named := range more {
		maps.Copy(all[kind], named)
	}
	return json.Marshal(all)
}

// withOrganizations returns the own paths, and those of the management API where operators find
// them. The ids of their operations begin with "organization.".
func withOrganizations(shared, own json.RawMessage) (json.RawMessage, error) {
	var all, customers map[string]map[string]any
	if err := json.Unmarshal(own, &all); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(shared, &customers); err != nil {
		return nil, err
	}
	for path, item := range customers {
		for _, operation := range item {
			if o, ok := operation.(map[string]any); ok {
				o["operationId"] = "organization." + o["operationId"].(string)
			}
		}
		given, _ := item["parameters"].([]any)
		item["parameters"] = append(given, component("parameters", "OrganizationIdInPath"))
		all[organizationPattern+strings.TrimPrefix(path, webhooksPath)] = item
	}
	return json.Marshal(all)
}
