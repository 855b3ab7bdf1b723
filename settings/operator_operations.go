package settings

import (
	"net/http"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/audit"
)

// operationRow is a row of the audit trail.
type operationRow struct {
	alotwebhook.Operation
	Pages string // path of the organization's pages; "" if it is about all
	Thing string // path of the endpoint's page or of the recovery's; "" if it is about neither
}

// operationsView is a page of the audit trail.
type operationsView struct {
	Rows     []operationRow
	Types    []alotwebhook.OperationType
	Filter   alotwebhook.OperationFilter
	From     string    // the operation that the page begins with; "" for the newest
	Older    string    // address of the next page; "" on the last
	Newest   string    // address of the first page; "" on the first
	Reached  time.Time // how far back the page searched, if it did not search to the end
	Filtered bool
}

func (o *operatorPages) listOperations(v *visit) error {
	q := readQuery(v.r, "organization", "endpoint", "type", "operation", "cursor", flashName)
	q.labels = map[string]string{"organization": "Organization", "endpoint": "Endpoint or recovery", "type": "What"}
	f := alotwebhook.OperationFilter{
		OrganizationID: q.organization("organization"), EndpointID: q.id("endpoint", endpointPrefix, recoveryPrefix),
		Type: q.operationType("type"), Cursor: q.cursor(operationPrefix),
	}
	from := q.id("operation", operationPrefix)
	if err := q.refused(); err != nil {
		return err
	}
	data := operationsView{Filter: f, Types: operationTypes(), From: from, Filtered: f.OrganizationID+f.EndpointID+string(f.Type) != ""}
	if from != "" {
		f.Until = idTime(from).Add(time.Millisecond)
	}
	found, next, err := gather(f.Cursor, func(cursor string, limit int) ([]alotwebhook.Operation, string, error) {
		f.Cursor, f.Limit = cursor, limit
		return v.dispatcher.Operations(v.r.Context(), f)
	})
	if err != nil {
		return err
	}
	for _, op := range found {
		data.Rows = append(data.Rows, v.operationRow(op))
	}
	v.linkOperations(&data, next)
	return v.show(http.StatusOK, "operator_operations", view{Heading: "Audit trail", Section: "operations", Data: data})
}

// linkOperations sets the addresses that the page links to. next is the cursor of the next page.
func (v *visit) linkOperations(data *operationsView, next string) {
	if next != "" {
		data.Older = v.addressWith("cursor", next, "operation", "")
	}
	if next != "" && len(data.Rows) < historyPage {
		data.Reached = idTime(next)
	}
	if data.Filter.Cursor != "" || data.From != "" {
		data.Newest = v.addressWith("cursor", "", "operation", "")
	}
}

// operationRow returns a row of the audit trail with its links.
func (v *visit) operationRow(op alotwebhook.Operation) operationRow {
	row := operationRow{Operation: op}
	if op.OrganizationID != "" {
		row.Pages = v.baseOf(op.OrganizationID)
	}
	switch {
	case isID(recoveryPrefix, op.EndpointID):
		row.Thing = v.base + "/recoveries/" + op.EndpointID
	case row.Pages != "" && isID(endpointPrefix, op.EndpointID):
		row.Thing = row.Pages + "/" + op.EndpointID
	}
	return row
}

// operationTypes returns the types that a filter offers.
func operationTypes() (list []alotwebhook.OperationType) {
	for _, t := range audit.Types() {
		list = append(list, alotwebhook.OperationType(t.Name))
	}
	return list
}
