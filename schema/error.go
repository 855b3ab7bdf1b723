package schema

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// maxProblems is how many problems an error names.
const maxProblems = 5

// Error says where data does not fit its schema. It quotes the schema, and the keys that lead to
// what is wrong, but no value.
type Error struct {
	// Problems are the first five by their pointers, at least one.
	Problems []Problem
	// More is how many others there are.
	More int
}

// Problem is one place in the data that a rule of the schema refuses.
type Problem struct {
	// Pointer is the JSON Pointer (RFC 6901) of what is wrong, such as "/candidate/score"; "" is the
	// data itself, or something in it where the rule is one of propertyNames.
	Pointer string
	// Rule says which rule it breaks, such as "type must be null or number": one of the schema, or one
	// for all numbers, see [Checker.Check].
	Rule string
}

// Error names all Problems.
func (e *Error) Error() string {
	words := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		words[i] = fmt.Sprintf("at %q: %s", p.Pointer, p.Rule)
	}
	text := strings.Join(words, "; ")
	if e.More > 0 {
		text += fmt.Sprintf("; and %d more", e.More)
	}
	return text
}

// uncheckable is the error of data that the validator cannot judge.
func uncheckable() *Error { return &Error{Problems: []Problem{{Rule: "it cannot be checked"}}} }

// explain returns what the validator says, without values.
func explain(err error) *Error {
	e := &Error{}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return uncheckable()
	}
	e.add(invalid)
	return e.sorted()
}

// sorted returns e with the first of its problems, and how many others there are.
func (e *Error) sorted() *Error {
	slices.SortFunc(e.Problems, func(a, b Problem) int { return cmp.Or(cmp.Compare(a.Pointer, b.Pointer), cmp.Compare(a.Rule, b.Rule)) })
	if len(e.Problems) > maxProblems {
		e.Problems, e.More = e.Problems[:maxProblems], len(e.Problems)-maxProblems
	}
	return e
}

// add adds the causes that have no causes themselves. One of several alternatives is enough, so that
// what is wrong with each of them says little: they count as one.
func (e *Error) add(v *jsonschema.ValidationError) {
	at := pointer(v.InstanceLocation)
	switch v.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf, *kind.Not:
	case *kind.PropertyNames:
		// The place that the validator gives may be another one: see the script in findings.
		_, in, _ := strings.Cut(v.SchemaURL, "#")
		e.Problems = append(e.Problems, Problem{Rule: "propertyNames refuses a key: " + in + " of the schema"})
		return
	default:
		if len(v.Causes) > 0 {
			for _, cause := range v.Causes {
				e.add(cause)
			}
			return
		}
	}
	e.Problems = append(e.Problems, Problem{at, rule(v.ErrorKind)})
}

var escaper = strings.NewReplacer("~", "~0", "/", "~1")

func pointer(keys []string) string {
	var b strings.Builder
	for _, key := range keys {
		b.WriteByte('/')
		_, _ = escaper.WriteString(&b, key)
	}
	return b.String()
}

// rule says which rule is broken, in the words of the schema. The validator's own words may quote
// values, and keys that stand where values are expected.
func rule(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return "type must be " + strings.Join(k.Want, " or ")
	case *kind.Required:
		return "required is missing: " + strings.Join(k.Missing, ", ")
	case *kind.DependentRequired:
		return "dependentRequired is missing: " + strings.Join(k.Missing, ", ")
	case *kind.Enum:
		return "enum has " + spelled(k.Want)
	case *kind.Const:
		return "const is " + spelled(k.Want)
	case *kind.Pattern:
		return "pattern is " + k.Want
	case *kind.Minimum:
		return "minimum is " + k.Want.RatString()
	case *kind.Maximum:
		return "maximum is " + k.Want.RatString()
	case *kind.MinLength:
		return fmt.Sprintf("minLength is %d", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("maxLength is %d", k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("minItems is %d", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("maxItems is %d", k.Want)
	case *kind.FalseSchema:
		return "nothing is allowed here"
	case *kind.Not:
		return "not refuses it"
	}
	if path := k.KeywordPath(); len(path) > 0 {
		return path[0] + " refuses it"
	}
	return "the schema refuses it"
}

// spelled returns a part of the schema as JSON.
func spelled(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "others"
	}
	return string(text)
}
