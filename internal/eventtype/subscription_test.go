package eventtype_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/eventtype"
)

func TestNamesOfSubscriptions(t *testing.T) {
	t.Parallel()
	for of, names := range map[string][]string{
		"ping":                {"ping", "*"},
		"candidate.completed": {"candidate.completed", "*", "candidate.*"},
		"a.b.c":               {"a.b.c", "*", "a.*", "a.b.*"},
		"endpoint.disabled":   {"endpoint.disabled"},
		"endpoint.own":        {"endpoint.own", "*", "endpoint.*"},
		"no name":             {"no name"},
	} {
		require.Equal(t, names, eventtype.Names(of), of)
		for _, name := range names {
			require.True(t, eventtype.Includes([]string{"other", name}, of), "%s includes %s", name, of)
		}
	}
	for name, of := range map[string]string{
		"candidate.*": "candidates.x", "candidate*": "candidate.x", "*": "endpoint.disabled", "endpoint.*": "endpoint.disabled",
		"a.b.*": "a.b", ".*": ".x", "a.*": "b.a.c", "": "ping",
	} {
		require.False(t, eventtype.Includes([]string{name}, of), "%s does not include %s", name, of)
	}
}

func TestSubscriptionsThatAreRefused(t *testing.T) {
	t.Parallel()
	catalogue := map[string]int{"candidate.completed": 1, "candidate.offer.signed": 1, "ping": 1, "endpoint.disabled": 1}
	for _, given := range [][]string{
		{"*"}, {"candidate.*", "ping"}, {"candidate.offer.*", "candidate.completed"}, {"*", "endpoint.disabled"}, {"candidate.completed"},
	} {
		_, problem := eventtype.SubscriptionsProblem(given, nil, catalogue, true)
		require.Empty(t, problem, "%q", given)
	}
	for _, c := range []struct {
		given   []string
		at      int
		problem string
	}{
		{[]string{"ping", "ping"}, 1, `"ping" stands twice`},
		{[]string{"ping", "*"}, 0, `"ping" is included in "*"; leave one of them out`},
		{[]string{"*", "candidate.*"}, 1, `"candidate.*" is included in "*"`},
		{[]string{"candidate.*", "candidate.completed"}, 1, `is included in "candidate.*"`},
		{[]string{"candidate.offer.*", "candidate.*"}, 0, `is included in "candidate.*"`},
		{[]string{"candidat.*"}, 0, "includes no event type"},
		{[]string{"endpoint.*"}, 0, "includes no event type"},
		{[]string{"candidate*"}, 0, "whole words"},
		{[]string{"*.completed"}, 0, "whole words"},
		{[]string{"**"}, 0, "whole words"},
		{[]string{".*"}, 0, "whole words"},
		{[]string{"candidate.*.x"}, 0, "whole words"},
		{[]string{"A.*"}, 0, "whole words"},
		{[]string{"other"}, 0, "not in the catalogue"},
		{[]string{""}, 0, "is missing"},
	} {
		at, problem := eventtype.SubscriptionsProblem(c.given, nil, catalogue, true)
		require.Contains(t, problem, c.problem, "%q", c.given)
		require.Equal(t, fmt.Sprintf("[%d]", c.at), at, "%q", c.given)
	}
	long := strings.Repeat("x", 10_000)
	for _, given := range [][]string{{long}, {long + ".*"}, {long, "*"}, {"*", long + ".*"}, {"ping", "ping." + long, "ping." + long}} {
		_, problem := eventtype.SubscriptionsProblem(given, given[1:], catalogue, true)
		require.NotEmpty(t, problem)
		require.Less(t, len(problem), 500)
	}
	_, problem := eventtype.SubscriptionsProblem([]string{"*"}, nil, catalogue, false)
	require.Contains(t, problem, "has a star, which is not offered")
	_, problem = eventtype.SubscriptionsProblem([]string{"*", "gone.*"}, []string{"gone.*", "*"}, catalogue, false)
	require.Contains(t, problem, "is included in")
	_, problem = eventtype.SubscriptionsProblem([]string{"gone.*"}, []string{"gone.*", "*"}, catalogue, false)
	require.Empty(t, problem, "what is kept is not judged again")
}
