package eventtype_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/eventtype"
)

func TestExamplesThatAreRefused(t *testing.T) {
	t.Parallel()
	bad := json.RawMessage("{")
	for field, list := range map[string][]eventtype.Entry{
		"":                          {{Name: "a.b", Example: json.RawMessage("{}"), TestExample: json.RawMessage("1")}, {Name: "a.c"}},
		"eventTypes[1].name":        {{Name: "a.b"}, {Name: "A"}},
		"eventTypes[2].name":        {{Name: "a.b"}, {Name: "a.c"}, {Name: "a.b"}},
		"eventTypes[0].example":     {{Name: "a.b", Example: bad, TestExample: bad}},
		"eventTypes[0].testExample": {{Name: "a.b", TestExample: bad}},
	} {
		_, got, problem := eventtype.CheckCatalogue(list, nil, nil)
		require.Equal(t, field, got)
		require.Equal(t, field == "", problem == "")
	}
}
