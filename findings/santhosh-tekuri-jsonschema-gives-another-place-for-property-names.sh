#!/usr/bin/env bash
# github.com/santhosh-tekuri/jsonschema/v6 v6.0.3
#
# The InstanceLocation of an error of propertyNames is a slice that later parts of the validation
# write into: it has the right length, and the keys of whatever was looked at last. Which that is
# depends on the order of a map. An error then names a place in which nothing is wrong. Other errors
# have a copy.
#
# For hosts: take the place of such an error from its SchemaURL, which names the rule.
#
# Seen 2026-11-30: the places that 200 runs give for a key that is too long, in names of
# {"id":"c_1","names":{"jane":1}}
#	places: [[id] [names]]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod
cat >go.mod <<'MOD'
module finding

go 1.26
MOD
go get github.com/santhosh-tekuri/jsonschema/v6@v6.0.3 >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

func main() {
	schema, err := jsonschema.UnmarshalJSON(strings.NewReader(
		`{"properties":{"id":{"type":"string"},"names":{"propertyNames":{"maxLength":3}}}}`))
	if err != nil {
		panic(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("https://example.com/s", schema); err != nil {
		panic(err)
	}
	compiled := c.MustCompile("https://example.com/s")
	var places []string
	for range 200 {
		data, err := jsonschema.UnmarshalJSON(strings.NewReader(`{"id":"c_1","names":{"jane":1}}`))
		if err != nil {
			panic(err)
		}
		var invalid *jsonschema.ValidationError
		if !errors.As(compiled.Validate(data), &invalid) {
			panic("it is valid")
		}
		place := find(invalid)
		if !slices.Contains(places, place) {
			places = append(places, place)
		}
	}
	slices.Sort(places)
	fmt.Println("places:", places)
}

func find(v *jsonschema.ValidationError) string {
	if _, ok := v.ErrorKind.(*kind.PropertyNames); ok {
		return fmt.Sprint(v.InstanceLocation)
	}
	for _, cause := range v.Causes {
		if place := find(cause); place != "" {
			return place
		}
	}
	return ""
}
GO
go run .
