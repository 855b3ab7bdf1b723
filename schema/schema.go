// Package schema checks the data of events against the JSON Schemas of their types, when they are
// emitted: what does not fit is refused, before a customer's service gets it.
//
//	types := append(alotwebhook.DefaultEventTypes(), own...)
//	checker, err := schema.New(types)
//	dispatcher, err := alotwebhook.NewDispatcher(store, &alotwebhook.Config{
//		EventTypes: types,
//		CheckData:  checker.Check,
//	})
//
// It is a module of its own, so that who does not need it does not import its validator. Nothing here
// connects to anything: a schema must have all in it that it refers to.
package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/alot/alotwebhook"
)

// Checker checks data by the schemas of a catalogue. Make one with [New]. Any number of goroutines may use
// it at once.
type Checker struct {
	schemas map[string]*jsonschema.Schema // by event type
}

// New compiles the schemas of the event types: see [alotwebhook.EventType]. A schema is one of draft
// 2020-12, unless its $schema names an earlier one. "format" is not checked, as that draft has it.
//
// The error is an [alotwebhook.FieldError] of a field such as "eventTypes[2].schema": the schema is
// none, refers to another document, which is never fetched, or has a number that [Checker.Check]
// would not take.
func New(types []alotwebhook.EventType) (*Checker, error) {
	c := &Checker{schemas: make(map[string]*jsonschema.Schema, len(types))}
	for i, t := range types {
		if len(t.Schema) == 0 {
			continue
		}
		compiled, err := compile(t.Name, t.Schema)
		if err != nil {
			return nil, &alotwebhook.FieldError{Field: fmt.Sprintf("eventTypes[%d].schema", i), Problem: "of " + t.Name + " is not usable: " + err.Error()}
		}
		c.schemas[t.Name] = compiled
	}
	return c, nil
}

// compile compiles a schema by itself, so that it finds no part of another.
func compile(name string, schema json.RawMessage) (compiled *jsonschema.Schema, err error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, err
	}
	if err := refuseNumbers(document); err != nil {
		return nil, err
	}
	defer func() {
		if recover() != nil {
			compiled, err = nil, errors.New("the validator cannot compile it; write it in a simpler way")
		}
	}()
	address := "https://event-types.invalid/" + name // what a reference without an address begins with
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(loadNothing{})
	if err := compiler.AddResource(address, document); err != nil {
		return nil, err
	}
	return compiler.Compile(address)
}

// loadNothing is the loader of what a schema refers to outside of itself.
type loadNothing struct{}

// Load implements [jsonschema.URLLoader].
func (loadNothing) Load(string) (any, error) {
	return nil, fmt.Errorf("it refers to another document, which is not fetched: put that into $defs, and refer to #/$defs/…")
}

// Check returns nil if data fits the schema of the event type, or the type has none. It is meant for
// [alotwebhook.Config].CheckData. The error is an [Error].
//
// Data of a type with a schema may have no number of more than 1000 characters, or with an exponent
// beyond ±400, whatever the schema says: one such number can cost as much as thousands of others.
func (c *Checker) Check(eventType string, data json.RawMessage) error {
	if c == nil || c.schemas == nil {
		return &Error{Problems: []Problem{{Rule: "it cannot be checked: the Checker is nil or empty; make it with schema.New"}}}
	}
	schema := c.schemas[eventType]
	if schema == nil {
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return &Error{Problems: []Problem{{Rule: "it must be one JSON value"}}}
	}
	if err := refuseNumbers(value); err != nil {
		return err
	}
	return validate(schema, value)
}

// validate returns what the validator says. If it panics, over whatever is still unknown, the data is
// refused: that must not end the host.
func validate(schema *jsonschema.Schema, value any) (err error) {
	defer func() {
		if recover() != nil {
			err = uncheckable()
		}
	}()
	if err := schema.Validate(value); err != nil {
		return explain(err)
	}
	return nil
}
