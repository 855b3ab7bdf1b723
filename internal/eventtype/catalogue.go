package eventtype

import (
	"encoding/json"
	"fmt"

	"github.com/alot/alotwebhook/internal/envelope"
)

// Type has the fields of the root's EventType, so that each converts to the other.
type Type struct {
	Name, Description    string
	Example, TestExample json.RawMessage
}

// CatalogueProblem returns what is wrong with the first of n types that is wrong, and its field, such
// as "eventTypes[2].name"; "" if none is.
func CatalogueProblem(n int, at func(i int) Type) (field, problem string) {
	first := make(map[string]int, n)
	for i := range n {
		t, field := at(i), fmt.Sprintf("eventTypes[%d].", i)
		if problem := Problem(t.Name); problem != "" {
			return field + "name", problem
		}
		if j, ok := first[t.Name]; ok {
			return field + "name", fmt.Sprintf("is that of eventTypes[%d], too: %s", j, t.Name)
		}
		first[t.Name] = i
		if !isData(t.Example) {
			return field + "example", noData
		}
		if !isData(t.TestExample) {
			return field + "testExample", noData
		}
	}
	return "", ""
}

const noData = "is not one JSON value in UTF-8"

func isData(data json.RawMessage) bool { return len(data) == 0 || envelope.DataProblem(data) == "" }
