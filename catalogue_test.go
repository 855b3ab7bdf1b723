package alotwebhook_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

func TestDefaultEventTypes(t *testing.T) {
	t.Parallel()
	types := alotwebhook.DefaultEventTypes()
	require.NoError(t, checkCatalogue(types...))
	data := map[string]any{
		alotwebhook.EventCandidateInvited:      &alotwebhook.CandidateInvited{},
		alotwebhook.EventCandidateCompleted:    &alotwebhook.CandidateCompleted{},
		alotwebhook.EventCandidateDisqualified: &alotwebhook.CandidateDisqualified{},
		alotwebhook.EventAssessmentPublished:   &alotwebhook.AssessmentPublished{},
	}
	require.Len(t, types, len(data))
	for _, typ := range types {
		require.NotEmpty(t, typ.Description)
		// The type of the data must have a field for everything in the example.
		into := data[typ.Name]
		require.NotNil(t, into, typ.Name)
		require.NoError(t, json.Unmarshal(typ.Example, into))
		again, err := json.Marshal(into)
		require.NoError(t, err)
		require.Equal(t, string(typ.Example), string(again))
	}
	types[0].Name = "changed"
	require.Equal(t, "candidate.invited", alotwebhook.DefaultEventTypes()[0].Name)
}

// checkCatalogue returns the error for a catalogue.
func checkCatalogue(types ...alotwebhook.EventType) error {
	_, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{EventTypes: types})
	return err
}

func TestCatalogueIsChecked(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ping", "a.b", "candidate.stage_2.passed", strings.Repeat("x", 128)} {
		require.NoError(t, checkCatalogue(alotwebhook.EventType{Name: name}), name)
	}
	for _, name := range []string{"", ".", "a.", ".a", "a..b", "A.b", "a b", "a-b", "a.*", "é", "a\n", strings.Repeat("x", 129)} {
		requireField(t, checkCatalogue(alotwebhook.EventType{Name: "ok"}, alotwebhook.EventType{Name: name}), "eventTypes[1].name")
	}
	requireField(t, checkCatalogue(alotwebhook.EventType{Name: "a"}, alotwebhook.EventType{Name: "b"}, alotwebhook.EventType{Name: "a"}), "eventTypes[2].name")
	requireField(t, checkCatalogue(alotwebhook.EventType{Name: "a", Example: json.RawMessage("{")}), "eventTypes[0].example")
}

func requireField(t *testing.T, err error, field string) {
	t.Helper()
	var e *alotwebhook.FieldError
	require.ErrorAs(t, err, &e)
	require.Equal(t, field, e.Field)
	require.ErrorIs(t, err, alotwebhook.ErrInvalid)
}
