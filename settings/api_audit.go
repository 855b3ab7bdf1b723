package settings

import (
	"net/http"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/audit"
)

// operationJSON is an operation as the API shows it.
type operationJSON struct {
	OrganizationID string                    `json:"organizationId,omitzero"` // in what operators read of many
	ID             string                    `json:"id"`
	Type           alotwebhook.OperationType `json:"type"`
	At             instant                   `json:"at"`
	EndpointID     string                    `json:"endpointId,omitzero"` // "" if it is about all of them
	RecoveryID     string                    `json:"recoveryId,omitzero"` // over many endpoints, as operators read it
	DeliveryID     string                    `json:"deliveryId,omitzero"`
	Actor          string                    `json:"actor,omitzero"`
	Note           string                    `json:"note,omitzero"`
}

// operationsJSON is a page of the list of operations.
type operationsJSON struct {
	Operations []operationJSON `json:"operations"`
	NextCursor string          `json:"nextCursor,omitzero"`
}

func showOperation(o alotwebhook.Operation) operationJSON {
	return operationJSON{
		ID: o.ID, Type: o.Type, At: instant(o.At), EndpointID: o.EndpointID, DeliveryID: o.DeliveryID, Actor: o.Actor, Note: o.Note,
	}
}

// listOperations responds with a page of the organization's operations.
func (a *api) listOperations(r *http.Request, who caller) (response, error) {
	q := readQuery(r, operationFilters...)
	f, list := q.operations(who.organization, endpointPrefix)
	if err := q.err(); err != nil {
		return response{}, err
	}
	found, next, err := who.operations(r.Context(), a.dispatcher, f)
	if err != nil {
		return response{}, err
	}
	page := operationsJSON{Operations: make([]operationJSON, len(found)), NextCursor: list.cursor(next)}
	for i, o := range found {
		page.Operations[i] = showOperation(o)
	}
	return response{status: http.StatusOK, body: page}, nil
}

// operationFilters are the parameters of a list of operations.
var operationFilters = []string{"endpoint", "type", "since", "until", "cursor", "limit"}

// operations reads the parameters of a list of operations. The list is what its cursors belong to.
func (q *query) operations(organization string, about ...string) (f alotwebhook.OperationFilter, list listing) {
	f = alotwebhook.OperationFilter{
		OrganizationID: organization, EndpointID: q.id("endpoint", about...), Type: q.operationType("type"),
		Since: q.time("since", apiLayouts), Until: q.time("until", apiLayouts), Limit: q.limit(),
	}
	q.inOrder(f.Since, f.Until)
	list = listing{operationPrefix, []string{
		organization, f.EndpointID, string(f.Type), f.Since.UTC().Format(time.RFC3339Nano), f.Until.UTC().Format(time.RFC3339Nano),
	}}
	f.Cursor = q.place(list)
	return f, list
}

// operationType reads a type of operations.
func (q *query) operationType(name string) alotwebhook.OperationType {
	kind := q.values.Get(name)
	if kind != "" && !audit.IsType(kind) {
		q.refuse(name, "must be a type of operations such as "+string(alotwebhook.OpEndpointDisabled))
	}
	return alotwebhook.OperationType(kind)
}
