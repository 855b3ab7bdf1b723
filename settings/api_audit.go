package settings

import (
	"net/http"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/audit"
)

// operationJSON is an operation as the API shows it.
type operationJSON struct {
	ID         string                    `json:"id"`
	Type       alotwebhook.OperationType `json:"type"`
	At         instant                   `json:"at"`
	EndpointID string                    `json:"endpointId,omitzero"` // "" if it is about all of them
	DeliveryID string                    `json:"deliveryId,omitzero"`
	Actor      string                    `json:"actor,omitzero"`
	Note       string                    `json:"note,omitzero"`
}

// operationsJSON is a page of the list of operations.
type operationsJSON struct {
	Operations []operationJSON `json:"operations"`
	NextCursor string          `json:"nextCursor,omitzero"`
}

// listOperations responds with a page of the organization's operations.
func (a *api) listOperations(r *http.Request, who caller) (response, error) {
	q := readQuery(r, "endpoint", "type", "since", "until", "cursor", "limit")
	f := alotwebhook.OperationFilter{
		EndpointID: q.id("endpoint", endpointPrefix), Type: q.operationType("type"),
		Since: q.time("since", apiLayouts), Until: q.time("until", apiLayouts), Limit: q.limit(),
	}
	q.inOrder(f.Since, f.Until)
	list := listing{operationPrefix, []string{
		who.organization, f.EndpointID, string(f.Type), f.Since.UTC().Format(time.RFC3339Nano), f.Until.UTC().Format(time.RFC3339Nano),
	}}
	f.Cursor = q.place(list)
	if err := q.err(); err != nil {
		return response{}, err
	}
	found, next, err := who.operations(r.Context(), a.dispatcher, f)
	if err != nil {
		return response{}, err
	}
	page := operationsJSON{Operations: make([]operationJSON, len(found)), NextCursor: list.cursor(next)}
	for i, o := range found {
		page.Operations[i] = operationJSON{o.ID, o.Type, instant(o.At), o.EndpointID, o.DeliveryID, o.Actor, o.Note}
	}
	return response{status: http.StatusOK, body: page}, nil
}

// operationType reads a type of operations.
func (q *query) operationType(name string) alotwebhook.OperationType {
	kind := q.values.Get(name)
	if kind != "" && !audit.IsType(kind) {
		q.refuse(name, "must be a type of operations such as "+string(alotwebhook.OpEndpointDisabled))
	}
	return alotwebhook.OperationType(kind)
}
