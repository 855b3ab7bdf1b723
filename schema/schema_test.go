package schema_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/schema"
	"github.com/alot/alotwebhook/store/memory"
)

func typeOf(t string) []alotwebhook.EventType {
	return []alotwebhook.EventType{{Name: "candidate.offered", Schema: json.RawMessage(t)}, {Name: "ping"}}
}

func newChecker(t *testing.T, s string) *schema.Checker {
	t.Helper()
	c, err := schema.New(typeOf(s))
	require.NoError(t, err)
	return c
}

func TestPublishedExamplesFit(t *testing.T) {
	t.Parallel()
	c, err := schema.New(alotwebhook.DefaultEventTypes())
	require.NoError(t, err)
	for _, e := range alotwebhook.DefaultEventTypes() {
		require.NotEmpty(t, e.Schema, e.Name)
		require.NoError(t, c.Check(e.Name, e.Example), e.Name)
		require.NoError(t, c.Check(e.Name, json.RawMessage(`{"sessionId":null,"new":1}`)), e.Name)
		require.Error(t, c.Check(e.Name, json.RawMessage(`[]`)), e.Name)
	}
	require.ErrorContains(t, c.Check("candidate.completed", json.RawMessage(`{"score":"82"}`)), `at "/score": type must be null or number`)
}

// No value of the data may be in an error, since errors end in logs.
func TestErrorsNamePlaceAndRuleAlone(t *testing.T) {
	t.Parallel()
	c := newChecker(t, `{
		"type": "object",
		"required": ["id"],
		"properties": {
			"id": {"type": "string", "pattern": "^c_", "maxLength": 5, "minLength": 2},
			"score": {"type": "number", "minimum": 0, "maximum": 100, "multipleOf": 0.5},
			"stage": {"enum": ["new", "hired"]},
			"kind": {"const": "x"},
			"tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2, "minItems": 1, "uniqueItems": true},
			"who": {"anyOf": [{"type": "string"}, {"type": "null"}]},
			"a/b": {"properties": {"~c": {"type": "string"}}},
			"none": false,
			"names": {"propertyNames": {"maxLength": 3}},
			"closed": {"type": "object", "additionalProperties": false},
			"no": {"not": {"type": "string"}},
			"link": {"$ref": "#/$defs/link"}
		},
		"dependentRequired": {"kind": ["stage"]},
		"$defs": {"link": {"type": "string", "maxLength": 3}}
	}`)
	require.NoError(t, c.Check("candidate.offered", json.RawMessage(`{"id":"c_1","score":0.5,"stage":"new","kind":"x","tags":["a"],"who":null,"link":"abc"}`)))
	for _, one := range []struct{ data, want string }{
		{`{}`, `at "": required is missing: id`},
		{`"jane"`, `at "": type must be object`},
		{`{"id":"jane"}`, `at "/id": pattern is ^c_`},
		{`{"id":"c_jane"}`, `at "/id": maxLength is 5`},
		{`{"id":7}`, `at "/id": type must be string`},
		{`{"id":"c_1","score":-1}`, `at "/score": minimum is 0`},
		{`{"id":"c_1","score":1e3}`, `at "/score": maximum is 100`},
		{`{"id":"c_1","score":0.3}`, `at "/score": multipleOf refuses it`},
		{`{"id":"c_1","stage":"jane"}`, `at "/stage": enum has ["new","hired"]`},
		{`{"id":"c_1","kind":"jane"}`, `at "": dependentRequired is missing: stage; at "/kind": const is "x"`},
		{`{"id":"c_1","tags":[]}`, `at "/tags": minItems is 1`},
		{`{"id":"c_1","tags":["jane","b","c"]}`, `at "/tags": maxItems is 2`},
		{`{"id":"c_1","tags":["jane","jane"]}`, `at "/tags": uniqueItems refuses it`},
		{`{"id":"c_1","tags":["b",5]}`, `at "/tags/1": type must be string`},
		{`{"id":"c_1","who":5}`, `at "/who": anyOf refuses it`},
		{`{"id":"c_1","a/b":{"~c":5}}`, `at "/a~1b/~0c": type must be string`},
		{`{"id":"c_1","none":"jane"}`, `at "/none": nothing is allowed here`},
		{`{"id":"c_1","names":{"jane":1}}`, `at "": propertyNames refuses a key: /properties/names/propertyNames of the schema`},
		{`{"id":"c_1","closed":{"jane":1}}`, `at "/closed": additionalProperties refuses it`},
		{`{"id":"c_1","no":"jane"}`, `at "/no": not refuses it`},
		{`{"id":"c_1","link":"jane"}`, `at "/link": maxLength is 3`},
		{`{"id":"c_1","tags":[1,2,3,4,5,6,7]}`, `; and `},
	} {
		err := c.Check("candidate.offered", json.RawMessage(one.data))
		require.ErrorContains(t, err, one.want, one.data)
		require.NotContains(t, err.Error(), "jane", one.data)
		var typed *schema.Error
		require.ErrorAs(t, err, &typed)
		require.NotEmpty(t, typed.Problems)
		require.LessOrEqual(t, len(typed.Problems), 5)
	}
	require.NoError(t, c.Check("ping", json.RawMessage(`5`)), "a type without a schema takes anything")
	require.NoError(t, c.Check("unknown", json.RawMessage(`5`)))
	require.Error(t, c.Check("candidate.offered", json.RawMessage(`{"id":`)))
}

func TestSchemasThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		`{"$ref":"https://example.com/schema.json"}`,
		`{"properties":{"a":{"$ref":"other.json"}}}`,
		`{"$ref":"file:///etc/passwd"}`,
		`{"$schema":"https://example.com/draft"}`,
		`{"$ref":"#/$defs/none"}`,
		`{"type":"text"}`,
		`{"pattern":"("}`,
		`{"type":`,
	} {
		_, err := schema.New(typeOf(s))
		var field *alotwebhook.FieldError
		require.ErrorAs(t, err, &field, s)
		require.Equal(t, "eventTypes[0].schema", field.Field)
	}
	_, err := schema.New(typeOf(`{"$ref":"https://example.com/schema.json"}`))
	require.ErrorContains(t, err, "not fetched")
}

func TestEmitRefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	types := typeOf(`{"type":"object","required":["id"],"properties":{"id":{"type":"string"}}}`)
	types[0].Example = json.RawMessage(`{"id":"c_1"}`)
	checker, err := schema.New(types)
	require.NoError(t, err)
	store := memory.New()
	d, err := alotwebhook.NewDispatcher(store, &alotwebhook.Config{EventTypes: types, CheckData: checker.Check, CustomerOperations: true})
	require.NoError(t, err)
	good, err := alotwebhook.NewEvent("candidate.offered", "org_1", map[string]string{"id": "c_1"})
	require.NoError(t, err)
	bad, err := alotwebhook.NewEvent("candidate.offered", "org_1", map[string]int{"id": 4711})
	require.NoError(t, err)
	err = d.Emit(t.Context(), good, bad)
	require.ErrorContains(t, err, `events[1].data does not fit candidate.offered: at "/id": type must be string`)
	require.NotContains(t, err.Error(), "4711")
	require.ErrorIs(t, err, alotwebhook.ErrInvalid)
	_, err = store.Event(t.Context(), good.ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound, "nothing of the batch is stored")
	require.NoError(t, d.Emit(t.Context(), good))

	types[0].Example = json.RawMessage(`{"id":5}`)
	_, err = alotwebhook.NewDispatcher(store, &alotwebhook.Config{EventTypes: types, CheckData: checker.Check})
	require.ErrorContains(t, err, `eventTypes[0].example does not fit candidate.offered`)
	types[0].Example = nil
	_, err = alotwebhook.NewDispatcher(store, &alotwebhook.Config{EventTypes: types, CheckData: checker.Check})
	require.ErrorContains(t, err, "is missing, and {}, which tests send instead")
	require.True(t, errors.Is(err, alotwebhook.ErrInvalid))
}

func BenchmarkCheck(b *testing.B) {
	types := alotwebhook.DefaultEventTypes()
	c, err := schema.New(types)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := c.Check(types[1].Name, types[1].Example); err != nil {
			b.Fatal(err)
		}
	}
}
