package schema_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/schema"
)

// A number of a few bytes may stand for millions of digits, for which the validator takes long or panics.
func TestNumbersThatCannotBeChecked(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{
		`{"type":"integer"}`, `{"type":"number"}`, `{"maximum":5}`, `{"minimum":5}`, `{"exclusiveMaximum":5}`, `{"exclusiveMinimum":5}`, `{"multipleOf":5}`,
		`{"enum":[5]}`, `{"const":5}`, `{"not":{"maximum":5}}`, `true`,
	} {
		c := newChecker(t, `{"properties":{"a/b":{"items":`+rule+`}}}`)
		for _, number := range []string{"1e5000000", "1e-5000000", "-1E+5000000", "1e1000000", "1e401", "1.5e-401", "0e99999999999999999999", "1e0000000401"} {
			err := c.Check("candidate.offered", json.RawMessage(`{"a/b":[1,`+number+`]}`))
			require.EqualError(t, err, `at "/a~1b/1": the exponent of a number must be from -400 to 400; give a number within these, or a string`, rule)
		}
		err := c.Check("candidate.offered", json.RawMessage(`{"a/b":[`+strings.Repeat("7", 1001)+`]}`))
		require.EqualError(t, err, `at "/a~1b/0": a number may have 1000 characters at most; give it as a string`, rule)
	}
	c := newChecker(t, `{"items":{"type":"integer"}}`)
	err := c.Check("candidate.offered", json.RawMessage(`[`+strings.Repeat("1e1000000,", 99)+`1e1000000]`))
	var typed *schema.Error
	require.ErrorAs(t, err, &typed)
	require.Len(t, typed.Problems, 5)
	require.Equal(t, 95, typed.More)
	require.Error(t, c.Check("candidate.offered", json.RawMessage(`1e5000000`)))
}

func TestOrdinaryNumbersAreChecked(t *testing.T) {
	t.Parallel()
	c := newChecker(t, `{"items":{"type":"number","minimum":-1e400,"maximum":1e400,"multipleOf":1e-400},"maxItems":10}`)
	for _, number := range []string{"0", "-0.0", "0.1", "1e308", "1.7976931348623157e+308", "5e-324", "12345678901234567890", "1e400", "1E-400", "1e+0000000400", strings.Repeat("7", 400)} {
		require.NoError(t, c.Check("candidate.offered", json.RawMessage(`[`+number+`]`)), number)
	}
	c = newChecker(t, `{"type":"integer"}`)
	for _, number := range []string{"12345678901234567890", "1e308", "1.0", strings.Repeat("7", 1000)} {
		require.NoError(t, c.Check("candidate.offered", json.RawMessage(number)), number)
	}
	require.ErrorContains(t, c.Check("candidate.offered", json.RawMessage(`0.1`)), "type must be integer")
	require.NoError(t, c.Check("ping", json.RawMessage(`1e5000000`)), "a type without a schema takes anything")
	require.NoError(t, newChecker(t, `{"type":"string"}`).Check("candidate.offered", json.RawMessage(`"1e5000000"`)))
}

func TestNumbersOfSchemasAreRefused(t *testing.T) {
	t.Parallel()
	for _, keyword := range []string{"multipleOf", "maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum", "maxLength", "minItems", "const", "default"} {
		for _, number := range []string{"1e5000000", "1e-5000000", strings.Repeat("7", 1001)} {
			_, err := schema.New(typeOf(`{"properties":{"a":{"` + keyword + `":` + number + `}}}`))
			var field *alotwebhook.FieldError
			require.ErrorAs(t, err, &field, keyword)
			require.Equal(t, "eventTypes[0].schema", field.Field)
			require.ErrorContains(t, err, `at "/properties/a/`+keyword+`": `)
		}
	}
}

func TestACheckerThatWasNotMade(t *testing.T) {
	t.Parallel()
	for _, c := range []*schema.Checker{nil, {}} {
		err := c.Check("candidate.offered", json.RawMessage(`{}`))
		require.ErrorContains(t, err, "make it with schema.New")
		require.ErrorAs(t, err, new(*schema.Error))
	}
	c, err := schema.New(nil)
	require.NoError(t, err)
	require.NoError(t, c.Check("candidate.offered", json.RawMessage(`{}`)))
}
